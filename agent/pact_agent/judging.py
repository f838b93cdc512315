"""The site's own policy, asked at the journal about what somebody is to do here.

It comes after the roles and the whitelist. Without the journal there is nobody to ask: what only reads goes on, what
changes something is refused, but for a platform admin in an emergency (DESIGN.md, degraded mode).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pactsh.errors import PolicyError, UnreachableError
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.policy.question import question
from pactsh.policy.rbac import ADMIN, role_in

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject
    from pactsh.rpc import pact_pb2 as pb

_LIMIT_S = 4.0


class Judging:
    """Of one node. `ask` sends an input document (JSON) and raises `UnreachableError`; `in_force` says whether there
    is a policy to ask, `emergency` whether one is on, and `heard` is set once the vCluster's own policy is known."""

    def __init__(
        self,
        node: str,
        policy: Callable[[], Policy],
        ask: Callable[[bytes], Awaitable[pb.Judgement]],
        *,
        heard: asyncio.Event,
        in_force: Callable[[], bool],
        emergency: Callable[[], bool],
    ) -> None:
        self._node, self._policy, self._ask, self._heard = node, policy, ask, heard
        self.in_force, self._emergency = in_force, emergency

    async def check(self, identity: Identity, action: str, facts: JsonObject, *, changes: bool) -> bool:
        """Whether a second person has to agree to it. Raises `PolicyError` with the reasons when it is refused, and
        `UnreachableError` for a change that nobody can be asked about. `facts` are the action's own."""
        if changes and not self._heard.is_set():
            await self._wait_for_policy(identity, action)
        policy = self._policy()
        approval = changes and policy.two_person_approval
        if not self.in_force():
            return approval
        role = role_in(identity, action, policy)
        given = question(identity, action, vcluster=policy.vcluster, node=self._node, role=role, facts=facts)
        try:
            async with asyncio.timeout(_LIMIT_S):
                answer = await self._ask(json.dumps(given).encode())
        except (UnreachableError, TimeoutError) as error:
            if changes and not self._goes_on(identity, action):
                raise UnreachableError(
                    "the site's policy is asked at the journal, which can't be reached: nothing is changed meanwhile",
                    hint="platform admins go on in an emergency: pact emergency --reason WHY",
                ) from error
            return approval
        if answer.deny:
            raise PolicyError("; ".join(answer.deny), hint="this is the site's policy, not pact's")
        return approval or (changes and answer.approval)

    async def _wait_for_policy(self, identity: Identity, action: str) -> None:
        """A node that never heard of its vCluster's policy does not know whether two persons are needed, or what was
        taken away."""
        try:
            async with asyncio.timeout(_LIMIT_S):
                await self._heard.wait()
        except TimeoutError as error:
            if not self._goes_on(identity, action):
                raise UnreachableError(
                    "the journal has not told this node its policy yet: nothing is changed until then",
                    hint="platform admins go on in an emergency: pact emergency --reason WHY",
                ) from error

    def _goes_on(self, identity: Identity, action: str) -> bool:
        return ADMIN in identity.roles and (self._emergency() or action == "emergency_start")

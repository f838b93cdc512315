"""What the site's own policy says: asked by agents about lines and verbs on their nodes, and by the journal itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pactsh.errors import PolicyError, UsageError
from pactsh.journal.access import agent_node_of
from pactsh.journal.documents import parse_object
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.projections import NodeView, PolicyView, Projections
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy, parse_policy
from pactsh.policy.question import question
from pactsh.policy.rbac import role_in
from pactsh.policy.rego import Engine, Verdict
from pactsh.rpc import pact_pb2 as pb

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject, JsonValue

_MOST_INPUT = 256 << 10
_MOST_WAITING = 32  # of one agent


class Judge:
    """Over an engine, or none: then nothing is refused. `policies` are the vClusters' own."""

    def __init__(self, engine: Engine | None, policies: Mapping[str, PolicyView] | None = None) -> None:
        self._engine, self._policies = engine, {} if policies is None else policies

    @property
    def is_in_force(self) -> bool:
        """Whether there is a policy to ask."""
        return self._engine is not None

    async def verdict(self, given: JsonObject) -> Verdict:
        """The verdict on an input document; raises `PolicyError` when there is none."""
        if self._engine is None:
            return Verdict()
        plain = _plain(given)
        assert isinstance(plain, dict)
        return await self._engine.evaluate(plain | {"time": now_text(), "time_ns": time.time_ns()})

    async def check(self, identity: Identity, action: str, vcluster: str, facts: JsonObject) -> Verdict:
        """The verdict on an act at the journal. Raises `PolicyError` with the reasons when it is refused."""
        role = self._role(identity, action, vcluster)
        verdict = await self.verdict(question(identity, action, vcluster=vcluster, role=role, facts=facts))
        if verdict.deny:
            raise PolicyError(f"{action}: {'; '.join(verdict.deny)}", hint="this is the site's policy")
        return verdict

    async def check_read(self, identity: Identity, action: str, scope: str, vclusters: Mapping[str, str]) -> None:
        """Raise `PolicyError` when a person may not read that here; agents read what their node needs. `vclusters` maps
        nodes to theirs."""
        if self._engine is None or identity.kind == "agent":
            return
        kind, _, name = scope.partition(":")
        vcluster = name if kind == "vcluster" else vclusters.get(name, "")
        node, role = name if kind == "node" else "", self._role(identity, action, vcluster)
        facts: JsonObject = {"params": {"scope": scope}}
        given = question(identity, action, vcluster=vcluster, node=node, role=role, facts=facts)
        if (verdict := await self.verdict(given)).deny:
            raise PolicyError(f"{action}: {'; '.join(verdict.deny)}", hint="this is the site's policy")

    def _role(self, identity: Identity, action: str, vcluster: str) -> str:
        """The role that allows it, as `question` has it."""
        view = self._policies.get(vcluster, PolicyView())
        return role_in(identity, action, parse_policy(view.document) if view.seq else Policy(vcluster))


class JudgeService:
    """The handler. An agent's questions are answered one at a time, so that none keeps the others waiting."""

    def __init__(self, judge: Judge, ledger: Ledger, views: Projections) -> None:
        self._judge, self._store, self._views = judge, ledger.store, views
        self._turns: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {"Policy/Evaluate": self.evaluate}

    async def evaluate(self, caller: Caller, request: pb.EvaluateRequest) -> pb.Judgement:
        """The verdict on an act on the calling agent's own node, in the vCluster that the journal has it in."""
        node = agent_node_of(caller.known)
        given = parse_object(request.input, "input document", _MOST_INPUT)
        await self._views.catch_up(self._store)
        scope = given.get("scope")
        claimed = scope.get("vcluster", "") if isinstance(scope, dict) else ""
        vcluster = self._views.nodes.get(node, NodeView(node)).vcluster or claimed
        verdict = await self._in_turn(node, given | {"scope": {"vcluster": vcluster, "node": node}})
        return pb.Judgement(deny=verdict.deny, approval=verdict.approval)

    async def _in_turn(self, node: str, given: JsonObject) -> Verdict:
        if self._waiting[node] >= _MOST_WAITING:
            raise PolicyError(f"{node} asks too many questions at once", hint="the line can be entered again")
        self._waiting[node] += 1
        try:
            async with self._turns.setdefault(node, asyncio.Lock()):
                return await self._judge.verdict(given)
        except RecursionError as error:
            raise UsageError("the input document is nested too deep") from error
        finally:
            self._waiting[node] -= 1


def _plain(value: JsonValue) -> JsonValue:
    """The same as text that every engine takes: bytes that are no UTF-8 are written out (`\\udcff`)."""
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        return text.replace("\0", "\ufffd")  # to one engine a text ends there
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(_plain(name)): _plain(item) for name, item in value.items()}
    return value

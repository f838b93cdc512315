"""Answers to `call` frames: what the node's own `pact` asks (docs/internals.md section 3).

Each method has its RBAC action here; one without an action can't be called.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from pact_agent.capabilities.prober import Prober
from pact_agent.clock import timestamp
from pact_agent.configcalls import ACTIONS as CONFIG_ACTIONS
from pact_agent.configcalls import Caller, ConfigCalls
from pact_agent.diag.gather import Diagnostics
from pact_agent.emergency import Emergency
from pact_agent.facts import NodeFacts
from pact_agent.judging import Judging
from pact_agent.memory import Libraries
from pact_agent.parts import in_items
from pact_agent.saved import Active
from pact_agent.secondperson import SecondPerson
from pact_agent.servicecalls import ACTIONS as SERVICE_ACTIONS
from pact_agent.servicecalls import VERBS as SERVICE_VERBS
from pact_agent.servicecalls import ServiceCalls
from pact_agent.sessioncalls import OTHERS, SessionCalls
from pactsh.errors import ForbiddenError, UnreachableError, UsageError
from pactsh.model.approval import Approval
from pactsh.model.entry import Author, Entry, JsonObject
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.policy.rbac import highest_class, may

Item = dict[str, object]
Params = dict[str, object]

# Reading the node's own state asks for `status`, its history for `log`.
ACTIONS: dict[str, str | None] = {
    "status": "status", "whoami": None, "log": "log", "verify": "log", "cap": "status", "sessions": "status",
    "whitelist": None, "approval": "status", "diag": "status", "emergency_start": "emergency_start",
    "emergency_end": "emergency_end", "recording": OTHERS, **CONFIG_ACTIONS, **SERVICE_ACTIONS,
}  # fmt: skip
# What changes something, as the site's own policy calls it.
_CHANGING = {
    "commit": "commit", "rollback": "rollback", "extend": "extend", "blacklist_add": "blacklist",
    "blacklist_remove": "blacklist", "emergency_start": "emergency_start", "emergency_end": "emergency_end",
    **{method: method for method in SERVICE_VERBS},
}  # fmt: skip
# What each takes, and of which kind.
_PARAMETERS: dict[str, dict[str, type]] = {
    "commit": {"message": str, "only": list, "ttl": int, "wait": bool},
    "rollback": {"to": int, "dry_run": bool},
    "extend": {"minutes": int},
    "blacklist_add": {"pattern": str},
    "blacklist_remove": {"pattern": str},
    "emergency_start": {"reason": str},
    "emergency_end": {"force": bool, "commit": str, "rollback": bool},
    **{method: {"service": str} for method in SERVICE_VERBS},
}
_EXPECTED = {str: "text", int: "a number", list: "a list of texts", bool: "true or false"}
_TOLD = (
    "message",
    "only",
    "ttl",
    "to",
    "minutes",
    "pattern",
    "reason",
    "force",
    "commit",
    "rollback",
    "service",
    "session",
)
_DOES = {
    "emergency_start": "begin an emergency on a node",
    "emergency_end": "end an emergency on a node",
    "commit": "commit what has drifted on a node",
    "rollback": "undo changes on a node",
    "blacklist": "change what is no drift on a node",
    **{method: f"{verb} services of a node" for method, verb in SERVICE_VERBS.items()},
    "session_play": "see recordings of others' sessions",
}


class History(Protocol):
    """The journal as the agent may read it."""

    def entries(self, params: Params) -> AsyncIterator[Entry]:
        """Entries as `pact log` wants them."""

    async def verify(self) -> Item:
        """Walk the chain and compare it with the heads this agent has seen."""


class Calls:
    """Answers methods for an identity."""

    def __init__(
        self,
        facts: NodeFacts,
        sessions: SessionCalls,
        policy: Callable[[], Policy],
        history: History | None,
        emergency: Emergency,
        config: ConfigCalls,
        judging: Judging,
        second_person: SecondPerson,
        diagnostics: Diagnostics,
        prober: Prober,
        services: ServiceCalls,
    ) -> None:
        self._services = services
        self._config, self._judging, self._second_person = config, judging, second_person
        self._facts, self._sessions, self._policy, self._history = facts, sessions, policy, history
        self._emergency, self._diagnostics, self._prober = emergency, diagnostics, prober
        self._single: dict[str, Callable[[Identity], Awaitable[Item]]] = {
            "status": self._status,
            "whoami": self._whoami,
            "cap": self._cap,
            "verify": self._verify,
            "whitelist": self._whitelist,
        }

    async def answer(
        self, identity: Identity, method: str, params: Params, session: str = "", reached: float = -math.inf
    ) -> AsyncGenerator[Item, None]:
        """The items of `method`, asked for in `session` by somebody who is connected since `reached` (monotonic).
        Raises `UsageError`, `ForbiddenError`, `UnreachableError`."""
        caller = Caller(Author(identity.principal, identity.roles, identity.kind), session, reached)
        if method not in ACTIONS:
            raise UsageError(f"call: unknown method {method[:32]!r}")
        action = self._sessions.action(identity, params) if method == "recording" else ACTIONS[method]
        if action is not None and not may(identity, action, self._policy()):
            does = _DOES.get(action, f"see the {action}")
            raise ForbiddenError(
                f"{identity.principal} may not {does} of vCluster {self._policy().vcluster}",
                hint="`pact whoami` shows the roles",
            )
        if method == "approval":
            yield await self._second_person.over(_text(params, "id"))
            return
        if method in _CHANGING:
            params = _checked(method, params)
            if method in SERVICE_VERBS:
                params = {"service": await self._services.check(identity, method, params)}
            is_trial = method == "rollback" and params.get("dry_run") is True
            needs_second = not is_trial and await self._judged(identity, method, params)
            if needs_second and method != "extend":  # which changes nothing on the node
                if method == "emergency_end":
                    self._emergency.check_end(identity, force=params.get("force") is True)
                expected = await self._config.concerned(caller, method, params)
                yield await self._second_person.ask_verb(caller, _CHANGING[method], method, params, expected)
                return
        elif action is not None:
            await self._judging.check(identity, action, {"params": _told(params)}, changes=False)
        async with aclosing(self._perform(caller, identity, method, params)) as items:
            async for item in items:
                yield item

    async def _judged(self, identity: Identity, method: str, params: Params) -> bool:
        """Whether a second person has to agree; raises like `Judging.check`. An emergency's end can be a commit too."""
        facts: JsonObject = {"params": _told(params)}
        needs_second = await self._judging.check(identity, _CHANGING[method], facts, changes=True)
        if method == "emergency_end" and isinstance(message := params.get("commit"), str):
            commit: JsonObject = {"params": {"message": message}}
            needs_second |= await self._judging.check(identity, "commit", commit, changes=True)
        return needs_second

    async def execute(self, caller: Caller, identity: Identity, approval: Approval) -> None:
        """Do what a second person has agreed to, as its requester; raises like `answer`."""
        method, params = str(approval.operation.get("method")), approval.operation.get("params")
        action = ACTIONS.get(method)
        if action is None or method not in _CHANGING or not isinstance(params, dict):
            raise UsageError(f"{approval.id}: not an operation of this node")
        if not may(identity, action, self._policy()):
            raise ForbiddenError(f"{identity.principal} may not {_DOES.get(action, action)} any more")
        if method in SERVICE_VERBS:
            params = {"service": await self._services.check(identity, method, {**params})}
        await self._judged(identity, method, {**params})
        given: Params = {**params, "expected": approval.operation.get("expected")}
        async for _ in self._perform(caller, identity, method, given):
            pass

    async def _perform(
        self, caller: Caller, identity: Identity, method: str, params: Params
    ) -> AsyncGenerator[Item, None]:
        if method in SERVICE_ACTIONS:
            async with aclosing(self._services.answer(caller, method, params)) as items:
                async for item in items:
                    yield item
            return
        if method in CONFIG_ACTIONS:
            for item in in_items(await self._config.answer(caller, method, params)):
                yield item
            return
        if method == "diag":
            for item in await self._diagnostics.answer(params):
                yield item
            # What was read of logs is not kept, nor what searched it.
            (await asyncio.to_thread(Libraries.scan)).release()
            return
        if method == "emergency_start":
            yield _emergency_item(self._facts.node, await self._emergency.start(identity, _text(params, "reason")))
            return
        if method == "emergency_end":
            force = params.get("force") is True
            self._emergency.check_end(identity, force=force)
            await asyncio.shield(self._config.settle(caller, params))
            ended = await self._emergency.end(identity, force=force)
            yield _emergency_item(self._facts.node, ended)
            return
        if method in {"sessions", "recording"}:
            async with aclosing(self._of_sessions(caller, identity, method, params)) as items:
                async for item in items:
                    yield item
            return
        if method != "log":
            yield await self._single[method](identity)
            return
        async for entry in self._journal().entries(params):
            yield msgspec.to_builtins(entry)

    def _journal(self) -> History:
        if self._history is None:
            raise UnreachableError("no journal is configured on this node", hint="see pact-agent(8), [journal]")
        return self._history

    async def _status(self, _identity: Identity) -> Item:
        return self._facts.status()

    async def _whoami(self, identity: Identity) -> Item:
        return {
            "node": self._facts.node,
            "principal": identity.principal,
            "roles": list(identity.roles),
            "kind": identity.kind,
            "source": identity.source,
        }

    async def _whitelist(self, identity: Identity) -> Item:
        """What the caller's Tab, colours and help go by; nothing is decided with it."""
        policy = self._policy()
        return {
            "policy": f"{policy.vcluster}:{policy.version}",
            "class": highest_class(identity, "shell", policy),
            "overlay": msgspec.to_builtins(policy.commands),
        }

    async def _of_sessions(
        self, caller: Caller, identity: Identity, method: str, params: Params
    ) -> AsyncGenerator[Item, None]:
        if method == "sessions":
            for item in in_items(await self._sessions.known()):
                yield item
            return
        async with aclosing(self._sessions.recording(identity, caller.session, params)) as items:
            async for item in items:
                yield item

    async def _verify(self, _identity: Identity) -> Item:
        return await self._journal().verify()

    async def _cap(self, _identity: Identity) -> Item:
        return {**msgspec.to_builtins(await self._prober.look())}


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    return value if isinstance(value, str) else ""


def _emergency_item(node: str, active: Active) -> Item:
    return {"node": node, "principal": active.principal, "reason": active.reason, "until": timestamp(active.until)}


def _checked(method: str, params: Params) -> Params:
    """The parameters that a verb knows, each of its kind: what is judged, shown and done must be the same. Raises
    `UsageError` for any other."""
    for name, value in params.items():
        kind = _PARAMETERS[method].get(name)
        if kind is None:
            raise UsageError(f"{method}: unknown parameter {name[:40]!r}")
        if value is not None and (type(value) is not kind or not all(map(_is_plain, _texts(value)))):
            raise UsageError(f"{method}: {name}: expected {_EXPECTED[kind]}")
    return {name: value for name, value in params.items() if value is not None}


def _texts(value: object) -> list[object]:
    return [*value] if isinstance(value, list) else [value] if isinstance(value, str) else []


def _is_plain(text: object) -> bool:
    """Whether it is text that can be written down: bytes of a command line that are no UTF-8 can't."""
    try:
        return isinstance(text, str) and text.encode() is not None
    except UnicodeEncodeError:
        return False


def _told(params: Params) -> JsonObject:
    """The parameters that say what is to be done, as they are in an input document."""
    kinds = (str, int, bool, list)
    return {k: v for k, v in params.items() if k in _TOLD and isinstance(v, kinds)}

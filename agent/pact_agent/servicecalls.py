"""Answers to the `call` frames about the node's services: how they are, what they say, starting and stopping them.

A change is on record before it is made and once it is; what drifts by it is its caller's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import AbstractContextManager, aclosing
from typing import TYPE_CHECKING, Protocol

import msgspec

from pact_agent.clock import Clock
from pact_agent.configcalls import Caller
from pact_agent.parts import in_items
from pact_agent.records import Unnumbered
from pact_agent.refusing import error_in, refusal_in
from pact_agent.services import MOST_LINES, Backend, Changed, Service, Verb
from pactsh.catalog import Catalog
from pactsh.errors import NotFoundError, PactError, PolicyError, UnreachableError, UsageError
from pactsh.model.entry import Author
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.policy.units import decide_unit

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

Item = dict[str, object]
Params = dict[str, object]
VERBS: dict[str, Verb] = {"service_start": "start", "service_stop": "stop", "service_restart": "restart"}
ACTIONS = {"service_status": "status", "service_logs": "status", **{method: method for method in VERBS}}
BEGUN, DONE = "service.begun", "service.done"
_STRICT_TIMEOUT_S = 10.0
_LINES = 50
_MOST_READERS, _MOST_OF_ONE = 32, 8  # each is a process of root's or a thread
# What a node's way to its journal may go through, by the stem of the unit: whoever stops it is told.
_LINK_NEEDS = frozenset(
    {"NetworkManager", "systemd-networkd", "systemd-resolved", "networking", "network", "wicked", "wickedd",
     "firewalld", "nftables", "iptables", "opensm", "openibd", "rdma", "dhclient", "dhcpcd"}
)  # fmt: skip


class Records(Protocol):
    """What writes entries."""

    def level(self) -> str:
        """How well recording works."""

    def draft(self, kind: str, author: Author, body: JsonObject, *, session: str = "", message: str = "") -> Unnumbered:
        """An entry about this node, as of now."""

    async def append(self, draft: Unnumbered) -> int:
        """Record it; 0 when only the kernel's log has it."""

    async def acknowledged(self, number: int, timeout_s: float) -> bool:
        """Whether the journal has it within that time."""


class Configuration(Protocol):
    """What has to know of what changes the node."""

    def acting(self, principal: str, dimension: str | None) -> AbstractContextManager[None]:
        """While it runs: what changes in the node is this person's."""

    async def look(self, names: Collection[str] | None = None) -> None:
        """See now what it has changed."""


class ServiceCalls:
    """For one node. `backend` gives who keeps the services, None where nobody does; `emergency()`: one is on."""

    def __init__(
        self,
        node: str,
        backend: Callable[[], Backend | None],
        records: Records,
        configuration: Configuration,
        clock: Clock,
        *,
        policy: Callable[[], Policy],
        catalog: Catalog,
        emergency: Callable[[], bool],
    ) -> None:
        self._node, self._backend, self._records = node, backend, records
        self._configuration, self._clock = configuration, clock
        self._policy, self._catalog, self._emergency = policy, catalog, emergency
        self._number = 0
        self._readers: Counter[str] = Counter()

    async def answer(self, caller: Caller, method: str, params: Params) -> AsyncGenerator[Item, None]:
        """The items of `method`. Raises `PactError`, `NotFoundError` for a service that is not there."""
        if method == "service_status":
            for item in in_items(await self._status(params)):
                yield item
        elif method == "service_logs":
            with self._reading(caller.author.principal):
                async with aclosing(self._logs(params)) as items:
                    async for item in items:
                        yield item
        else:
            # Whole, whoever hangs up meanwhile: it may be what cuts the line.
            yield await asyncio.shield(self._change(caller, VERBS[method], _name(params)))

    async def check(self, identity: Identity, method: str, params: Params) -> str:
        """The name of what would be changed, which is what others judge and agree to, however it was typed. Raises what
        a change is refused with here: one that the whitelist has for `systemctl` too, by any of the service's names, or
        for another that it would stop."""
        verb = VERBS[method]
        keeper, service = await self._found(verb, _name(params))
        for name in (service.name, *service.aliases, *keeper.along(verb, service.name)):
            decision = decide_unit(verb, name, identity, self._policy(), self._catalog)
            if (refusal := refusal_in(decision)) is not None:
                raise error_in(refusal)
        return service.name

    def _keeper(self) -> Backend:
        backend = self._backend()
        if backend is None:
            raise NotFoundError(
                "service: this node has neither systemd nor services of pact's own",
                hint="docs/services.md tells how to define some for the built-in supervisor",
            )
        return backend

    async def _status(self, params: Params) -> Item:
        keeper, name = self._keeper(), params.get("service")
        found = (await keeper.one(_name(params)),) if name is not None else await keeper.all()
        return {"node": self._node, "backend": keeper.name, "services": [msgspec.to_builtins(one) for one in found]}

    async def _logs(self, params: Params) -> AsyncGenerator[Item, None]:
        count = params.get("n", _LINES)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST_LINES:
            raise UsageError(f"service: n: expected a number up to {MOST_LINES}")
        keeper = self._keeper()
        name = (await keeper.one(_name(params))).name
        async with aclosing(keeper.logs(name, count, follow=params.get("follow") is True)) as said:
            async for lines in said:
                yield {"node": self._node, "service": name, "lines": lines}

    @contextlib.contextmanager
    def _reading(self, principal: str) -> Iterator[None]:
        if self._readers[principal] >= _MOST_OF_ONE or self._readers.total() >= _MOST_READERS:
            raise PolicyError(
                f"service: too many logs are read on this node ({self._readers.total()})", hint="end one that follows"
            )
        self._readers[principal] += 1
        try:
            yield
        finally:
            self._readers[principal] -= 1
            self._readers += Counter()  # without those who read none

    async def _found(self, verb: Verb, name: str) -> tuple[Backend, Service]:
        keeper = self._keeper()
        service = await keeper.one(name)
        if refusal := keeper.refusal(verb, service.name):
            raise PolicyError(f"service: {refusal}", hint="ask who runs the node's service manager")
        return keeper, service

    async def _change(self, caller: Caller, verb: Verb, name: str) -> Item:
        keeper, found = await self._found(verb, name)
        service = found.name
        level = self._records.level()
        if level != "normal" and (level == "read-only" or not self._emergency()):
            raise _unrecorded(level)
        self._number += 1
        id_ = f"{caller.session or 'call'}-service-{self._clock.now():%H%M%S%f}-{self._number}"
        body: JsonObject = {"id": id_, "verb": verb, "service": service, "keeper": keeper.name}
        await self._begin(caller, body)
        with self._configuration.acting(caller.author.principal, "services"):
            try:
                changed = await self._recorded(caller, body, keeper.change(verb, service))
            finally:
                await self._look()
        return self._item(keeper, verb, changed)

    async def _recorded(self, caller: Caller, body: JsonObject, change: Awaitable[Changed]) -> Changed:
        """Have it done, and put on record how it went, whatever that was."""
        began, error = self._clock.monotonic(), ""
        try:
            return await change
        except PactError as failure:
            error = failure.message
            raise
        except BaseException as failure:
            error = f"fault: {type(failure).__name__}"
            raise
        finally:
            duration_ms = int((self._clock.monotonic() - began) * 1000)
            ended: JsonObject = {**body, "status": 1 if error else 0, "duration_ms": duration_ms, "reason": error}
            await self._record(DONE, caller, ended)

    async def _look(self) -> None:
        """See what it has changed. What is wrong there is told elsewhere: this has its entry, and its answer."""
        try:
            await self._configuration.look({"services"})
        except PactError as error:
            _log.error("after a change of services: %s", error.message)

    def _item(self, keeper: Backend, verb: Verb, changed: Changed) -> Item:
        warnings = [warned] if (warned := _warning(verb, changed.service.name)) else []
        return {
            "node": self._node, "backend": keeper.name, "verb": verb, "others": [*changed.others],
            "service": msgspec.to_builtins(changed.service), "warnings": warnings,
        }  # fmt: skip

    async def _begin(self, caller: Caller, body: JsonObject) -> None:
        number = await self._record(BEGUN, caller, body)
        if number == 0 and not self._emergency():
            await self._record(DONE, caller, {**body, "status": 3, "duration_ms": 0, "reason": "not done: no record"})
            raise _unrecorded("unwritable")
        strict = number and self._policy().audit == "strict"
        if strict and not await self._records.acknowledged(number, _STRICT_TIMEOUT_S):
            await self._record(DONE, caller, {**body, "status": 5, "duration_ms": 0, "reason": "not confirmed"})
            raise UnreachableError(
                "service: the journal has not confirmed this change, and policy requires it (audit = strict)",
                hint="nothing was changed; is the journal reachable? `pact status`",
            )

    def _record(self, kind: str, caller: Caller, body: JsonObject) -> Awaitable[int]:
        message = f"{body['verb']} {body['service']}"
        if kind == DONE:
            message += f": {body['reason'] or 'done'}"
        return self._records.append(
            self._records.draft(kind, caller.author, body, session=caller.session, message=message)
        )


def _unrecorded(level: str) -> PolicyError:
    """What is told where the spool is as `level` says."""
    if level == "read-only":
        return PolicyError(
            "service: the audit spool is nearly full, so nothing is changed",
            hint="the journal has been out of reach for long: `pact status` shows since when",
        )
    return PolicyError(
        "service: this node's disk takes no record, so nothing is changed",
        hint="a platform admin goes on with 'pact emergency --reason WHY', recorded in the kernel's log",
    )


def _warning(verb: Verb, service: str) -> str:
    stem = service.rpartition(".")[0] or service
    if verb == "start" or stem not in _LINK_NEEDS:
        return ""
    return f"this node may be reached through {service}: stay until you see that it can be"


def _name(params: Params) -> str:
    name = params.get("service")
    if not isinstance(name, str) or not name:
        raise UsageError("service: which one?", hint="pact service status lists them")
    return name

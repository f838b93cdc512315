"""Takes nodes out of scheduling whose emergency is over its time, and puts them back when it has ended, once each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pactsh.delegates.answer import Answer
from pactsh.delegates.lattice.acting import VIA, known
from pactsh.delegates.limited import LimitedError
from pactsh.errors import NotFoundError, PactError, UnreachableError
from pactsh.journal.aside import aside
from pactsh.journal.deeds import BY_JOURNAL, Deeds
from pactsh.journal.projections import Projections
from pactsh.journal.stale import JOURNAL, Wanted

if TYPE_CHECKING:
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.journal.store import Store
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 2.0, 60.0

Connect = Callable[[], "Lattice"]


class Cordoning:
    """`connect` opens a client of lattice; None: none is configured, and nothing is done."""

    def __init__(self, store: Store, views: Projections, deeds: Deeds, connect: Connect | None) -> None:
        self._store, self._views, self._deeds, self._connect = store, views, deeds, connect
        self._told = False  # that none is configured
        self._pauses: dict[str, tuple[float, float]] = {}  # id -> when it is tried again, and the pause after that

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except PactError as error:
                _log.error("stale emergencies: %s", error.message)
                await asyncio.sleep(_FIRST_S)
            except Exception:  # noqa: BLE001  the top of a task: without it no node would be cordoned any more
                _log.exception("stale emergencies")
                await asyncio.sleep(_FIRST_S)

    async def _look(self) -> None:
        """Do what is to be done now, and wait for more."""
        await self._deeds.catch_up()
        wanted = self._views.stale.wanted()
        if self._connect is None:
            if wanted and not self._told:
                _log.warning("%s: an emergency is over its time; no [lattice] to cordon it by", wanted[0].node)
                self._told = True
            await self._store.wait_beyond(self._views.seq)
            return
        for one in wanted:
            # Of those before it lattice may have taken its time.
            is_wanted = one in self._views.stale.wanted()
            if is_wanted and time.monotonic() >= self._pauses.get(one.id, (0.0, 0.0))[0]:
                await self._try(one, self._connect)
                await self._deeds.catch_up()
        await self._wait()

    async def _wait(self) -> None:
        """For another entry, or until something is to be tried again."""
        await self._deeds.catch_up()
        ids = {one.id for one in self._views.stale.wanted()}
        self._pauses = {id_: pause for id_, pause in self._pauses.items() if id_ in ids}
        times = [self._pauses.get(id_, (0.0, 0.0))[0] for id_ in ids]
        limit_s = max(0.0, min(times) - time.monotonic()) if times else None
        try:
            async with asyncio.timeout(limit_s):
                await self._store.wait_beyond(self._views.seq)
        except TimeoutError:
            return

    async def _try(self, one: Wanted, connect: Connect) -> None:
        try:
            await self._do(one, connect)
            self._pauses.pop(one.id, None)
        except PactError as error:
            self._later(one, error.message)
        except Exception as error:  # noqa: BLE001  of one: the others are cordoned all the same
            self._later(one, f"an internal error: {type(error).__name__}: {error}")

    def _later(self, one: Wanted, why: str) -> None:
        _, pause_s = self._pauses.get(one.id, (0.0, _FIRST_S))
        level = logging.WARNING if one.id not in self._pauses else logging.DEBUG
        _log.log(level, "%s %s: %s; trying again", one.action, one.node, why)
        self._pauses[one.id] = (time.monotonic() + pause_s, min(2 * pause_s, _LONGEST_S))

    async def _do(self, one: Wanted, connect: Connect) -> None:
        """On record before and after; raises a `PactError` where it has to be tried again."""
        action = "uncordon" if one.action == "uncordon" else "cordon"
        (target,) = self._deeds.targets(action, [one.node], "")
        if await self._deeds.begun(one.id, one.node) is None:
            facts: JsonObject = {"reason": one.reason, "system": "lattice"}
            own: JsonObject = {"emergency": one.seq, "began_by": one.began_by, BY_JOURNAL: True}
            await self._deeds.begin(one.id, action, (target,), JOURNAL, facts, own)
        begun = await self._deeds.begun(one.id, one.node)
        assert begun is not None

        def call() -> Answer:
            with connect() as lattice:
                return _CALLS[one.action](lattice, one)

        try:
            answer = await aside(call, f"{action} {one.node}")
        except PactError as error:
            if isinstance(error, UnreachableError | LimitedError) or type(error) is PactError:
                raise  # it is down, is asked too often, or has no quorum just now
            # It will not be otherwise the next time.
            await self._deeds.end(begun, error.code, error.message, {"kind": error.kind})
            return
        await self._deeds.end(begun, 0, answer.text, dict(answer.details))  # type: ignore[arg-type]  # texts and bools


def _cordoned(lattice: Lattice, one: Wanted) -> Answer:
    """Cordon it, unless it is out of scheduling already. One that has our reason is ours: we ended before we knew."""
    node = known(lattice, one.node)
    if node.state == "down" and node.reason == one.reason:
        return Answer(f"Cordoned: {one.node} removed from lattice scheduling {VIA}", {})
    if node.state not in {"ready", "degraded"}:
        return Answer(f"{one.node} is {node.state} already: left as it is", {"before": node.state, "unchanged": True})
    lattice.disable(one.node, one.reason)
    return Answer(f"Cordoned: {one.node} removed from lattice scheduling {VIA}", {"before": node.state})


def _forgotten(lattice: Lattice, one: Wanted) -> Answer:
    """It has ended meanwhile. Whether the cordon was made, and only its answer lost, lattice alone knows."""
    node = known(lattice, one.node)
    if node.state == "down" and node.reason == one.reason:
        return Answer(f"Cordoned: {one.node} removed from lattice scheduling {VIA}", {})
    return Answer(f"{one.node}: the emergency ended before lattice was reached", {"unchanged": True})


def _uncordoned(lattice: Lattice, one: Wanted) -> Answer:
    """Uncordon it, unless somebody else has had a hand in it since."""
    try:
        node = lattice.node(one.node)
    except NotFoundError:
        return Answer(f"lattice does not know {one.node} any more", {"unchanged": True})
    if node.state != "down" or node.reason != one.reason:
        why = f"{node.state}{f': {node.reason}' if node.reason else ''}"
        return Answer(f"{one.node} is {why}: left as somebody else has made it", {"unchanged": True})
    lattice.enable(one.node)
    return Answer(f"Uncordoned: {one.node} returned to lattice scheduling {VIA}", {"before": node.state})


_CALLS = {"cordon": _cordoned, "uncordon": _uncordoned, "forget": _forgotten}

"""Entries about refused connections and requests, folded so that a scanner can't fill the spool.

The first of a kind from an address is recorded at once; those that follow within a minute are
counted, and the count is recorded when the minute is over.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pact_agent.recorder import Recorder
from pactsh.errors import PactError
from pactsh.model.entry import JsonObject
from pactsh.model.identity import Identity

log = logging.getLogger(__name__)

UNKNOWN = Identity("unknown", (), "human", "ssh")
_WINDOW_S = 60.0
_MAX_KEYS = 256
_LOGGED = 20  # of each kind in a window; a flood must not fill the log either


@dataclass(slots=True)
class _Folded:
    identity: Identity
    peer: str
    reason: str
    count: int = 0


class Refusals:
    """Records `connection.refused` entries of the SSH server; `note` never waits and never raises."""

    def __init__(self, recorder: Recorder, window_s: float = _WINDOW_S) -> None:
        self._recorder, self._window_s = recorder, window_s
        self._folded: dict[tuple[str, str, str], _Folded] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()

    def note(self, identity: Identity | None, address: str, peer: str, what: str, reason: str) -> None:
        """Record that `what` was refused to `peer` at `address`."""
        who = identity or UNKNOWN
        key = (address, who.principal, what)
        if key not in self._folded and len(self._folded) >= _MAX_KEYS:
            key = ("many addresses", "unknown", "many")
            who, peer, what, reason = UNKNOWN, key[0], "connections", "too many to record one by one"
        known = self._folded.get(key)
        if known is not None:
            known.count += 1
            known.peer, known.reason = peer, reason
            if known.count <= _LOGGED:
                log.warning("ssh: refused %s to %s (%s): %s", what, peer, who.principal, reason)
            return
        log.warning("ssh: refused %s to %s (%s): %s", what, peer, who.principal, reason)
        self._folded[key] = _Folded(who, peer, reason)
        loop = asyncio.get_running_loop()
        self._timers.add(loop.call_later(self._window_s, self._unfold, key))
        self._record(who, {"peer": peer, "what": what, "reason": reason})

    def _unfold(self, key: tuple[str, str, str]) -> None:
        folded = self._folded.pop(key)
        self._timers = {timer for timer in self._timers if timer.when() > asyncio.get_running_loop().time()}
        if folded.count:
            self._record(
                folded.identity,
                {"peer": folded.peer, "what": key[2], "reason": folded.reason, "count": folded.count},
            )

    def _record(self, identity: Identity, body: JsonObject) -> None:
        task = asyncio.get_running_loop().create_task(self._write(identity, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, identity: Identity, body: JsonObject) -> None:
        try:
            await self._recorder.write("connection.refused", identity, body)
        except PactError as error:
            log.error("ssh: refusal not recorded: %s", error.message)

    async def close(self) -> None:
        """Record what is still being counted, and wait until it is."""
        for timer in self._timers:
            timer.cancel()
        for key in list(self._folded):
            self._unfold(key)
        await asyncio.gather(*self._tasks, return_exceptions=True)

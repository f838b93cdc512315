"""Emergency mode of a node: who is in it, why, and until when (DESIGN.md section 5).

Everything stays journaled and the whitelist is unchanged. With a spool that can't be written it is what
lets a platform admin go on, recorded in the kernel's log (section 3). It ends with the agent.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from pact_agent.clock import Clock, timestamp
from pact_agent.recorder import Recorder
from pactsh.errors import ConflictError, ForbiddenError, UsageError
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

LENGTH_S = 14_400
_LONGEST_REASON = 1000


class Active(msgspec.Struct, frozen=True):
    """An emergency that is on. `ends` in the agent's monotonic time, so that no clock that jumps ends it."""

    principal: str
    reason: str
    until: datetime
    ends: float


class Emergency:
    """The node's emergency, if there is one."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock
        self._active: Active | None = None
        self._changing = asyncio.Lock()  # recording takes time: of two who begin at once, the second is told

    def active(self) -> Active | None:
        """The emergency that is on and whose time has not run out."""
        active = self._active
        return active if active is not None and self._clock.monotonic() < active.ends else None

    async def start(self, identity: Identity, reason: str) -> Active:
        """Begin one; raises `ConflictError` while one is on, `UsageError` for a reason that says nothing."""
        reason = " ".join(reason.split())
        if not reason or len(reason) > _LONGEST_REASON or not reason.isprintable():
            raise UsageError("emergency: say why, in one line", hint="pact emergency --reason 'its disk died'")
        return await asyncio.shield(self._start(identity, reason))  # on record and on, or neither

    async def _start(self, identity: Identity, reason: str) -> Active:
        async with self._changing:
            before = self._active
            if before is not None:
                over = "over but not ended" if self.active() is None else "on already"
                raise ConflictError(
                    f"emergency: {over}, by {before.principal} until {timestamp(before.until)}: {before.reason}",
                    hint="pact emergency --end ends it; with --force another's whose time has run out",
                )
            until = self._clock.now() + timedelta(seconds=LENGTH_S)
            body = {"reason": reason, "until": timestamp(until)}
            await self._recorder.write("emergency.start", identity, dict(body), message=reason)
            self._active = Active(identity.principal, reason, until, self._clock.monotonic() + LENGTH_S)
            return self._active

    async def end(self, identity: Identity, *, force: bool) -> Active:
        """End it; raises `ConflictError` when there is none, `ForbiddenError` for another's that is not over."""
        return await asyncio.shield(self._end(identity, force))

    async def _end(self, identity: Identity, force: bool) -> Active:
        async with self._changing:
            mine = self._active
            if mine is None:
                raise ConflictError("emergency: this node is in none")
            if mine.principal != identity.principal and (self.active() is not None or not force):
                raise ForbiddenError(
                    f"emergency: {mine.principal} began it and ends it",
                    hint="--force ends one whose time has run out",
                )
            body: JsonObject = {"reason": mine.reason, "began_by": mine.principal}
            body["forced"] = mine.principal != identity.principal
            await self._recorder.write("emergency.end", identity, body, message="emergency ended")
            self._active = None
            return mine

"""Emergency mode of a node: who is in it, why, and until when (DESIGN.md section 5).

Everything stays journaled, the whitelist is unchanged, and nothing is rolled back by itself. With a spool that can't
be written it is what lets a platform admin go on, recorded in the kernel's log (section 3). One whose time has run
out is stale: everybody is told, once, and anybody who may begin one can end it by force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from pact_agent.clock import Clock, timestamp
from pact_agent.recorder import Recorder
from pact_agent.saved import Active, Saved
from pactsh.errors import ConflictError, ForbiddenError, PactError, UsageError
from pactsh.model.entry import Author
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

LENGTH_S = 14_400
_LONGEST_REASON = 1000


class Keeper(Protocol):
    """What keeps the node's state."""

    @property
    def now(self) -> Saved:
        """All that is kept."""

    def keep_emergency(self, active: Active | None) -> None:
        """Keep it; raises `PactError`."""


class Emergency:
    """The node's emergency, if there is one; `keeper` has it across the agent's end, as far as the disk takes it.

    `tell` reaches everybody who has a session here, `agent` is who speaks when its time has run out.
    """

    def __init__(
        self, recorder: Recorder, clock: Clock, keeper: Keeper, *, agent: Author, tell: Callable[[str, str], None]
    ) -> None:
        self._recorder, self._clock, self._keeper = recorder, clock, keeper
        self._agent, self._tell = agent, tell
        self._active: Active | None = None
        self._boot = ""
        self._changing = asyncio.Lock()  # recording takes time: of two who begin at once, the second is told

    def active(self) -> Active | None:
        """The emergency that is on and whose time has not run out."""
        active = self._active
        return active if active is not None and self._clock.monotonic() < active.ends else None

    def resume(self, boot: str) -> None:
        """Go on with the one that was on at the agent's last end. After another boot its time is that of the clock."""
        kept = self._keeper.now.emergency
        if kept is not None and kept.boot != boot:
            left_s = (kept.until - self._clock.now()).total_seconds()
            kept = msgspec.structs.replace(kept, boot=boot, ends=self._clock.monotonic() + left_s)
        self._boot, self._active = boot, kept

    def begun(self) -> Active | None:
        """The one that nobody has ended, its time run out or not."""
        return self._active

    async def check(self) -> None:
        """Say so, on record too, when its time has run out."""
        async with self._changing:
            stale = self._active
            if stale is None or stale.alerted or self.active() is not None:
                return
            body: JsonObject = {"reason": stale.reason, "began_by": stale.principal, "until": timestamp(stale.until)}
            try:
                await self._recorder.append(self._recorder.draft("emergency.stale", self._agent, body))
            except PactError as error:
                _log.error("that the emergency is over its time is not recorded: %s", error.message)
                return
            self._keep(msgspec.structs.replace(stale, alerted=True))
        self._tell(
            f"the emergency that {stale.principal} began is over its time: end it, with --force if need be", "error"
        )

    def _keep(self, active: Active | None) -> None:
        self._active = active
        try:
            self._keeper.keep_emergency(active)
        except PactError as error:  # a disk that takes nothing is what emergencies are for
            _log.error("the emergency is not kept across this agent's end: %s", error.message)

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
            ends = self._clock.monotonic() + LENGTH_S
            active = Active(identity.principal, reason, until, ends, self._boot)
            self._keep(active)
            return active

    def check_end(self, identity: Identity, *, force: bool) -> Active:
        """The one that `identity` may end; raises like `end`."""
        mine = self._active
        if mine is None:
            raise ConflictError("emergency: this node is in none")
        if mine.principal != identity.principal and (self.active() is not None or not force):
            raise ForbiddenError(
                f"emergency: {mine.principal} began it and ends it", hint="--force ends one whose time has run out"
            )
        return mine

    async def end(self, identity: Identity, *, force: bool) -> Active:
        """End it; raises `ConflictError` when there is none, `ForbiddenError` for another's that is not over."""
        return await asyncio.shield(self._end(identity, force))

    async def _end(self, identity: Identity, force: bool) -> Active:
        async with self._changing:
            mine = self.check_end(identity, force=force)
            body: JsonObject = {"reason": mine.reason, "began_by": mine.principal}
            body["forced"] = mine.principal != identity.principal
            await self._recorder.write("emergency.end", identity, body, message="emergency ended")
            self._keep(None)
            return mine

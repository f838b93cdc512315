"""The commit window as the policy of now wants it, and what is told of its end before it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pact_agent import window as windows
from pact_agent.clock import Clock, timestamp
from pact_agent.declared import Declared
from pact_agent.recorder import Recorder
from pact_agent.saved import Saved, Window
from pact_agent.telling import ending
from pactsh.model.delta import Change, Drifted
from pactsh.model.entry import Author, JsonObject
from pactsh.policy.model import Policy


class WindowKeeper:
    """Of one node. `may_undo`: whether a change would be undone at the window's end."""

    def __init__(
        self,
        declared: Declared,
        recorder: Recorder,
        clock: Clock,
        *,
        policy: Callable[[], Policy],
        may_undo: Callable[[Change], bool],
        tell_drift: Callable[[Sequence[Drifted]], None],
        tell_each: Callable[[Callable[[str], str], str], None],
    ) -> None:
        self._declared, self._recorder, self._clock = declared, recorder, clock
        self._policy, self._may_undo = policy, may_undo
        self._tell_drift, self._tell_each = tell_drift, tell_each

    async def current(self, saved: Saved) -> Window | None:
        """The open window, once it is as the policy of now wants it: where that begins to enforce, what has drifted
        before gets one; where it no longer does, there is none."""
        changes = [item.change for item in saved.drift]
        wanted = any(map(self._may_undo, changes)) and self._policy().enforcement_mode == "enforce"
        if wanted == (saved.window is not None):
            return saved.window
        now, moment = self._clock.monotonic(), timestamp(self._clock.now())
        window = windows.opened(None, changes, self._policy(), now, moment) if wanted else None
        await self._declared.step(msgspec.structs.replace(saved, window=window))
        if window is not None:
            self._tell_drift(saved.drift)
        return window

    async def extend(self, author: Author, minutes: int, session: str) -> float:
        """Lengthen it; returns the seconds left in it. Raises `ConflictError`, `UsageError`."""
        saved, now = self._declared.now, self._clock.monotonic()
        window = windows.extended(saved.window, minutes, now)
        body: JsonObject = {"minutes": minutes, "left_s": round(window.ends - now)}
        entry = self._recorder.draft("window.extended", author, body, session=session)
        await self._declared.step(msgspec.structs.replace(saved, window=window), entry)
        return window.ends - now

    async def tell_end(self, window: Window, now: float, drift: Sequence[Drifted]) -> None:
        """Tell those whose changes these are that it is about to end, once for each time before that."""
        if (at := windows.to_tell(window, now)) is None:
            return
        await self._declared.step(msgspec.structs.replace(self._declared.now, window=windows.told(window, at)))
        self._tell_each(ending([item for item in drift if self._may_undo(item.change)], at), "warning")

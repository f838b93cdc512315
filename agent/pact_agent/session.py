"""Sessions of a node: who is here, since when, where they stand, and the limits on that.

A session belongs to one verified identity. Its start and its end are journal entries; one
whose start can't be recorded does not open. `Sessions` holds the limits of the
configuration and ends what has been idle for too long.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pact_agent.clock import Clock, timestamp
from pact_agent.config import Limits
from pact_agent.recorder import Recorder
from pact_agent.recording import Recording
from pact_agent.recordings import Recordings, described
from pactsh.errors import PactError, PolicyError
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_HISTORY = 1000
_HISTORY_CHARACTERS = 100_000  # fits a frame and a request to the spawner, however it is escaped


class Controllable(Protocol):
    """The line that a session is running now."""

    def signal(self, name: str) -> None:
        """Send a signal to its pipeline."""

    def resize(self, rows: int, cols: int) -> None:
        """Tell its terminal's new size."""


class Session:
    """One identity at one prompt (or one script, or one `exec`)."""

    def __init__(
        self,
        session_id: str,
        identity: Identity,
        *,
        kind: str,
        source: str,
        peer: str,
        began: float,
        reached: float = -math.inf,
        started_at: str = "",
        recording: Recording | None = None,
    ) -> None:
        self.recording = recording
        self.id, self.identity, self.started_at = session_id, identity, started_at
        self.kind, self.source, self.peer = kind, source, peer
        self.began = self.active = began
        self.reached = reached
        self.cwd = self.before = "/"
        self.last_status = 0
        self.lines = 0
        self.history: list[str] = []
        self.running: Controllable | None = None
        self.notify: Callable[[str, str], None] = lambda _text, _level: None
        self.hang_up: Callable[[str], None] = lambda _reason: None

    @property
    def has_entries(self) -> bool:
        """Whether its start and end are entries: of a single line the line's own are enough, unless it is recorded."""
        return self.kind != "exec" or self.recording is not None

    def remember(self, line: str) -> None:
        """Keep a typed line for the history; repeated and blank ones are kept once, overlong ones not at all."""
        if line.strip() and len(line) <= _HISTORY_CHARACTERS // 10 and self.history[-1:] != [line]:
            self.history.append(line)
            del self.history[:-_HISTORY]
            while sum(map(len, self.history)) > _HISTORY_CHARACTERS:
                del self.history[: len(self.history) // 8 + 1]


class Sessions:
    """All sessions of this node."""

    def __init__(self, recorder: Recorder, limits: Limits, clock: Clock, recordings: Recordings | None = None) -> None:
        self._recorder, self._limits, self._clock, self._recordings = recorder, limits, clock, recordings
        self._open: dict[str, Session] = {}
        self._history: dict[str, list[str]] = {}

    def all(self) -> tuple[Session, ...]:
        """The open sessions, oldest first."""
        return tuple(self._open.values())

    async def open(
        self,
        identity: Identity,
        *,
        kind: str,
        source: str,
        peer: str,
        term: str = "",
        reached: float = -math.inf,
        recording: Recording | None = None,
    ) -> Session:
        """Open and record a session.

        `kind`: interactive, login, script or exec (which gets no entries of its own: its line has them).
        `source`: uid or ssh; `peer`: who is at the other end, for the record; `reached`: since when that one is
        connected (`cutoff`); `recording`: what it shows goes there, and its end seals it.

        Raises `PolicyError` when a limit is reached, and what the recorder raises.
        """
        mine = sum(1 for s in self._open.values() if s.identity.principal == identity.principal)
        if mine >= self._limits.sessions_per_identity:
            raise PolicyError(
                f"too many sessions: {identity.principal} has {mine} on this node",
                hint="end one of them; `pact status` lists them",
            )
        if len(self._open) >= self._limits.sessions:
            raise PolicyError(
                f"too many sessions on this node ({len(self._open)})", hint="wait, or end one of your own elsewhere"
            )
        session = Session(
            secrets.token_hex(8) if recording is None else recording.id,
            identity,
            kind=kind,
            source=source,
            peer=peer,
            began=self._clock.monotonic(),
            reached=reached,
            started_at=timestamp(self._clock.now()),
            recording=recording,
        )
        session.history = self._history.setdefault(identity.principal, [])
        self._open[session.id] = session
        try:
            if session.has_entries:
                body: JsonObject = {"kind": kind, "source": source, "peer": peer, "term": term[:64]}
                if recording is not None:
                    body["recorded"] = True
                await self._recorder.write("session.start", identity, body, session=session.id)
        except BaseException:
            del self._open[session.id]
            raise
        if recording is not None:
            recording.is_used = True
        return session

    async def close(self, session: Session, *, status: int, reason: str) -> None:
        """Close and record the end; closing twice does nothing."""
        if self._open.pop(session.id, None) is None:
            return
        if session.running is not None:
            session.running.signal("HUP")
        if not session.has_entries:
            return
        duration = int((self._clock.monotonic() - session.began) * 1000)
        body: JsonObject = {"status": status, "reason": reason, "lines": session.lines, "duration_ms": duration}
        recording = session.recording
        if recording is None:
            await self._recorder.write("session.end", session.identity, body, session=session.id)
            return
        sealed = await recording.seal()
        if recording.problem:
            body["reason"] = recording.problem
        body["recording"] = described(session.id, sealed)
        await self._recorder.write("session.end", session.identity, body, session=session.id)
        if self._recordings is not None:
            await asyncio.to_thread(self._recordings.journaled, session.id, sealed)
        if recording.problem:
            failed: JsonObject = {"reason": recording.problem, "peer": session.peer, "kind": session.kind}
            await self._recorder.write("recording.failed", session.identity, failed, session=session.id)

    def expire_idle(self) -> None:
        """Hang up on sessions that have been idle too long; a running command counts as activity."""
        now = self._clock.monotonic()
        for session in self.all():
            if session.running is not None:
                session.active = now
            elif session.kind != "exec" and now - session.active > self._limits.idle_timeout_s:
                session.notify(f"idle for {self._limits.idle_timeout_s} s: this session ends", "warning")
                session.hang_up("idle timeout")

    def get(self, session_id: str) -> Session:
        """The open session of that id; raises `PactError`."""
        try:
            return self._open[session_id]
        except KeyError:
            raise PactError(f"no session {session_id}") from None

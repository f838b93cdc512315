"""Recording what single lines and scripts show on somebody's own terminal, where the policy wants sessions recorded.

Each line's terminal is the agent's; its other end, which is otherwise handed over as it is, stays here, and a socket is
handed over in its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pact_agent.between import Between
from pact_agent.io import Terminal
from pact_agent.recording import Recording
from pact_agent.recordings import Recordings
from pact_agent.session import Session
from pact_agent.shellhost import ANNOUNCED
from pactsh.model.identity import Identity


class LineRecording:
    """Of one connection. `on_problem` is told when something can't be recorded any more."""

    def __init__(self, recordings: Recordings, on_problem: Callable[[str], None]) -> None:
        self._recordings, self._on_problem = recordings, on_problem
        self.recording: Recording | None = None
        self._between: Between | None = None
        self._announced = False

    async def need(
        self, identity: Identity, terminal: Terminal | None, *, kind: str, peer: str, session: Session | None
    ) -> None:
        """Begin to record a line of `session` (None: one that is about to be opened) that shows something on a
        terminal, unless that is done already. Raises `PolicyError` where it can't be."""
        if terminal is None or not self._recordings.required() or self.recording is not None:
            return
        if session is not None and session.recording is not None:
            return
        id_ = "" if session is None else session.id
        self.recording = await self._recordings.begin(
            identity, terminal, kind=kind, source=identity.source, peer=peer, session=id_
        )
        self.recording.on_problem = self._on_problem
        if session is not None:
            session.recording, self.recording.is_used = self.recording, True

    def carry(self, master: int) -> int | None:
        """What to hand over in the place of a line's terminal, which is ours from now on; None: the terminal itself."""
        if self.recording is None:
            return None
        self._between = Between(master, self.recording)
        if not self._announced:
            self._announced = True
            self._between.show(ANNOUNCED)
        return os.dup(self._between.theirs.fileno())

    def handed_over(self) -> None:
        """They have it."""
        if self._between is not None:
            self._between.handed_over()

    def resized(self, rows: int, cols: int) -> None:
        """Their terminal has another size."""
        if self.recording is not None:
            self.recording.resized(cols, rows)

    async def finish(self) -> None:
        """A line has ended, or the next begins: show what is left of it."""
        if self._between is not None:
            await self._between.finish()

    def give_up(self) -> None:
        """They are gone: what they have not taken is lost."""
        if self._between is not None:
            self._between.close()

    async def end(self) -> None:
        """Nothing more will be shown."""
        self.give_up()
        if self.recording is not None and self.recording.is_used:
            self.recording.ended.set()
        elif self.recording is not None:
            await self.recording.discard()

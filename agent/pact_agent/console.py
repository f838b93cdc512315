"""A recorded session of somebody on the node itself: what their own `pactsh` shows must not be theirs to leave out.

So the agent starts one on a terminal of its own, as it does for somebody who comes by SSH, and theirs only carries
bytes between that and the terminal they sit at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from pact_agent.between import Between
from pact_agent.io import Io, Pty, Terminal
from pact_agent.shellhost import ANNOUNCED, NOT_RECORDED, ShellHost, Visitor
from pact_agent.spawnclient import Running

_log = logging.getLogger(__name__)

_GRACE_S = 2.0


class Console:
    """One such session. `say` tells the person what is not shown on the terminal itself."""

    def __init__(self, host: ShellHost, say: Callable[[str], None]) -> None:
        self._host, self._say = host, say
        self._pty: Pty | None = None
        self._running: Running | None = None
        self._visitor: Visitor | None = None
        self._between: Between | None = None
        self._left = False

    async def run(
        self, visitor: Visitor, terminal: Terminal, kind: str, hand_over: Callable[[int], Awaitable[None]]
    ) -> int:
        """Run it to its end and return its status; `hand_over` gives them their end of it. Raises `PolicyError` where
        it can't be recorded."""
        recording = await self._host.recordings.begin(
            visitor.identity, terminal, kind=kind, source=visitor.identity.source, peer=visitor.peer
        )
        recording.on_problem = self._not_recorded
        self._visitor = msgspec.structs.replace(visitor, recording=recording)
        try:
            self._pty = pty = Pty(terminal)
            self._between = between = Between(pty.master, recording)
            try:
                await hand_over(between.theirs.fileno())
                between.handed_over()
                between.show(ANNOUNCED)
                status = await self._shell(self._visitor, pty, terminal, login=kind == "login")
                pty.close()
                await between.finish()
            finally:
                self._pty = None
                pty.close()
                between.close()
        finally:
            if recording.is_used:
                recording.ended.set()
            else:
                await recording.discard()
        return NOT_RECORDED if recording.problem else status

    async def _shell(self, visitor: Visitor, pty: Pty, terminal: Terminal, *, login: bool) -> int:
        io = Io(None, None, None, terminal)
        self._running = await self._host.start(visitor, io, (pty.slave,) * 3, login=login)
        if self._left:
            self.hang_up()
        ended = await self._running.wait()
        for error in ended.errors:
            _log.error("pactsh for %s: %s", visitor.peer, error)
            self._say(f"can't start the shell here: {error}")
        return ended.statuses[-1]

    def signal(self, name: str) -> None:
        """Pass a signal on."""
        if self._running is not None:
            self._running.kill(name)

    def resize(self, rows: int, cols: int) -> None:
        """Their terminal has another size."""
        if self._pty is not None and self._visitor is not None and self._visitor.recording is not None:
            self._pty.resize(rows, cols)
            self._visitor.recording.resized(cols, rows)

    def hang_up(self) -> None:
        """They are gone, or have to go: SIGHUP, and SIGKILL if that isn't enough."""
        self._left = True
        self.signal("HUP")
        asyncio.get_running_loop().call_later(_GRACE_S, self._give_up)

    def _give_up(self) -> None:
        self.signal("KILL")
        if self._between is not None:
            self._between.close()

    def _not_recorded(self, problem: str) -> None:
        self._say(f"this session ends: {problem}")
        self.hang_up()

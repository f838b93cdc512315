"""Starting a `pactsh` for somebody: unprivileged, contained, with a socket on which the agent knows who it is."""

from __future__ import annotations

import socket
from collections.abc import Callable

import msgspec

from pact_agent.io import Io
from pact_agent.recording import Recording
from pact_agent.recordings import Recordings
from pact_agent.spawnclient import Job, Running, Spawner
from pact_agent.stages import environment
from pact_agent.tools import Tools
from pactsh.model.identity import Identity

ANNOUNCED = b"This session is recorded.\r\n"
NOT_RECORDED = 3
"""The status of a session that ends because it can't be recorded any more."""


class Visitor(msgspec.Struct, frozen=True):
    """Who a shell is for, where they come from, since when they are connected (monotonic), and where what they see is
    recorded, if it is."""

    identity: Identity
    peer: str
    reached: float
    recording: Recording | None = None


class ShellHost(msgspec.Struct, frozen=True):
    """What it takes. `adopt(sock, visitor)` serves an authenticated connection."""

    spawner: Spawner
    tools: Tools
    adopt: Callable[[socket.socket, Visitor], None]
    recordings: Recordings

    async def start(self, visitor: Visitor, io: Io, fds: tuple[int, ...], *, login: bool = False) -> Running:
        """Start it on three descriptors, whose owner the caller stays; they are its terminal where `io` has one."""
        ours, theirs = socket.socketpair()
        with theirs:
            spec = self.tools.stage(
                "pactsh.shell.entry",
                ("-l",) if login else (),
                stdio=(0, 1, 2),
                session_index=3,
                env=environment(io),
                terminal=io.terminal,
            )
            self.adopt(ours, visitor)
            job = Job((spec,), (*fds, theirs.fileno()), tty=0 if io.terminal is not None else None)
            return await self.spawner.spawn(job)

"""The agent's side of the spawner: start it, ask it for jobs, learn how they end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pact_agent.sandbox import Plan
from pactsh.errors import PactError

_log = logging.getLogger(__name__)

PIPE, NULL = -1, -2
_LARGEST_REQUEST = 4 << 20
_UNKILLABLE_S = 10.0


class StageSpec(msgspec.Struct, frozen=True):
    """One process of a job. `stdio`: an index into the job's `fds`, PIPE or NULL for each of 0, 1, 2.

    `redirects` are applied in order: `("open", fd, path)`, `("dup", fd, source)`, `("null", fd)`.
    With `text` nothing is executed: it and `error` (base64) are written to stdout and stderr, `status` is the end.
    `keep` maps descriptor numbers in the new process to indices into `fds`. `feed`: files to decompress into
    the stdin of the program, which is run for each of them; `-` is the stage's own stdin.
    """

    path: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    plan: Plan
    stdio: tuple[int, int, int]
    redirects: tuple[tuple[str | int, ...], ...] = ()
    text: str | None = None
    error: str = ""
    status: int = 0
    keep: dict[str, int] = {}
    feed: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The form the spawner reads."""
        raw = {name: getattr(self, name) for name in self.__struct_fields__}
        return raw | {"plan": self.plan.to_json()}


class Job(msgspec.Struct, frozen=True):
    """A pipeline to run. `tty` is the index in `fds` of the terminal that becomes its controlling one."""

    stages: tuple[StageSpec, ...]
    fds: tuple[int, ...]
    tty: int | None = None


class Ended(msgspec.Struct, frozen=True):
    """How a job ended: one status a stage (128+N by signal), and what the spawner could not do."""

    statuses: tuple[int, ...]
    errors: tuple[str, ...] = ()


_UNKILLABLE = Ended((137,), ("a process was killed but does not end: it waits for a device or a mount",))


class Running:
    """A started job."""

    def __init__(self, spawner: Spawner, number: int) -> None:
        self._spawner, self._number = spawner, number
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._giving_up: asyncio.TimerHandle | None = None

    def kill(self, name: str) -> None:
        """Send signal `name` (`INT`, `TERM`, `HUP`, `QUIT`, `KILL`) to the job's process group."""
        if self._ended.done():
            return
        self._spawner.request({"op": "kill", "id": self._number, "sig": name})
        if name == "KILL" and self._giving_up is None:
            # A process that waits for a dead device or mount takes no signal: its session must end all the same.
            self._giving_up = asyncio.get_running_loop().call_later(_UNKILLABLE_S, self.finish, _UNKILLABLE)

    async def wait(self) -> Ended:
        """Wait for the end of all stages."""
        return await asyncio.shield(self._ended)

    def finish(self, ended: Ended) -> None:
        """Called by the spawner's reader."""
        if self._giving_up is not None:
            self._giving_up.cancel()
        if not self._ended.done():
            self._ended.set_result(ended)


class Spawner:
    """The process that forks, and the connection to it. Start it before anything that makes threads."""

    def __init__(self, link: socket.socket, pid: int) -> None:
        self._link, self.pid = link, pid
        self._jobs: dict[int, Running] = {}
        self._next = 1
        self._buffer = b""
        self.features: dict[str, Any] = {}
        self._ready: asyncio.Future[None] | None = None
        self._lost = False

    @classmethod
    def launch(cls, scratch: Path, secrets: Sequence[str] = ()) -> Spawner:
        """Fork and exec the spawner with this interpreter, isolated (`-I -S`); call it single-threaded."""
        ours, theirs = socket.socketpair()
        source = str(Path(__file__).resolve().parent.parent)
        code = f"import sys; sys.path.insert(0, {source!r}); from pact_agent import spawner; spawner.main()"
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                # dup2(3, 3) would leave close-on-exec set: go through a number above it.
                os.dup2(fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 10), 3, inheritable=True)
                argv = [sys.executable, "-I", "-S", "-c", code, str(scratch), *secrets]
                os.execve(sys.executable, argv, {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"})  # noqa: S606  argv, no shell
            finally:
                os._exit(127)
        theirs.close()
        return cls(ours, pid)

    async def start(self) -> None:
        """Attach to the event loop and wait until the spawner is ready; `features` is known then."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._link.setblocking(False)
        loop.add_reader(self._link, self._readable)
        async with asyncio.timeout(20):
            await self._ready

    def close(self) -> None:
        """End the spawner and with it every job."""
        if not self._lost:
            asyncio.get_running_loop().remove_reader(self._link)
        self._lost = True
        self._link.close()

    @property
    def alive(self) -> bool:
        """Whether jobs can still be started."""
        return not self._lost

    async def spawn(self, job: Job) -> Running:
        """Start `job`; its descriptors are duplicated and may be closed by the caller afterwards."""
        if self._lost:
            raise PactError("the command spawner has died", hint="restart pact-agent on this node")
        number, self._next = self._next, self._next + 1
        stages = [stage.to_json() for stage in job.stages]
        message = {"op": "spawn", "id": number, "stages": stages, "fds": len(job.fds), "tty": job.tty}
        frame = _frame(message)
        if len(frame) > _LARGEST_REQUEST:
            raise PactError("the command is too long to be started", hint="a glob that matches fewer names, perhaps")
        running = self._jobs[number] = Running(self, number)
        self._send(frame, job.fds)
        return running

    def request(self, message: dict[str, Any]) -> None:
        """Send one request."""
        self._send(_frame(message))

    def _send(self, frame: bytes, fds: Sequence[int] = ()) -> None:
        """The link is a local socket pair with a reader that never stalls: blocking is fine."""
        if self._lost:
            return
        try:
            self._link.setblocking(True)
            sent = socket.send_fds(self._link, [frame], list(fds)) if fds else self._link.send(frame)
            if sent < len(frame):
                self._link.sendall(frame[sent:])
        except OSError as error:
            self._lose(str(error))
        finally:
            if self._link.fileno() >= 0:
                self._link.setblocking(False)

    def _readable(self) -> None:
        try:
            data = self._link.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(error))
            return
        if not data:
            self._lose("it has ended")
            return
        self._buffer += data
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">I", self._buffer)
            if len(self._buffer) < 4 + length:
                return
            event = json.loads(self._buffer[4 : 4 + length])
            self._buffer = self._buffer[4 + length :]
            self._event(event)

    def _event(self, event: dict[str, Any]) -> None:
        if event["ev"] == "ready":
            self.features = event["kernel"]
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
        elif event["ev"] == "exited":
            running = self._jobs.pop(event["id"])
            running.finish(Ended(tuple(event["statuses"]), tuple(event["errors"])))
        elif event["ev"] == "failed":
            self._jobs.pop(event["id"]).finish(Ended((126,), (event["error"],)))

    def _lose(self, why: str) -> None:
        """The spawner is gone: its children were killed with it; say so to everyone who waits."""
        if self._lost:
            return
        self._lost = True
        _log.error("spawner lost: %s", why)
        asyncio.get_running_loop().remove_reader(self._link)
        for running in self._jobs.values():
            running.finish(Ended((137,), ("the spawner died",)))
        self._jobs.clear()


def _frame(message: dict[str, Any]) -> bytes:
    data = json.dumps(message).encode()
    return struct.pack(">I", len(data)) + data

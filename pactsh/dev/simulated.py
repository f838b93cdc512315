"""One simulated node as the supervisor sees it: its namespaces, its enrolment, its agent."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pactsh.dev.enrolment import enrol, write_agent_config
from pactsh.dev.layout import Layout
from pactsh.dev.node import Spec
from pactsh.dev.part import (
    Note,
    code_directories,
    environment,
    last_lines,
    program,
    render_status,
    wait_exit,
)
from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.dev.journal import JournalPart

POLL_S = 0.02
CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid
MESSAGE_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Event:
    """What the node's first process said, and the pid here of the one that said it."""

    pid: int
    body: dict[str, Any]


class EventReader:
    """The supervisor's end of a node's event socket."""

    def __init__(self) -> None:
        self._socket, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.setblocking(False)
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        data, ancillary, _, _ = self._socket.recvmsg(MESSAGE_LIMIT, socket.CMSG_SPACE(CREDENTIALS.size))
        if not data:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._queue.put_nowait(None)
            return
        pid = next((CREDENTIALS.unpack(d)[0] for _, kind, d in ancillary if kind == socket.SCM_CREDENTIALS), 0)
        self._queue.put_nowait(Event(pid, json.loads(data)))

    async def next(self) -> Event | None:
        """The next event; None when the node is gone."""
        return await self._queue.get()

    def send(self, word: bytes) -> None:
        """Tell the node: `go`, start the agent; `keep`, start it again whenever it dies."""
        self._socket.send(word)

    def close(self) -> None:
        """Hang up."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


class NodePart:
    """A node from its directory to its end. `port` is that of its SSH server on loopback."""

    def __init__(self, layout: Layout, name: str, vcluster: str, note: Note, say: Callable[..., None]) -> None:
        self.name = name
        self._layout = layout
        self._directory = layout.node(name)
        self._vcluster = vcluster
        self._note = note
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._events: EventReader | None = None
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._ready = asyncio.Event()
        self._missing: list[str] = []
        self._uid, self._has_nobody = 0, True
        self._stopping = False
        self.port = 0

    @property
    def _log(self) -> str:
        return str(self._directory / "agent.log")

    async def prepare(self) -> None:
        """Make the node's namespaces; says what this machine does not allow."""
        for path in (
            self._directory,
            self._directory / "run",
            self._directory / "state",
            self._directory / "state" / "keys",
        ):
            path.mkdir(mode=0o700, exist_ok=True)
        self._layout.agent_socket(self.name).unlink(missing_ok=True)
        self._listen_ready()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        spec_file = self._directory / "node.json"
        spec_file.write_text(json.dumps(asdict(self._spec())), encoding="utf-8")
        self._events = EventReader()
        far, listener = self._events.far, self._listener
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pactsh.dev.node", str(spec_file), str(far.fileno()), str(listener.fileno())),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=(far.fileno(), listener.fileno()),
        )
        far.close()
        self._note(f"node {self.name}", self._process.pid)
        event = await self._expect("prepared")
        self._missing = list(event.body["missing"])
        self._uid, self._has_nobody = int(event.body["uid"]), bool(event.body["has_nobody"])
        self._note(f"init {self.name}", event.pid)
        for what in self._missing:
            self._say(event="notice", text=f"{self.name}: no {what}")

    def _listen_ready(self) -> None:
        """Hear the agent say READY=1, as a service manager does; sd_notify(3)."""
        path = self._layout.notify_socket(self.name)
        path.unlink(missing_ok=True)
        self._notified.bind(str(path))

        def read() -> None:
            if b"READY=1" in self._notified.recv(4096).split(b"\n"):
                self._ready.set()

        asyncio.get_running_loop().add_reader(self._notified, read)

    def _spec(self) -> Spec:
        config = self._directory / "agent.toml"
        return Spec(
            name=self.name,
            system=str(self._layout.directory),
            node=str(self._directory),
            shared=(str(self._layout.shared),),
            code=code_directories(),
            argv=(program("pact-agent"), "--config", str(config)),
            env=environment() | {"NOTIFY_SOCKET": str(self._layout.notify_socket(self.name))},
            log=self._log,
        )

    async def start(self, journal: JournalPart) -> None:
        """Enrol the node and start its agent; returns when it serves and has reported to the journal."""
        assert self._events is not None
        await enrol(self._directory, self.name, self._vcluster, journal)
        write_agent_config(
            self._directory,
            self.name,
            self._vcluster,
            journal_socket=self._layout.journal_socket,
            ssh_port=self.port,
            missing=self._missing,
            uid=self._uid,
            has_nobody=self._has_nobody,
        )
        self._events.send(b"go")
        event = await self._expect("started")
        self._note(f"agent {self.name}", event.pid)
        serving = asyncio.create_task(self._serving(journal))
        trouble = asyncio.create_task(self._trouble())
        try:
            await asyncio.wait({serving, trouble}, return_when=asyncio.FIRST_COMPLETED)
            if trouble.done():
                await trouble
            await serving
            self._events.send(b"keep")
        finally:
            serving.cancel()
            trouble.cancel()

    async def _serving(self, journal: JournalPart) -> None:
        await self._ready.wait()
        # Asked for rather than waited for: the journal has no stream of reports.
        while not await journal.has_reported(self.name):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    async def _trouble(self) -> None:
        """Raise when the agent dies before it was ready."""
        assert self._events is not None
        event = await self._events.next()
        raise self._failure(event)

    async def _expect(self, kind: str) -> Event:
        assert self._events is not None
        event = await self._events.next()
        if event is None or event.body["ev"] != kind:
            raise self._failure(event)
        return event

    def _failure(self, event: Event | None) -> PactError:
        how = ""
        if event is not None:
            how = str(event.body.get("why") or render_status(int(event.body.get("status", 0))))
        for line in last_lines(self._directory / "agent.log"):
            self._say(event="notice", text=f"{self.name}: {line}")
        text = f"dev: {self.name}: the agent did not start" + (f" ({how})" if how else "")
        return PactError(text, hint=f"its log: {self._log}")

    async def watch(self) -> None:
        """Tell what becomes of the agent, until the node is gone."""
        assert self._events is not None
        while (event := await self._events.next()) is not None:
            if event.body["ev"] == "started":
                self._note(f"agent {self.name}", event.pid)
            elif event.body["ev"] == "died" and not self._stopping:
                how = render_status(int(event.body["status"]))
                then = "starting it again" if event.body["again"] else "giving up"
                self._say(event="notice", text=f"{self.name}: pact-agent ended ({how}), {then}")
        if not self._stopping:
            self._say(event="notice", text=f"{self.name}: the node is down; its log: {self._log}")

    async def stop(self, grace_s: float) -> None:
        """End the node and everything in it."""
        self._stopping = True
        loop = asyncio.get_running_loop()
        if self._events is not None:
            self._events.close()  # a node that still waits for leave to start ends by this
        if self._process is not None:
            await wait_exit(self._process, grace_s)
        loop.remove_reader(self._notified)
        for sock in (self._notified, self._listener):
            sock.close()
        for path in (self._layout.notify_socket(self.name), self._layout.agent_socket(self.name)):
            path.unlink(missing_ok=True)

"""A real agent on a temporary directory, without a journal: what it records stays in its spool."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pact_agent.clock import SystemClock
from pact_agent.spool import Spool

from pactsh.model.entry import Draft

BIN = Path(sys.executable).parent
IS_ROOT = os.geteuid() == 0
WHO = "alice@example.org"
DEADLINE_S = 30


class LocalNode:
    """One agent process; `start` and `stop` as often as wanted on the same directory.

    `program` is what becomes the agent, whose words follow.
    """

    program: tuple[str, ...] = ()

    def __init__(
        self,
        directory: Path,
        extra: str = "",
        roles: str = '"pact-platform-admin"',
        environment: dict[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._environment = environment or {}
        self.socket = directory / "run" / "agent.sock"
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "agent.toml").write_text(
            'node = "node042"\nvcluster = "ml-training"\nstate_dir = "state"\nrun_dir = "run"\n'
            f"{extra}\n[local_users.{os.geteuid()}]\nprincipal = {json.dumps(WHO)}\nroles = [{roles}]\n"
        )

    def start(self) -> LocalNode:
        """Start the agent and wait until it accepts connections."""
        log = (self.directory / "log").open("ab")
        argv = [*self.program, str(BIN / "pact-agent"), "--config", str(self.directory / "agent.toml")]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = self.directory / "notify"
        address.unlink(missing_ok=True)
        notify.bind(str(address))
        notify.settimeout(DEADLINE_S)
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stderr=log,
            stdout=log,
            env={"NOTIFY_SOCKET": str(address), "PATH": os.environ["PATH"], **self._environment},
            start_new_session=True,  # as a service is, and not in one whose leader is outside this PID namespace
        )
        log.close()
        try:
            ready = select.select([notify], [], [], DEADLINE_S)[0]
            if not ready or notify.recv(64) != b"READY=1":
                raise AssertionError(self.log())
        finally:
            notify.close()
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, number: int = 15) -> int:
        """End it with a signal; returns its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(DEADLINE_S)

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop(9)

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def pactsh(
        self, *args: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the real `pactsh` against this node."""
        return subprocess.run(
            [str(BIN / "pactsh"), *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PACT_AGENT_SOCKET": str(self.socket), "PATH": os.environ["PATH"], **(env or {})},
        )

    def line(self, line: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`pactsh -c LINE`."""
        return self.pactsh("-c", line, stdin=stdin)

    def entries(self, *types: str) -> list[Draft]:
        """What the spool of the stopped agent holds; drift only if asked for: other tests change this machine too."""
        spool = Spool(self.directory / "state" / "spool", node="node042", reserve_bytes=4 << 20, clock=SystemClock())
        try:
            drafts: list[Draft] = []
            while batch := spool.read_from(len(drafts) + 1, 1000):
                drafts += batch
        finally:
            spool.close()
        return [d for d in drafts if d.type in types or (not types and not d.type.startswith("drift."))]

    def connect(self) -> Wire:
        """A raw connection to the local socket."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE_S)
        try:
            sock.connect(str(self.socket))
        except OSError:
            sock.close()
            raise
        return Wire(sock)


class Wire:
    """Frames by hand, so that broken ones can be sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""
        self.fds: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()
        for fd in self.fds:
            os.close(fd)

    def send(self, fields: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        self.raw(json.dumps(fields).encode(), fds)

    def raw(self, body: bytes, fds: tuple[int, ...] = ()) -> None:
        socket.send_fds(self.sock, [struct.pack(">I", len(body)) + body], list(fds))

    def receive(self) -> dict[str, Any] | None:
        """The next frame, None when the agent has closed the connection."""
        while len(self._buffer) < 4 or len(self._buffer) < 4 + struct.unpack_from(">I", self._buffer)[0]:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 65536, 8)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer += data
            self.fds += fds
        (length,) = struct.unpack_from(">I", self._buffer)
        frame: dict[str, Any] = json.loads(self._buffer[4 : 4 + length])
        self._buffer = self._buffer[4 + length :]
        return frame

    def until(self, *ops: str) -> dict[str, Any]:
        """The next frame whose op is one of `ops`; others are passed over."""
        while (frame := self.receive()) is not None:
            if frame["op"] in ops:
                return frame
        raise AssertionError(f"the agent closed the connection before {ops}")

    def run(self, line: str) -> tuple[dict[str, Any], bytes]:
        """Run a line with pipes; returns its last frame and what it wrote to stdout and stderr."""
        read, write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        try:
            self.send({"op": "run", "line": line, "fds": 3, "term": "dumb"}, (null, write, write))
        finally:
            os.close(write)
            os.close(null)
        last = self.until("exit", "refused", "error")
        with os.fdopen(read, "rb") as output:
            return last, output.read()


def body_of(draft: Draft) -> dict[str, Any]:
    """An entry's body, for looking into."""
    return dict(draft.body or {})


def running(node: LocalNode) -> Iterator[LocalNode]:
    try:
        yield node.start()
    finally:
        node.close()

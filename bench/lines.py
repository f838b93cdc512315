"""What a line costs in a running session, on the agent's socket and at the prompt, against a bare fork and exec."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from bench.measure import Case, CaseError, interleave, median, program, quantile
from bench.prompt import ESCAPES, PACT_PROMPT, TIMEOUT_S, hang_up
from bench.report import Row, Section
from bench.resident import agent_pid, processor_s, tree
from bench.system import BIN, System
from pactsh.shell.wire import Connection, connect

TITLE = "A line in a session: what pact adds to the command"
BARE = "fork, exec, wait of /bin/true"
LIMIT_MS = 5.0
WARM_UP = 20
TYPED = "line typed at the prompt, Enter to the next prompt"
_PAUSE_S = 0.12  # between the last key and Enter; the prompt asks for the decision meanwhile
_DONE = re.compile(rb"\n\r*done\r*\n.*" + re.escape(PACT_PROMPT.encode()), re.DOTALL)


def measure(system: System, rounds: int) -> Section:
    """`rounds` lines each way in one session, interleaved with bare processes."""
    agent = tree(agent_pid(system.directory))
    with _session(system.socket) as connection, _terminal() as terminal, open(os.devnull, "r+b") as null:
        cases: dict[str, Case] = {
            BARE: program(("/bin/true",), system.environ),
            "line, output to a file": lambda: _run(connection, null.fileno()),
            "line, output to a terminal": lambda: _run(connection, terminal),
        }
        before = processor_s(agent)
        samples = interleave(cases, rounds, warm_up=WARM_UP)
        used_s = processor_s(agent) - before
    bare = samples.pop(BARE)
    rows = [Row(f"{BARE}, p{q * 100:.0f}", quantile(bare, q) * 1e3, "ms", samples=rounds) for q in (0.5, 0.99)]
    for name, found in samples.items():
        rows += _added(name, found, bare)
    with _typist(system) as typed:
        samples = interleave({BARE: program(("/bin/true",), system.environ), TYPED: typed}, max(20, rounds // 5))
    rows += _added(TYPED, samples[TYPED], samples[BARE])
    lines = 2 * (rounds + WARM_UP)
    rows.append(Row("processor time a line, agent with all below", used_s / lines * 1e3, "ms", samples=lines))
    note = "added: time of the whole line less the median of the bare process, whose own spread is the machine's"
    return Section(TITLE, rows, [note])


def _added(name: str, found: list[float], bare: list[float]) -> list[Row]:
    rows = []
    for q in (0.5, 0.99):
        added = (quantile(found, q) - median(bare)) * 1e3
        limit = LIMIT_MS if q == 0.99 else None
        rows.append(Row(f"{name}: added, p{q * 100:.0f}", added, "ms", limit=limit, samples=len(found)))
    return rows


@contextmanager
def _typist(system: System) -> Iterator[Case]:
    """A case that types `echo done` at the full prompt and waits until the next one is shown."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execve(BIN / "pactsh", ["pactsh"], system.environ)
        finally:
            os._exit(127)

    def type_line() -> float:
        os.write(master, b"echo done")
        _read_until(master, re.compile(b"done"))
        _read_for(master, _PAUSE_S)
        started = time.perf_counter()
        os.write(master, b"\r")
        _read_until(master, _DONE)
        seconds = time.perf_counter() - started
        _read_for(master, _PAUSE_S / 4)
        return seconds

    try:
        _read_until(master, re.compile(b"journal"))  # the toolbar: keys are read from here on
        _read_for(master, 1.0)
        yield type_line
    finally:
        hang_up(pid, master)


def _read_until(master: int, wanted: re.Pattern[bytes]) -> None:
    seen = b""
    while not wanted.search(ESCAPES.sub(b"", seen)):
        if not select.select([master], [], [], TIMEOUT_S)[0]:
            raise CaseError(f"the prompt shows {seen[-300:]!r}")
        try:
            seen += os.read(master, 65536)
        except OSError:
            raise CaseError(f"the prompt has ended with {seen[-300:]!r}") from None


def _read_for(master: int, seconds: float) -> None:
    """Take what is drawn until nothing was for a while."""
    while select.select([master], [], [], seconds)[0]:
        os.read(master, 65536)


def _run(connection: Connection, fd: int) -> float:
    """One line `true`, from sending the frame to its exit frame; a terminal of the command's is drained."""
    started = time.perf_counter()
    connection.send({"op": "run", "line": "true", "fds": 3, "term": "xterm", "rows": 24, "cols": 80}, (fd, fd, fd))
    masters: list[int] = []
    try:
        while True:
            frame = connection.receive()
            if frame.op == "started":
                masters += frame.fds
            elif frame.op == "exit":
                if frame.number("status", -1) != 0:
                    raise CaseError(f"true ended with {frame.number('status', -1)}")
                return time.perf_counter() - started
            elif frame.op in {"refused", "error"}:
                raise CaseError(frame.text("reason") or frame.text("message"))
    finally:
        for master in masters:
            os.close(master)


@contextmanager
def _session(path: str) -> Iterator[Connection]:
    # The client reads the environment as bytes, from posix.environ.
    with mock.patch("posix.environ", {b"PACT_AGENT_SOCKET": os.fsencode(path)}):
        connection = connect()
    try:
        connection.send({"op": "session", "kind": "script", "term": "xterm", "rows": 24, "cols": 80})
        while (frame := connection.receive()).op != "session":
            if frame.op in {"error", "refused"}:
                raise CaseError(frame.text("message"))
        yield connection
        connection.send({"op": "bye", "status": 0})
    finally:
        connection.close()


@contextmanager
def _terminal() -> Iterator[int]:
    """The slave of a fresh pseudo-terminal."""
    master, slave = os.openpty()
    try:
        yield slave
    finally:
        os.close(slave)
        os.close(master)

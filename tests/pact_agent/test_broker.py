"""The local socket: who may speak, and what becomes of broken frames."""

from __future__ import annotations

import base64
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pact_agent.localnode import BIN, IS_ROOT, LocalNode, Wire, body_of

MakeNode = Callable[..., LocalNode]


@pytest.mark.parametrize(
    "body",
    [b"not json", b"[]", b"17", b"", b'{"op": "no such thing"}', b'{"op": "run", "line": "ls", "fds": 3}', b"{" * 3000],
)
def test_broken_frames_get_an_error_and_the_end(node: LocalNode, body: bytes) -> None:
    with node.connect() as wire:
        wire.raw(body)
        error = wire.until("error")
        assert error["kind"] == "usage"
        assert error["message"]
        assert wire.receive() is None
    assert node.line("uname -s").stdout == "Linux\n"


def test_a_frame_over_the_limit_is_refused_before_it_is_read(node: LocalNode) -> None:
    with node.connect() as wire:
        wire.sock.sendall(struct.pack(">I", (1 << 20) + 1))
        assert "limit" in wire.until("error")["message"]
        assert wire.receive() is None


def test_a_torn_frame_is_on_record(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as wire:
        wire.sock.sendall(struct.pack(">I", 100) + b'{"op"')
        wire.sock.shutdown(1)
        assert "inside a frame" in wire.until("error")["message"]
    assert node.line("uname -s").returncode == 0
    node.stop()
    refused = node.entries("connection.refused")
    assert "inside a frame" in body_of(refused[0])["reason"]


def test_too_many_descriptors_are_refused(node: LocalNode) -> None:
    with node.connect() as wire:
        null = os.open(os.devnull, os.O_RDWR)
        wire.send({"op": "run", "line": "ls", "fds": 3}, (null,) * 40)
        os.close(null)
        assert wire.until("error")["kind"] == "usage"


def test_a_line_over_the_limit_is_refused_and_recorded(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as wire:
        last, _ = wire.run("echo " + "x" * 70_000)
        assert last["op"] == "refused"
        assert last["status"] in {1, 6}
    node.stop()
    assert len(str(body_of(node.entries("refusal")[0])["line"])) <= 65536


@pytest.mark.parametrize("line", ["echo a\0b", "echo \x1b[2J", "echo \u202eabc", "echo \udcff", "a\nb"])
def test_odd_characters_are_refused(node: LocalNode, line: str) -> None:
    with node.connect() as wire:
        last, output = wire.run(line)
    assert (last["op"], output) == ("refused", b"")


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become another user: run the tests as root")
def test_a_stranger_gets_status_2_and_is_on_record(make_node: MakeNode) -> None:
    node = make_node()
    for path in (node.directory, *node.directory.parents):
        if path.stat().st_uid == 0 and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    probe = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.settimeout(20); sys.stdout.write(s.recv(4096)[4:].decode())"
    )
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "/usr/bin/python3",
            "-c",
            probe,
            str(node.socket),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert '"kind": "auth"' in done.stdout, done.stderr
    assert '"code": 2' in done.stdout
    node.stop()
    assert "nobody to pact" in body_of(node.entries("connection.refused")[0])["reason"]


def test_a_client_that_does_not_read_hinders_nobody(node: LocalNode) -> None:
    with node.connect() as wire:
        for _ in range(3000):
            try:
                wire.sock.setblocking(False)
                wire.send({"op": "state"})
            except (BlockingIOError, InterruptedError):
                break
        assert node.line("uname -s").stdout == "Linux\n"


def test_check_tells_the_decision_without_running_or_recording(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as wire:
        wire.send({"op": "check", "line": "rm x"})
        refused = wire.until("decision")
        assert (refused["verdict"], refused["status"], refused["span"]) == ("refuse", 6, [0, 2])
        wire.send({"op": "check", "line": "ls -l | wc"})
        allowed = wire.until("decision")
        assert [s["name"] for s in allowed["stages"]] == ["ls", "wc"]
    node.stop()
    assert node.entries("intent", "refusal") == []


def test_sessions_of_one_person_are_limited(make_node: MakeNode) -> None:
    node = make_node("[limits]\nspool_bytes = 4194304\nsessions_per_identity = 2\n")
    with node.connect() as one, node.connect() as two, node.connect() as three:
        for wire in (one, two, three):
            wire.send({"op": "session", "kind": "script", "term": "dumb"})
        assert one.until("session", "error")["op"] == "session"
        assert two.until("session", "error")["op"] == "session"
        error = three.until("session", "error")
        assert (error["kind"], error["code"]) == ("policy", 3)
    with node.connect() as again:
        again.send({"op": "session", "kind": "script", "term": "dumb"})
        again.until("session", "error")


def test_the_agent_ends_in_order(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        assert node.stop() == 0
    assert [d.type for d in node.entries()] == ["agent.start", "session.start", "session.end", "agent.stop"]


def test_the_program_names_what_is_wrong_with_its_configuration(tmp_path: object) -> None:
    done = subprocess.run([str(BIN / "pact-agent"), "--config", "/nonexistent.toml"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("pact-agent: /nonexistent.toml:")


def start_line(wire: Wire, line: str) -> int:
    """Send a line whose stdout is a pipe; returns the pipe's end to read from."""
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    wire.send({"op": "run", "line": line, "fds": 3}, (null, write, null))
    os.close(null)
    os.close(write)
    return read


def ended(read: int) -> bytes:
    """All that the line wrote; returns when nobody holds the other end any more."""
    with os.fdopen(read, "rb") as output:
        return output.read()


def test_a_client_that_leaves_at_once_leaves_nothing_running(make_node: MakeNode) -> None:
    node = make_node()
    for kind in (None, "script"):
        for _ in range(10):
            with node.connect() as wire:
                if kind is not None:
                    wire.send({"op": "session", "kind": kind, "term": "dumb"})
                read = start_line(wire, "sleep 96.5")
            assert ended(read) == b""
    assert node.stop() == 0
    outcomes = [body_of(d)["id"] for d in node.entries("outcome")]
    assert outcomes == [body_of(d)["id"] for d in node.entries("intent")]


def test_an_interrupt_before_the_first_process_ends_the_line(node: LocalNode) -> None:
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        for line in ("sleep 95.1; echo later", "cat | sleep 95.2", "ls /usr/share/*/* | sleep 95.3"):
            read = start_line(wire, line)
            wire.send({"op": "signal", "name": "INT"})
            assert wire.until("exit", "refused")["status"] == 130, line
            assert ended(read) == b""


def test_a_client_that_floods_while_its_line_runs_is_cut_off(node: LocalNode) -> None:
    """Its line ends too: with a full queue the agent would not see it leave."""
    with node.connect() as wire:
        read = start_line(wire, "sleep 94.2")
        wire.until("started")
        for _ in range(70):
            wire.send({"op": "state"})
        assert ended(read) == b""


def test_the_agent_ends_what_runs_before_it_ends_and_records_it(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        read = start_line(wire, "sleep 93.1")
        wire.until("started")
        assert node.stop() == 0
        assert ended(read) == b""
    assert [d.type for d in node.entries()] == [
        "agent.start", "session.start", "intent", "outcome", "session.end", "agent.stop",
    ]  # fmt: skip
    assert body_of(node.entries("outcome")[0])["status"] == 129
    assert body_of(node.entries("session.end")[0])["reason"] == "the agent stopped"


@pytest.mark.parametrize("op", ["end", "exit", "", "SIGNAL"])
def test_only_requests_of_the_protocol_are_requests(node: LocalNode, op: str) -> None:
    with node.connect() as wire:
        wire.send({"op": op})
        assert wire.until("error")["kind"] == "usage"
        assert wire.receive() is None
    assert "Traceback" not in node.log()


def test_a_long_history_can_be_shown(node: LocalNode) -> None:
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "interactive", "term": "dumb"})
        wire.until("session")
        for n in range(40):
            wire.run(f"# {n} " + "x" * 9000)
        wire.run("# " + "y" * 60_000)
        last, output = wire.run("history | tail -2 | cut -c 1-20")
        assert (last["op"], last["status"]) == ("exit", 0)
        assert b"# 39 xxx" in output
        assert b"yyy" not in output
        wire.send({"op": "history"})
        assert "history" in wire.until("history")["lines"][-1]


def test_a_datagram_socket_is_no_output(node: LocalNode) -> None:
    """The command could send to any socket through it, with root's uid."""
    with node.connect() as wire, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        wire.send({"op": "run", "line": "ls", "fds": 3}, (sock.fileno(),) * 3)
        assert "datagram" in wire.until("error")["message"]


def test_typed_input_that_was_not_read_comes_back(node: LocalNode) -> None:
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "interactive", "term": "xterm"})
        wire.until("session")
        master, slave = os.openpty()
        wire.send({"op": "run", "line": "sleep 0.5", "fds": 3, "term": "xterm", "rows": 24, "cols": 80}, (slave,) * 3)
        assert wire.until("started")["pty"] is True
        os.write(wire.fds[0], b"next line\n")
        assert base64.b64decode(wire.until("exit")["unread"]) == b"next line\n"
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(not IS_ROOT, reason="the agent shows its descriptors to root alone: run the tests as root")
def test_neither_the_agent_nor_its_spawner_keeps_descriptors(make_node: MakeNode) -> None:
    """Lines of every kind, and clients that leave in the middle of them."""
    node = make_node()
    spawner = int(Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()[0])
    master, slave = os.openpty()

    def some(times: int) -> None:
        for _ in range(times):
            with node.connect() as wire:
                wire.send({"op": "session", "kind": "interactive", "term": "xterm"})
                for line in ("uname", "echo a | cat", "rm x", "nvidia-smi -L", "cd /usr; pwd", "whoami"):
                    wire.send({"op": "run", "line": line, "fds": 3, "term": "xterm"}, (slave,) * 3)
                    wire.until("exit", "refused")
                for fd in wire.fds:
                    os.close(fd)
                wire.fds.clear()
                wire.send({"op": "run", "line": "sleep 92.4", "fds": 3, "term": "xterm"}, (slave,) * 3)
                wire.until("started")
            with node.connect() as wire:
                wire.raw(b"[]", (slave,) * 3)
                wire.until("error")

    def counts() -> tuple[int, ...]:
        return tuple(len(os.listdir(f"/proc/{pid}/fd")) for pid in (node.pid, spawner))

    def settled() -> tuple[int, ...]:
        """Once nobody is connected and the spare children are there again."""
        deadline = time.monotonic() + 20
        least = counts()
        while time.monotonic() < deadline and least > before:
            time.sleep(0.05)
            least = min(least, counts())
        return least

    try:
        some(2)
        before: tuple[int, ...] = (0, 0)
        first = counts()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            first = min(first, counts())
            time.sleep(0.05)
        before = first
        some(12)
        assert settled() <= before
    finally:
        os.close(master)
        os.close(slave)


def test_without_its_spawner_the_agent_ends_and_says_so(make_node: MakeNode) -> None:
    node = make_node()
    spawner = int(Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()[0])
    with node.connect() as wire:
        read = start_line(wire, "sleep 91.7")
        wire.until("started")
        os.kill(spawner, 9)
        assert wire.until("exit")["status"] == 137
        assert ended(read) == b""
    assert node.wait() == 1
    assert "spawner" in node.log()
    assert "Traceback" not in node.log()


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become another user: run the tests as root")
def test_a_stranger_cannot_fill_the_spool(make_node: MakeNode) -> None:
    node = make_node()
    for path in (node.directory, *node.directory.parents):
        if path.stat().st_uid == 0 and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    probe = (
        "import socket, sys\n"
        "for _ in range(60):\n"
        "    s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]); s.recv(4096); s.close()\n"
    )
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", probe]
    subprocess.run([*argv, str(node.socket)], check=True, timeout=60)
    assert node.line("uname -s").returncode == 0
    node.stop()
    assert len(node.entries("connection.refused")) == 20


@pytest.mark.e2e
def test_an_idle_session_is_told_why_it_ends(make_node: MakeNode) -> None:
    """The check runs every 15 s."""
    node = make_node("[limits]\nspool_bytes = 4194304\nidle_timeout_s = 1\n")
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "interactive", "term": "dumb"})
        wire.until("session")
        assert "idle" in wire.until("notice")["text"]
        assert wire.receive() is None
    node.stop()
    assert body_of(node.entries("session.end")[0])["reason"] == "idle timeout"


@pytest.mark.parametrize(("said", "recorded"), [(7, 7), (2**70, 1), (-5, 1), ("0", 1), (None, 1)])
def test_the_status_a_client_leaves_with_is_one(make_node: MakeNode, said: object, recorded: int) -> None:
    node = make_node()
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script"})
        wire.until("session")
        wire.send({"op": "bye", "status": said})
        assert wire.receive() is None
    node.stop()
    (end,) = node.entries("session.end")
    assert body_of(end)["status"] == recorded

"""The local socket: who may speak, and what becomes of broken frames."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable

import pytest

from tests.pact_agent.localnode import BIN, IS_ROOT, LocalNode, body_of

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

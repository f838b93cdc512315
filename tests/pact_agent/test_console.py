"""Recorded sessions on the node itself: the agent shows, the person's own `pactsh` only carries."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.pact_agent.casts import (
    casts,
    end_of,
    entries,
    have_policy,
    is_as_journaled,
    left,
    read,
    recording_of,
    shown,
    until,
)
from tests.pact_agent.localnode import BIN, IS_ROOT, LocalNode, body_of, running

SMALL = "[limits]\nspool_bytes = 4194304\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """One node for the tests that leave it as it was; `newest` tells its recordings apart."""
    made = LocalNode(tmp_path_factory.mktemp("n"), SMALL)
    have_policy(made.directory)
    yield from running(made)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LocalNode]:
    """A node of a test's own."""
    made = LocalNode(tmp_path / "n", SMALL)
    have_policy(made.directory)
    yield from running(made)


@pytest.fixture
def newest(node: LocalNode) -> Callable[[], Path]:
    before = set(casts(node.directory))

    def find() -> Path:
        (path,) = set(casts(node.directory)) - before
        return path

    return find


def pactsh(node: LocalNode, *args: str, term: str = "dumb", argv0: str = "") -> pexpect.spawn[str]:
    env = {"PACT_AGENT_SOCKET": str(node.socket), "PATH": os.environ["PATH"], "TERM": term}
    program, words = str(BIN / "pactsh"), [*args]
    return pexpect.spawn(program, words, env=env, encoding="utf-8", timeout=20, dimensions=(24, 90))


def runs(line: str) -> bool:
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return line in shown.splitlines()


def test_a_session_at_the_nodes_own_terminal(node: LocalNode, newest: Callable[[], Path]) -> None:
    child = pactsh(node, "-l")
    child.expect_exact("This session is recorded.\r\n")
    child.expect_exact("pact:node042> ")
    child.sendline("sleep 4712")
    until(lambda: runs("sleep 4712"))
    child.setwinsize(33, 111)
    child.sendintr()
    child.expect_exact("pact:node042> ")
    child.sendline("printf 'status %s\\n' $?")
    child.expect_exact("status 130")
    child.expect_exact("pact:node042> ")
    child.sendline("exit 4")
    assert left(child) == 4
    end = end_of(node.directory, path := newest())
    (start,) = (e for e in entries(node.directory, "session.start") if e.session == path.stem)
    assert is_as_journaled(path, end)
    assert body_of(start)["kind"] == "login"
    assert body_of(start)["source"] == "uid"
    assert str(body_of(start)["peer"]).startswith(f"uid={os.geteuid()} pid={child.pid}")
    assert "status 130" in shown(path)
    assert [e.data for e in read(path)[1] if e.code == "r"] == ["111x33"]
    assert path.stem in {e.session for e in entries(node.directory, "intent")}


def test_the_full_prompt_and_a_full_screen_program(node: LocalNode, newest: Callable[[], Path]) -> None:
    child = pactsh(node, term="xterm")
    child.expect("platform-admin")
    child.send("less /etc/passwd\r")
    child.expect_exact("root:")
    child.send("q")
    child.expect("platform-admin")
    child.send("\x04")
    assert left(child) == 0
    assert is_as_journaled(newest(), end_of(node.directory, newest()))
    assert "root:" in shown(newest())


def test_a_pactsh_that_is_killed_takes_the_session_with_it(node: LocalNode, newest: Callable[[], Path]) -> None:
    child = pactsh(node)
    child.expect_exact("pact:node042> ")
    child.sendline("sleep 4713")
    until(lambda: runs("sleep 4713"))
    child.kill(signal.SIGKILL)
    assert is_as_journaled(newest(), end_of(node.directory, newest()))
    until(lambda: not runs("sleep 4713"))
    child.close()


def test_an_agent_that_stops_ends_it_and_journals_it(own: LocalNode) -> None:
    child = pactsh(own)
    child.expect_exact("pact:node042> ")
    own.stop()
    left(child)
    (path,) = casts(own.directory)
    (end,) = own.entries("session.end")
    assert is_as_journaled(path, end)


def test_nobody_opens_an_interactive_session_past_the_recording(node: LocalNode) -> None:
    """What a program of one's own gets in place of a session: a socket, behind which the agent's terminal is."""
    for kind in ("interactive", "login"):
        before, lines = set(casts(node.directory)), len(entries(node.directory, "intent"))
        with node.connect() as wire:
            wire.send({"op": "session", "kind": kind, "term": "dumb", "rows": 24, "cols": 80})
            frame = wire.until("session", "started")
            assert frame["op"] == "started"
            assert not os.isatty(wire.fds[0])
            told = b""
            while b"pact:node042> " not in told:
                told += os.read(wire.fds[0], 4096)
            wire.send({"op": "run", "line": "uname", "fds": 0})  # nor beside it
        (path,) = set(casts(node.directory)) - before
        assert is_as_journaled(path, end_of(node.directory, path))
        assert len(entries(node.directory, "intent")) == lines


@pytest.mark.e2e
@pytest.mark.skipif(not IS_ROOT, reason="mounts a small file system: needs root")
def test_a_disk_that_gets_full_ends_the_session_with_a_sentence(own: LocalNode) -> None:
    place = own.directory / "state" / "recordings"
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=True)
    try:
        child = pactsh(own)
        child.expect_exact("pact:node042> ")
        child.sendline("seq 400000")
        child.expect("pact: warning: this session ends: it can't be recorded any more .No space left on device")
        assert left(child) == 3
        (path,) = casts(own.directory)
        again = pactsh(own)
        again.expect("this one can't be: No space left on device")
        assert left(again) == 3
        assert [cast.name for cast in casts(own.directory)] == [path.name]
        own.stop()
        (end,) = own.entries("session.end")
        assert is_as_journaled(path, end)
        assert "No space left" in str(body_of(end)["reason"])
        assert recording_of(end)["bytes"] > 0
        read(path)  # whole lines alone
        assert [e.session for e in own.entries("recording.failed")] == [path.stem, ""]
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.e2e
def test_a_prompt_that_finds_its_agent_again_does_not_go_on_unrecorded(tmp_path: Path) -> None:
    made = LocalNode(tmp_path / "n", SMALL).start()
    try:
        child = pactsh(made, term="xterm")
        child.expect("platform-admin")
        made.stop()
        have_policy(made.directory)
        made.start()
        child.expect("sessions are recorded here by now")
        assert left(child) == 3
    finally:
        made.close()


def test_a_recording_can_be_seen_while_it_goes_on(node: LocalNode, newest: Callable[[], Path]) -> None:
    child = pactsh(node)
    child.expect_exact("pact:node042> ")
    child.sendline("uname -s")
    child.expect_exact("Linux")
    child.expect_exact("pact:node042> ")
    path = newest()
    until(lambda: "Linux\r\n" in shown(path))
    env = {"PACT_AGENT_SOCKET": str(node.socket), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [str(BIN / "pact"), "session", "play", "--dump", path.stem], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0
    assert "the session goes on: its hash is in the journal when it has ended" in done.stderr
    assert "Linux\n" in done.stdout
    child.sendline("exit")
    left(child)

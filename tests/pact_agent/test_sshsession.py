"""Sessions over SSH that are recorded: all that the client's terminal is shown, and nothing that isn't."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from pactsh.model.entry import Draft
from pactsh.rpc.ssh import asyncssh
from tests.pact_agent.casts import casts, have_policy, is_as_journaled, left, read, recording_of, shown, until
from tests.pact_agent.localnode import body_of
from tests.pact_agent.sshnode import SshNode, new_key


def recording_node(directory: Path) -> SshNode:
    made = SshNode(directory)
    have_policy(made.node.directory)
    return made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshNode]:
    made = recording_node(tmp_path_factory.mktemp("s"))
    try:
        yield made.start()
    finally:
        made.node.close()


def terminal(node: SshNode, *words: str, term: str = "dumb") -> pexpect.spawn[str]:
    options = [*node.options(), "-tt", "root@127.0.0.1", *words]
    env = {**os.environ, "TERM": term}
    return pexpect.spawn("ssh", options, env=env, encoding="utf-8", timeout=20, dimensions=(24, 90))


def newest(node: SshNode, before: set[Path]) -> tuple[Path, Draft]:
    """The recording that was made meanwhile, and the entry of its session's end."""
    (path,) = set(casts(node.node.directory)) - before
    end: Draft = until(lambda: [e for e in node.entries("session.end") if e.session == path.stem])[0]
    return path, end


def test_a_shell_is_recorded_from_its_first_byte_to_its_last(node: SshNode) -> None:
    before = set(casts(node.node.directory))
    child = terminal(node)
    child.expect_exact("This session is recorded.\r\n")
    child.expect_exact("pact:node042> ")
    child.sendline("printf '[caf\\303\\251]\\n'; uname -n")
    child.expect_exact("[café]\r\n")
    child.expect_exact("pact:node042> ")
    child.setwinsize(33, 111)
    child.sendline("exit 3")
    assert left(child) == 3
    path, end = newest(node, before)
    assert is_as_journaled(path, end)
    assert path.stat().st_mode & 0o777 == 0o600
    header, events = read(path)
    assert (header.width, header.height, header.env) == (90, 24, {"TERM": "dumb"})
    assert header.pact is not None
    assert (header.pact.principal, header.pact.kind, header.pact.source) == ("alice@example.org", "interactive", "ssh")
    assert "".join(e.data for e in events if e.code == "o").startswith("This session is recorded.\r\npact:node042> ")
    assert shown(path).rstrip().endswith("exit 3")
    assert [e.data for e in events if e.code == "r"] == ["111x33"]
    start = next(e for e in node.entries("session.start") if e.session == path.stem)
    assert body_of(start)["recorded"] is True


def test_the_full_prompt_is_recorded_too(node: SshNode) -> None:
    before = set(casts(node.node.directory))
    child = terminal(node, term="xterm")
    child.expect("platform-admin")
    child.send("exit\r")
    assert left(child) == 0
    path, end = newest(node, before)
    assert is_as_journaled(path, end)
    assert "\x1b[" in shown(path)


def test_a_password_that_is_not_echoed_is_not_in_it(node: SshNode, tmp_path: Path) -> None:
    key = new_key(tmp_path / "locked").path
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "correct-horse", "-f", str(key)], check=True)
    before = set(casts(node.node.directory))
    child = terminal(node, "bypass", "ssh-keygen", "-y", "-f", str(key))
    child.expect("passphrase.*: ?")
    child.sendline("wrong-battery")
    child.expect("incorrect passphrase|[Ll]oad failed|bad passphrase")
    left(child)
    path, end = newest(node, before)
    assert is_as_journaled(path, end)
    assert "passphrase" in shown(path)
    assert b"battery" not in path.read_bytes()


def test_what_is_typed_where_it_is_echoed_is_in_it_once(node: SshNode) -> None:
    before = set(casts(node.node.directory))
    child = terminal(node)
    child.expect_exact("pact:node042> ")
    child.sendline("cat")
    child.expect_exact("cat\r\n")
    child.sendline("hello")
    child.expect_exact("hello\r\nhello\r\n")
    child.sendcontrol("d")
    child.expect_exact("pact:node042> ")
    child.sendline("exit")
    left(child)
    path, _ = newest(node, before)
    assert shown(path).count("hello") == 2


def test_a_line_with_a_terminal_is_recorded_and_without_one_it_is_not(node: SshNode) -> None:
    before = set(casts(node.node.directory))
    plain = node.ssh("uname", "-n")
    assert b"recorded" not in plain.stdout + plain.stderr
    assert node.ssh(options=("-T",), stdin=b"uname -n\n").returncode == 0
    assert set(casts(node.node.directory)) == before
    done = node.ssh("uname", "-n", options=("-tt",))
    assert done.stdout == f"This session is recorded.\r\n{os.uname().nodename}\r\n".encode()
    path, end = newest(node, before)
    assert is_as_journaled(path, end)
    assert shown(path).encode() == done.stdout
    refused = node.ssh("rm", "x", options=("-tt",))
    assert refused.returncode == 6


def test_hostile_output_is_kept_as_text(node: SshNode) -> None:
    before = set(casts(node.node.directory))
    node.ssh("printf", '\'\\377\\376\\000\\033]0;x\\007\\\\"\\n\\n[1,\\"o\\"]\'', options=("-tt",))
    path, end = newest(node, before)
    assert is_as_journaled(path, end)
    assert "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\x00\x1b]0;x\x07" in shown(path)


def test_a_connection_that_is_lost_ends_the_recording(node: SshNode) -> None:
    before = set(casts(node.node.directory))
    child = terminal(node)
    child.expect_exact("pact:node042> ")
    child.sendline("sleep 4711")
    child.expect_exact("sleep 4711")
    child.kill(signal.SIGKILL)
    path, end = newest(node, before)
    assert is_as_journaled(path, end)
    assert "sleep 4711" in shown(path)
    assert "recording" in body_of(end)


def test_more_than_the_limit_ends_the_session_with_a_sentence(tmp_path: Path) -> None:
    made = recording_node(tmp_path)
    config = made.node.directory / "agent.toml"
    config.write_text(config.read_text().replace("[limits]\n", "[limits]\nrecording_bytes = 1048576\n"))
    made.start()
    try:
        child = terminal(made)
        child.expect_exact("pact:node042> ")
        child.sendline("seq 1000000")
        child.expect_exact("pact: this session ends: its recording has reached the limit of 1 MiB")
        assert left(child) == 3
        path, end = newest(made, set())
        assert is_as_journaled(path, end)
        assert recording_of(end)["bytes"] <= 1 << 20
        assert body_of(end)["reason"] == "its recording has reached the limit of 1 MiB"
        assert read(path)[1][-1].code == "m"
        (failed,) = made.entries("recording.failed")
        assert (failed.session, failed.author.principal) == (path.stem, "alice@example.org")
    finally:
        made.node.close()


@pytest.mark.e2e
def test_an_agent_that_is_killed_leaves_what_was_shown_and_its_successor_journals_it(tmp_path: Path) -> None:
    made = recording_node(tmp_path).start()
    try:
        child = terminal(made)
        child.expect_exact("pact:node042> ")
        child.sendline("echo before the end")
        child.expect_exact("before the end\r\npact:node042> ")
        (path,) = casts(made.node.directory)
        until(lambda: "before the end\r\npact:node042> " in shown(path))
        made.node.stop(signal.SIGKILL)
        left(child)
        made.start()
        until(path.with_suffix(".sha256").exists)
        (end,) = made.entries("session.end")
        assert is_as_journaled(path, end)
        assert body_of(end)["recovered"] is True
        assert end.author.kind == "agent"
        made.node.stop()
        made.start()  # once is enough
        made.node.stop()
        assert len(made.entries("session.end")) == 1
    finally:
        made.node.close()


@pytest.mark.e2e
def test_a_policy_that_asks_for_recordings_and_a_disk_that_takes_none(tmp_path: Path) -> None:
    made = recording_node(tmp_path).start()
    try:
        (made.node.directory / "state" / "recordings").write_text("in the way")
        for words in ((), ("uname",)):
            done = made.ssh(*words, options=("-tt",))
            assert done.returncode == 3
            assert b"pact: sessions are recorded on this vCluster, and this one can't be: " in done.stdout + done.stderr
        assert made.ssh("uname").returncode == 0
        assert [e.type for e in made.entries("session.start", "recording.failed")] == ["recording.failed"] * 2
    finally:
        made.node.close()


def test_a_terminal_that_is_asked_for_too_late_is_none(node: SshNode) -> None:
    """Whether it is recorded was decided by then."""

    async def go() -> bool | None:
        async with asyncssh.connect(
            "127.0.0.1",
            node.port,
            config=None,
            username="root",
            client_keys=[(str(node.alice.path), str(node.alice.path.with_name("alice-cert.pub")))],
            known_hosts=None,
        ) as conn:
            channel, _ = await conn.create_session(asyncssh.SSHClientSession, "sleep 4715")
            size = (80).to_bytes(4, "big") + (24).to_bytes(4, "big") + bytes(8)
            given = await channel._make_request(b"pty-req", bytes((0, 0, 0, 4)) + b"dumb", size, bytes(4))
            channel.abort()
            return given

    assert asyncio.run(go()) is False

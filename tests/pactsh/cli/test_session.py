"""`pact session play` and `export`, as a user runs them, without and with a node."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from pactsh.model.asciicast import Encoder, Header, Origin
from tests.pact_agent.casts import casts, have_policy, left, until
from tests.pact_agent.localnode import BIN, LocalNode
from tests.pactsh.cli.conftest import RunningJournal, draft
from tests.pactsh.cli.program import clean_environment, run_pact

ID = "0123456789abcdef"
BEGAN = 1769860800  # 2026-01-31T12:00:00Z


def cast(path: Path, *shown: tuple[float, str], session: str = "") -> Path:
    encoder = Encoder(Header(2, 80, 24, BEGAN, pact=Origin(session, "node042") if session else None))
    path.write_bytes(encoder.header() + b"".join(encoder.output(at, text.encode()) for at, text in shown))
    return path


def played(home: Path, *args: str) -> pexpect.spawn[str]:
    env = clean_environment(home, {"TERM": "xterm"})
    return pexpect.spawn(
        str(BIN / "pact"), ["session", "play", *args], env=env, encoding="utf-8", timeout=20, dimensions=(20, 60)
    )


def test_a_file_is_played_without_any_server(tmp_path: Path) -> None:
    path = cast(tmp_path / "x.cast", (0.1, "hello\r\n"), (1000, "\x1b[6nworld"))
    child = played(tmp_path, str(path), "--speed", "50", "--idle-limit", "5")
    child.expect_exact("pact: hash not checked: it does not say which session of pact's it is of")
    child.expect_exact("recorded at 80x24, this terminal is 60x20")
    child.expect_exact("hello\r\nworld")
    assert left(child) == 0


def test_space_pauses_and_q_ends_it(tmp_path: Path) -> None:
    path = cast(tmp_path / "x.cast", (0, "begin"), (1000, "never"))
    child = played(tmp_path, str(path))
    child.expect_exact("begin")
    child.send(" ")
    child.send(" ")  # on at once
    child.expect_exact("never")
    assert left(child) == 0
    child = played(tmp_path, str(path))
    child.expect_exact("begin")
    child.send("q")
    assert left(child) == 0
    child = played(tmp_path, str(path))
    child.expect_exact("begin")
    child.sendintr()
    assert left(child) == 130


def test_the_text_and_the_events(tmp_path: Path) -> None:
    path = cast(tmp_path / "x.cast", (0.5, "\x1b[31mhello\r\n"), (2, "world"))
    done = run_pact(tmp_path, "session", "play", "--dump", str(path))
    assert (done.returncode, done.stdout) == (0, "hello\nworld\n")
    done = run_pact(tmp_path, "session", "play", "--output", "json", str(path))
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"time": 0.5, "code": "o", "data": "\x1b[31mhello\r\n"},
        {"time": 2.0, "code": "o", "data": "world"},
    ]


def test_it_is_played_on_a_terminal_alone(tmp_path: Path) -> None:
    path = cast(tmp_path / "x.cast", (0.5, "hello"))
    done = run_pact(tmp_path, "session", "play", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "this is none" in done.stderr
    assert "--dump" in done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "not an asciicast"),
        (b"\x7fELF\x00\n", "not an asciicast"),
        (b'{"version": 1}\n', "asciicast of version 1"),
        (b'{"version": 2, "width": 80, "height": 24}\n[1, "o"]\n', "line 2: not an event"),
        (
            b'{"version": 2, "width": 80, "height": 24}\n[1, "o", "x"]\nnonsense\n[2, "o", "y"]\n',
            "line 3: not an event",
        ),
    ],
)
def test_what_is_no_recording_is_told_before_anything_is_shown(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "x.cast"
    if content is not None:
        path.write_bytes(content)
    done = run_pact(tmp_path, "session", "play", "--dump", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{path}: " in done.stderr
    assert says in done.stderr


def test_odd_arguments_are_told(tmp_path: Path) -> None:
    for args, says in (
        (["play", "--dump", str(tmp_path)], "Is a directory"),
        (["play", "--dump", "--node", "node042", "x.cast"], "--node is for the id of a session"),
        (["play", "--speed", "0", "x"], "--speed"),
        (["play", "--idle-limit", "-1", "x"], "--idle-limit"),
        (["export", "x.cast"], "expected the id of a session"),
        (["play", "--dump", "/dev/zero"], "over 256 MiB"),
    ):
        done = run_pact(tmp_path, "session", *args)
        assert (done.returncode, done.stdout) == (1, ""), args
        assert says in done.stderr, args


def test_a_file_is_held_against_the_journal(tmp_path: Path, journal: RunningJournal) -> None:
    path = cast(tmp_path / "x.cast", (0.5, "hello"), session=ID)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    journal.append(
        draft(1, "session.start", session=ID, body={"kind": "login"}),
        draft(2, "session.end", session=ID, body={"recording": {"sha256": digest, "bytes": 1, "seconds": 0.5}}),
    )
    done = run_pact(tmp_path, "session", "play", "--dump", str(path), env=journal.env())
    assert (done.returncode, done.stdout) == (0, "hello\n")
    seq = int(done.stderr.removeprefix("pact: hash matches seq:"))
    path.write_bytes(path.read_bytes().replace(b"hello", b"HELLO"))
    done = run_pact(tmp_path, "session", "play", "--dump", str(path), env=journal.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert f"this is not what was recorded: seq:{seq} has the hash {digest[:16]}" in done.stderr
    done = run_pact(tmp_path, "session", "play", "--dump", "--force", str(path), env=journal.env())
    assert (done.returncode, done.stdout) == (0, "HELLO\n")
    assert "this is not what was recorded" in done.stderr
    other = cast(tmp_path / "y.cast", (0.5, "hello"), session="f" * 16)
    done = run_pact(tmp_path, "session", "play", "--dump", str(other), env=journal.env())
    assert "the journal shows no end of session" in done.stderr
    gone = run_pact(tmp_path, "session", "play", "--dump", "e" * 16, env=journal.env())
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "--node NODE asks that node" in gone.stderr


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A node without a journal, with a recording on it."""
    made = LocalNode(tmp_path_factory.mktemp("n"), "[limits]\nspool_bytes = 4194304\n", '"pact-viewer-ml-training"')
    have_policy(made.directory)
    try:
        made.start()
        env = {"PACT_AGENT_SOCKET": str(made.socket), "PATH": os.environ["PATH"], "TERM": "dumb"}
        child: pexpect.spawn[str] = pexpect.spawn(
            str(BIN / "pactsh"), ["-c", "uname -s"], env=env, encoding="utf-8", timeout=20
        )
        left(child)
        until(lambda: casts(made.directory) and casts(made.directory)[0].with_suffix(".sha256").exists())
        yield made
    finally:
        made.close()


def test_on_the_node_ones_own_recording_is_played_and_exported(tmp_path: Path, recorder: LocalNode) -> None:
    env = {"PACT_AGENT_SOCKET": str(recorder.socket)}
    (path,) = casts(recorder.directory)
    done = run_pact(tmp_path, "session", "play", "--dump", path.stem, env=env)
    assert (done.returncode, done.stdout) == (0, "This session is recorded.\nLinux\n")
    assert "hash not checked: no journal is configured" in done.stderr
    done = run_pact(tmp_path, "session", "export", path.stem, env=env)
    assert (done.returncode, done.stdout.encode()) == (0, path.read_bytes())
    listed = run_pact(tmp_path, "session", "list", "--output", "json", env=env)
    (session,) = json.loads(listed.stdout)["sessions"]
    assert (session["id"], session["recorded"], session["state"]) == (path.stem, True, "ended")


def test_on_the_node_others_are_refused_and_unknown_ones_too(tmp_path: Path, recorder: LocalNode) -> None:
    env = {"PACT_AGENT_SOCKET": str(recorder.socket)}
    (path,) = casts(recorder.directory)
    other = path.with_name(f"{ID}.cast")
    header, _, rest = path.read_bytes().partition(b"\n")
    theirs = json.loads(header)
    theirs["pact"] |= {"session": ID, "principal": "bob@org"}
    other.write_bytes(json.dumps(theirs).encode() + b"\n" + rest)
    for args in (["play", "--dump"], ["export"]):
        for name in (ID, "f" * 16):
            done = run_pact(tmp_path, "session", *args, name, env=env)
            assert (done.returncode, done.stdout) == (2, "")
            assert "may not see recordings of others' sessions" in done.stderr
    told = run_pact(tmp_path, "session", "export", "--output", "json", ID, env=env)
    assert json.loads(told.stderr)["error"]["kind"] == "forbidden"

"""`watch` on a real agent: what it repeats, how it ends, and what it never runs."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pact_agent.localnode import DEADLINE_S, LocalNode, Wire, body_of

MakeNode = Callable[..., LocalNode]


def session(wire: Wire) -> None:
    wire.send({"op": "session", "kind": "script", "term": "dumb"})
    wire.until("session")


def start(wire: Wire, line: str) -> int:
    """Run a line with pipes; the end to read its output from."""
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    wire.send({"op": "run", "line": line, "fds": 3, "term": "dumb"}, (null, write, write))
    os.close(write)
    os.close(null)
    return read


def seen(read: int, count: int) -> str:
    """The output up to the `count`-th title."""
    text = ""
    while len(re.findall(r"^Every ", text, re.MULTILINE)) < count:
        data = os.read(read, 65536)
        assert data, f"it ended after {text!r}"
        text += data.decode()
    return text


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("watch -g -n 0.5 date +%s%N", 0, r"^Every 0.5s: date \+%s%N  "),
        ("watch -q 2 -n 0.5 echo same", 0, r"(?s)(same.*){3}"),
        ("watch -e -n 0.5 ls /nonexistent", 2, "cannot access '/nonexistent'"),
        ("watch -e -n 0.5 'true && false || ls /nonexistent'", 2, "cannot access"),
        ("watch -e -t -n 0.5 'echo out; false'", 1, "^out$"),
        ("watch -q 1 -n 0.5 \"ls /usr | grep '^bi*n$'\"", 0, "^bin$"),
        ("watch -q 1 -n 0.5 echo '$(id)' '; id'", 0, r"^\$\(id\) ; id$"),  # words of one command, read once
        ("watch --help", 0, "watch - repeat"),
    ],
)
def test_it_repeats_a_line_until_its_options_say_enough(node: LocalNode, line: str, status: int, says: str) -> None:
    done = node.line(line)
    assert done.returncode == status, done.stderr
    assert re.search(says, done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("watch rm -rf /tmp/x", "unknown-command"),
        ("watch 'uptime; rm -rf /tmp/x'", "unknown-command"),
        ("watch cat /etc/shadow", "secret-path"),
        ("watch 'cat </etc/shadow'", "secret-path"),
        ("watch 'cat $(id)'", "command-substitution"),
        ("watch 'ls > /tmp/x'", "redirect-write"),
        ("watch kill -9 99999", "watch-change"),
        ("watch 'sysctl -w vm.swappiness=1'", "watch-change"),
        ("watch cd /", "watch-change"),
        ("watch exit", "watch-change"),
        ("watch watch uptime", "watch-change"),
        ("watch " + "watch " * 2000 + "uptime", "watch-change"),
        ("watch pact --token x status", "secret-argument"),
        ("watch uptime | cat", "watch-alone"),
        ("echo x | watch uptime", "watch-alone"),
        ("uptime && watch rm x", "unknown-command"),
        ("watch sh", "unknown-command"),
        ("watch -n 1 /bin/sh", "command-path"),
    ],
)
def test_it_repeats_nothing_that_could_not_be_typed_or_that_changes_something(
    make_node: MakeNode, line: str, code: str
) -> None:
    node = make_node()
    with node.connect() as wire:
        session(wire)
        frame, output = wire.run(line)
    assert (frame["op"], output) == ("refused", b"")
    assert frame["code"] == code
    start_, end = frame["span"]
    assert 0 <= start_ < end <= len(line)
    node.stop()
    assert [body_of(e)["code"] for e in node.entries("refusal")] == [code]
    assert node.entries("intent") == []


def test_an_interrupt_ends_it_and_what_it_runs(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as wire:
        session(wire)
        read = start(wire, "watch -n 0.5 'echo tick; sleep 300'; echo later")
        wire.until("started")
        deadline = time.monotonic() + 20
        while not _sleeping(node) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert _sleeping(node)
        wire.send({"op": "signal", "name": "INT"})
        assert wire.until("exit")["status"] == 130
        with os.fdopen(read, "rb") as output:
            assert b"later" not in output.read()
        assert not _sleeping(node)
    node.stop()
    (outcome,) = node.entries("outcome")
    assert body_of(outcome)["status"] == 130


def test_an_interrupt_that_comes_before_it_shows_anything_ends_it_too(node: LocalNode) -> None:
    with node.connect() as wire:
        session(wire)
        for _ in range(10):
            read = start(wire, "watch -n 0.5 date")
            wire.send({"op": "signal", "name": "INT"})
            assert wire.until("exit")["status"] == 130
            os.close(read)


def test_what_it_repeats_knows_how_wide_the_window_is_now(node: LocalNode) -> None:
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "interactive", "term": "xterm"})
        wire.until("session")
        master, slave = os.openpty()
        line = {"op": "run", "line": "watch -n 0.5 printenv COLUMNS", "fds": 3, "term": "xterm", "rows": 24, "cols": 80}
        wire.send(line, (slave,) * 3)
        wire.until("started")
        shown = ""
        for columns in (80, 132):
            wire.send({"op": "resize", "rows": 24, "cols": columns})
            ends = time.monotonic() + DEADLINE_S
            while f"\n{columns}\x1b" not in shown:
                assert time.monotonic() < ends, shown
                assert select.select([wire.fds[0]], [], [], DEADLINE_S)[0], shown
                shown += os.read(wire.fds[0], 65536).decode()
        wire.send({"op": "signal", "name": "INT"})
        assert wire.until("exit")["status"] == 130
        os.close(master)
        os.close(slave)


def test_a_file_that_is_called_like_a_line_is_a_file(node: LocalNode, tmp_path: Path) -> None:
    (tmp_path / "echo pwned && id").touch()
    done = node.pactsh(stdin=f"cd {tmp_path}\nwatch -q1 -n 0.5 *\n")
    assert (done.returncode, done.stdout) == (6, "")
    assert "echo pwned && id" in done.stderr


def _sleeping(node: LocalNode) -> bool:
    """Whether a `sleep 300` runs somewhere below this node's agent."""
    found = {node.pid}
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = process.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(process.parent.name)] = int(fields[1])
    for _ in range(6):
        found |= {pid for pid, parent in parents.items() if parent in found}
    lines = []
    for pid in found:
        try:
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
    return b"sleep\x00300\x00" in lines


def test_it_ends_with_its_reader_and_with_its_connection(node: LocalNode) -> None:
    with node.connect() as wire:
        session(wire)
        read = start(wire, "watch -n 0.5 date")
        seen(read, 2)
        os.close(read)
        assert wire.until("exit")["status"] == 141
        read = start(wire, "watch -n 0.5 date")
        seen(read, 1)
    with os.fdopen(read, "rb") as output:
        output.read()  # ends only when the last writer has gone


def test_the_record_says_once_what_is_repeated(make_node: MakeNode) -> None:
    node = make_node()
    node.line("watch -q 3 -n 0.5 'echo a | cat && true'")
    node.stop()
    (intent,) = node.entries("intent")
    (stage,) = body_of(intent)["stages"]
    assert stage["argv"] == ["watch", "-q", "3", "-n", "0.5", "echo a | cat && true"]
    assert [s["argv"] for s in stage["repeats"]] == [["echo", "a"], ["cat"], ["true"]]
    assert body_of(intent)["class"] == "read"
    assert len(node.entries("outcome")) == 1

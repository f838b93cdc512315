"""Single lines and scripts on somebody's own terminal: recorded where sessions are, in whatever way they come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pact_agent.casts import casts, have_policy, is_as_journaled, shown
from tests.pact_agent.localnode import LocalNode, body_of
from tests.pact_agent.test_console import SMALL, pactsh, runs
from tests.pact_agent.test_sshsession import left, until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LocalNode]:
    made = LocalNode(tmp_path / "n", SMALL)
    have_policy(made.directory)
    try:
        yield made.start()
    finally:
        made.close()


def sealed(node: LocalNode) -> Path:
    (path,) = until(lambda: casts(node.directory))
    until(path.with_suffix(".sha256").exists)
    assert isinstance(path, Path)
    return path


def test_a_line_on_a_terminal_is_recorded(node: LocalNode) -> None:
    child = pactsh(node, "-c", "uname -n; uname -s")
    child.expect_exact(f"This session is recorded.\r\n{os.uname().nodename}\r\nLinux\r\n")
    assert left(child) == 0
    path = sealed(node)
    node.stop()
    start, end = node.entries("session.start", "session.end")
    assert is_as_journaled(path, end)
    assert (body_of(start)["kind"], body_of(start)["recorded"]) == ("exec", True)
    assert shown(path) == f"This session is recorded.\r\n{os.uname().nodename}\r\nLinux\r\n"


def test_keys_reach_it_and_interrupts_too(node: LocalNode) -> None:
    child = pactsh(node, "-c", "head -n 1; sleep 4714")
    child.expect_exact("recorded.")
    child.sendline("typed")
    child.expect_exact("typed\r\ntyped\r\n")
    until(lambda: runs("sleep 4714"))
    child.sendintr()
    assert left(child) == 130
    assert shown(sealed(node)).count("typed") == 2


def test_a_script_whose_lines_show_something_on_a_terminal_is_recorded_as_one(node: LocalNode, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("uname -s\nuname -n\n")
    child = pactsh(node, str(script))
    child.expect_exact("This session is recorded.\r\nLinux\r\n")
    assert left(child) == 0
    path = sealed(node)
    node.stop()
    start, end = node.entries("session.start", "session.end")
    assert is_as_journaled(path, end)
    assert start.session == path.stem
    assert body_of(end)["lines"] == 2


def test_what_goes_into_a_pipe_or_a_file_is_not_recorded(node: LocalNode) -> None:
    assert node.line("uname -s").stdout == "Linux\n"
    assert node.pactsh(stdin="uname -s\n").stdout == "Linux\n"
    assert casts(node.directory) == []


def test_a_line_that_is_refused_leaves_no_terminal_unrecorded(node: LocalNode) -> None:
    child = pactsh(node, "-c", "rm x")
    child.expect("not on the whitelist")
    assert left(child) == 6


def test_where_it_can_not_be_recorded_it_does_not_run(node: LocalNode) -> None:
    (node.directory / "state" / "recordings").write_text("in the way")
    child = pactsh(node, "-c", "uname -s")
    child.expect("this one can't be: ")
    assert left(child) == 3
    node.stop()
    assert [e.type for e in node.entries("intent", "recording.failed")] == ["recording.failed"]

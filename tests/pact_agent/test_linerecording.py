"""Single lines and scripts on somebody's own terminal: recorded where sessions are, in whatever way they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pact_agent.casts import casts, end_of, entries, have_policy, is_as_journaled, left, shown, until
from tests.pact_agent.localnode import LocalNode, body_of, running
from tests.pact_agent.test_console import SMALL, pactsh, runs


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """One node, whose recordings `newest` tells apart."""
    made = LocalNode(tmp_path_factory.mktemp("n"), SMALL)
    have_policy(made.directory)
    yield from running(made)


@pytest.fixture
def newest(node: LocalNode) -> Callable[[], Path]:
    before = set(casts(node.directory))

    def find() -> Path:
        (path,) = set(casts(node.directory)) - before
        return path

    return find


def test_a_line_on_a_terminal_is_recorded(node: LocalNode, newest: Callable[[], Path]) -> None:
    child = pactsh(node, "-c", "uname -n; uname -s")
    child.expect_exact(f"This session is recorded.\r\n{os.uname().nodename}\r\nLinux\r\n")
    assert left(child) == 0
    end = end_of(node.directory, path := newest())
    (start,) = (e for e in entries(node.directory, "session.start") if e.session == path.stem)
    assert is_as_journaled(path, end)
    assert (body_of(start)["kind"], body_of(start)["recorded"]) == ("exec", True)
    assert shown(path) == f"This session is recorded.\r\n{os.uname().nodename}\r\nLinux\r\n"


def test_keys_reach_it_and_interrupts_too(node: LocalNode, newest: Callable[[], Path]) -> None:
    child = pactsh(node, "-c", "head -n 1; sleep 4714")
    child.expect_exact("recorded.")
    child.sendline("typed")
    child.expect_exact("typed\r\ntyped\r\n")
    until(lambda: runs("sleep 4714"))
    child.sendintr()
    assert left(child) == 130
    assert is_as_journaled(newest(), end_of(node.directory, newest()))
    assert shown(newest()).count("typed") == 2


def test_a_script_whose_lines_show_something_on_a_terminal_is_recorded_as_one(
    node: LocalNode, newest: Callable[[], Path], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("uname -s\nuname -n\n")
    child = pactsh(node, str(script))
    child.expect_exact("This session is recorded.\r\nLinux\r\n")
    assert left(child) == 0
    end = end_of(node.directory, path := newest())
    assert is_as_journaled(path, end)
    assert body_of(end)["lines"] == 2
    assert path.stem in {e.session for e in entries(node.directory, "session.start")}


def test_what_goes_into_a_pipe_or_a_file_is_not_recorded(node: LocalNode) -> None:
    before = casts(node.directory)
    assert node.line("uname -s").stdout == "Linux\n"
    assert node.pactsh(stdin="uname -s\n").stdout == "Linux\n"
    assert casts(node.directory) == before


def test_a_line_that_is_refused_is_refused_as_ever(node: LocalNode) -> None:
    child = pactsh(node, "-c", "rm x")
    child.expect("not on the whitelist")
    assert left(child) == 6


def test_where_it_can_not_be_recorded_it_does_not_run(node: LocalNode) -> None:
    place = node.directory / "state" / "recordings"
    aside = place.rename(place.with_name("aside"))
    place.write_text("in the way")
    before = len(entries(node.directory, "intent"))
    try:
        child = pactsh(node, "-c", "uname -s")
        child.expect("this one can't be: ")
        assert left(child) == 3
    finally:
        place.unlink()
        aside.rename(place)
    assert len(entries(node.directory, "intent")) == before
    assert len(entries(node.directory, "recording.failed")) == 1

"""What a search keeps: the newest lines, and it says what it left out and why."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from pact_agent.diag.found import Search

from tests.pact_agent.diag.searching import search

LINES = [b"1", b"2 x", b"3", b"4 x", b"5 x"]


def forward(found: Search, lines: Iterable[bytes]) -> tuple[list[str], str]:
    for line in lines:
        found.newer(line)
    return found.found("s").lines, found.limit


def backward(found: Search, lines: Iterable[bytes]) -> tuple[list[str], str]:
    for line in reversed([*lines]):
        found.older(line)
    return found.found("s").lines, found.limit


@pytest.mark.parametrize("way", [forward, backward])
def test_lines_are_counted_after_the_filter(way: object) -> None:
    assert callable(way)
    assert way(search(lines=3, grep="x"), LINES) == (["2 x", "4 x", "5 x"], "")
    assert way(search(lines=2, grep="x"), LINES) == (["4 x", "5 x"], "lines")
    assert way(search(lines=5), LINES) == (["1", "2 x", "3", "4 x", "5 x"], "")
    assert way(search(lines=9, grep="y"), LINES) == ([], "")


@pytest.mark.parametrize("way", [forward, backward])
def test_there_is_an_end_of_text(way: object) -> None:
    assert callable(way)
    assert way(search(limit_bytes=6), LINES) == (["4 x", "5 x"], "size")
    assert way(search(limit_bytes=2), LINES)[1] == "size"


def test_what_matches_is_what_is_shown() -> None:
    assert forward(search(grep=r"\\x1b\[2J"), [b"\x1b[2J", b"2J"]) == (["\\x1b[2J"], "")
    assert forward(search(grep="^gr.n$"), ["grün".encode(), b"gr\xfcn"]) == (["grün"], "")


def test_a_part_is_older_than_the_rest() -> None:
    whole = search(lines=4)
    for line in (b"6", b"5"):
        whole.older(line)
    part = whole.part()
    for line in (b"1", b"2", b"3"):
        part.newer(line)
    whole.merge(part)
    assert (whole.found("s").lines, whole.limit) == (["2", "3", "5", "6"], "lines")


def test_when_the_time_is_over_that_is_said() -> None:
    late = search(limit_s=-1)
    assert late.is_late()
    assert late.is_over
    assert late.found("s").limit == "time"

"""Files read from their end: the same lines, whatever the chunks are, and no more memory than the longest may take."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from pact_agent.diag.backward import lines_backward
from pact_agent.diag.shown import MOST_BYTES


def backward(path: Path, data: bytes, chunk: int) -> list[tuple[bytes, int]]:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return [line for line in lines_backward(fd, chunk) if line[1] >= 0]
    finally:
        os.close(fd)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 18])
@pytest.mark.parametrize("data", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\na\n\n", b"one\ntwo two\n\nthree\n", b"\nx"])
def test_the_lines_are_those_of_the_file(tmp_path: Path, data: bytes, chunk: int) -> None:
    expected = data.split(b"\n")[: -1 if data.endswith(b"\n") or not data else None]
    assert backward(tmp_path / "log", data, chunk) == [(line, 0) for line in reversed(expected)]


def test_any_file_by_any_chunk(tmp_path: Path) -> None:
    dice = random.Random(7)
    for _ in range(100):
        data = bytes(dice.choice(b"ab\n") for _ in range(dice.randrange(60)))
        assert backward(tmp_path / "log", data, dice.randrange(1, 20)) == backward(tmp_path / "log", data, 1 << 18)


@pytest.mark.parametrize("chunk", [1000, 8192, 1 << 18])
def test_of_a_line_without_end_the_beginning_is_kept(tmp_path: Path, chunk: int) -> None:
    long = b"begin" + b"x" * 1_000_000
    last, middle, first = backward(tmp_path / "log", b"one\n" + long + b"\ntwo", chunk)
    assert (last, first) == ((b"two", 0), (b"one", 0))
    assert middle[0].startswith(b"begin")
    assert len(middle[0]) + middle[1] == len(long)
    assert len(middle[0]) == MOST_BYTES or chunk > len(long)


def test_a_huge_file_is_read_at_its_end_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(10 << 30)  # a hole: nothing is written
        file.seek(0, os.SEEK_END)
        file.write(b"\nnewest\n")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert next(iter(lines_backward(fd))) == (b"newest", 0)
    finally:
        os.close(fd)

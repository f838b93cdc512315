"""What becomes of nodes' output: prefixed line by line, or folded."""

from __future__ import annotations

import asyncio

import pytest

from pactsh.cli.outputs import Folded, Kept, Prefixed


def prefixed(capfdbinary: pytest.CaptureFixture[bytes], *chunks: tuple[int, bytes]) -> tuple[bytes, bytes]:
    async def run() -> None:
        target = Prefixed("n1", lambda: None)
        for fd, data in chunks:
            await target.write(fd, data)
        await target.finish()

    asyncio.run(run())
    return capfdbinary.readouterr()


def test_each_line_has_its_node_however_it_comes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    chunks = [(1, b"on"), (2, b"err\n"), (1, b"e\ntwo\n\nlast"), (2, b"\xff")]
    assert prefixed(capfdbinary, *chunks) == (b"n1: one\nn1: two\nn1: \nn1: last\n", b"n1: err\nn1: \xff\n")


def test_a_line_without_end_is_not_kept_for_ever(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    out, _ = prefixed(capfdbinary, *[(1, b"x" * 50_000)] * 4)
    assert [len(line) for line in out.splitlines()] == [100_004, 100_004]


def test_nothing_printed_is_nothing_shown(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert prefixed(capfdbinary, (1, b"")) == (b"", b"")


def kept(stdout: bytes, stderr: bytes = b"") -> Kept:
    async def run() -> Kept:
        made = Kept()
        await made.write(1, stdout)
        await made.write(2, stderr)
        return made

    return asyncio.run(run())


def test_what_is_the_same_is_folded() -> None:
    folded = Folded(1000)
    for node, said, status in (("n3", b"a", 0), ("n1", b"a", 0), ("n2", b"b", 0), ("n4", b"a", 1)):
        assert folded.add(node, kept(said), "ran", status)
    assert folded.groups() == [
        (["n1", "n3"], "ran", 0, b"a", b""), (["n2"], "ran", 0, b"b", b""), (["n4"], "ran", 1, b"a", b""),
    ]  # fmt: skip


def test_streams_are_not_mixed_up_by_folding() -> None:
    folded = Folded(1000)
    folded.add("n1", kept(b"ab", b"c"), "ran", 0)
    folded.add("n2", kept(b"a", b"bc"), "ran", 0)
    assert len(folded.groups()) == 2


def test_outputs_that_differ_are_bounded_in_all() -> None:
    folded = Folded(100)
    assert folded.add("n1", kept(b"x" * 60), "ran", 0)
    assert folded.add("n2", kept(b"x" * 60), "ran", 0), "the same again takes no room"
    assert not folded.add("n3", kept(b"y" * 60), "ran", 0)
    assert folded.groups()[1] == (["n3"], "ran", 0, b"", b"")


def test_bytes_that_are_no_text_are_shown() -> None:
    assert kept("é".encode("latin-1")).text(1) == "\\xe9"

"""`zgrep` without its shell script: what it finds, what it says of bad files, and that it starts nothing else."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pact_agent.feeding import Damaged, plain

from tests.pact_agent.localnode import LocalNode, body_of

MakeNode = Callable[..., LocalNode]


def text_of(data: bytes) -> bytes:
    """What `plain` makes of bytes that come in small pieces."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            for at in range(0, len(data), 7):
                os.write(write, data[at : at + 7])
        finally:
            os._exit(0)
    os.close(write)
    try:
        return b"".join(plain(read))
    finally:
        os.close(read)
        os.waitpid(pid, 0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_members_are_read_one_after_the_other(parts: list[bytes]) -> None:
    assert text_of(b"".join(gzip.compress(p) for p in parts)) == b"".join(parts)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300).filter(lambda b: b[:2] != b"\x1f\x8b"))
def test_what_is_not_compressed_is_given_out_as_it_is(data: bytes) -> None:
    assert text_of(data) == data


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=20, max_size=300), st.integers(1, 18), st.binary(max_size=20))
def test_a_cut_or_spoilt_file_is_damaged_never_a_crash(data: bytes, cut: int, junk: bytes) -> None:
    whole = gzip.compress(data)
    with pytest.raises(Damaged):
        text_of(whole[:-cut])
    try:
        text_of(whole[:15] + junk + whole[15 + len(junk) :])
    except Damaged:
        pass


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "new.log").write_text("one error\ntwo\n")
    (tmp_path / "old.gz").write_bytes(gzip.compress(b"three\nfour Error\n" * 2000) + gzip.compress(b"last error\n"))
    (tmp_path / "none.gz").write_bytes(gzip.compress(b"nothing here\n"))
    (tmp_path / "bad.gz").write_bytes(gzip.compress(b"error\n" * 9000)[:-9])
    (tmp_path / "long.gz").write_bytes(gzip.compress(b"error\n" + b"a line without\n" * 50_000))
    (tmp_path / "odd name.gz").write_bytes(gzip.compress(b"error\n"))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "error new.log",
        "-i error old.gz",
        "-c error new.log old.gz none.gz",
        "-h error new.log old.gz",
        "-l error new.log none.gz old.gz",
        "-n last old.gz",
        "-H last old.gz",
        "-q error new.log old.gz",
        "-v -c e new.log none.gz",
        "absent none.gz new.log",
        "-e one -e last new.log old.gz",
        "error 'odd name.gz'",
        "error 'odd name.gz' missing.gz",
        "-m 1 -A 1 three old.gz",
        "-L error new.log none.gz",
        # It has read enough long before the end.
        "-q error long.gz",
        "-l error long.gz new.log",
        "-m 1 error long.gz",
    ],
)
def test_it_prints_and_ends_as_zgrep_does(node: LocalNode, logs: Path, words: str) -> None:
    theirs = subprocess.run(
        ["/bin/sh", "-c", f"zgrep {words}"], cwd=logs, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    ours = node.line(f"cd {logs}; zgrep {words}")
    assert (ours.stdout, ours.returncode) == (theirs.stdout, theirs.returncode), ours.stderr
    assert bool(ours.stderr) == bool(theirs.stderr)


def test_standard_input_is_decompressed_too(node: LocalNode, logs: Path) -> None:
    assert node.line(f"zgrep -c last <{logs}/old.gz").stdout == "1\n"
    assert node.line(f"cat {logs}/old.gz | zgrep -c last | cat").stdout == "1\n"


def test_a_damaged_file_gives_what_there_is_and_says_so(node: LocalNode, logs: Path) -> None:
    done = node.line(f"cd {logs}; zgrep -c error bad.gz new.log")
    assert done.returncode == 2
    assert "bad.gz: the compressed data ends too early" in done.stderr
    assert "new.log:1\n" in done.stdout


def test_the_record_holds_the_line_as_it_was_typed(make_node: MakeNode, logs: Path) -> None:
    node = make_node()
    node.line(f"zgrep -i error {logs}/old.gz {logs}/new.log")
    node.stop()
    (intent,) = node.entries("intent")
    (stage,) = body_of(intent)["stages"]
    assert stage["argv"] == ["zgrep", "-i", "error", f"{logs}/old.gz", f"{logs}/new.log"]


def test_a_link_to_a_secret_is_masked_for_it_as_well(node: LocalNode, logs: Path) -> None:
    (logs / "link.gz").symlink_to("/etc/shadow")
    done = node.line(f"zgrep root {logs}/link.gz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "ermission denied" in done.stderr

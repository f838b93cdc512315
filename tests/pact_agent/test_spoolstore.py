"""A damaged spool: every byte may be cut or flipped, and what can be read is read, what can't is said."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pact_agent.records import HEADER_BYTES, Unnumbered, decode_draft, encode_draft
from pact_agent.segments import Disk
from pact_agent.spoolstore import Recovery, Store, open_store

from pactsh.model.entry import Author

RESERVE = 1 << 20


def payload(message: str) -> bytes:
    return encode_draft(Unnumbered("t", "intent", "node:n1", Author("a"), message=message))


def store_in(directory: Path, reserve: int = RESERVE) -> tuple[Store, Recovery]:
    return open_store(directory, "n1", reserve, Disk())


def messages(store: Store) -> list[str | None]:
    found = (store.read(n) for n in range(store.acked + 1, store.last + 1))
    return [decode_draft(p).message if p is not None else None for p in found]


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, int]:
    """A spool of three entries, each from a write of its own; and where the third one starts."""
    directory = tmp_path / "spool"
    directory.mkdir()
    store, _ = store_in(directory)
    ends = []
    for name in ("one", "two", "three"):
        assert store.write([payload(name)]) == 1
        ends.append(store._used[-1].end)
    store.close()
    return directory, ends[1]


def test_any_cut_in_the_last_record_leaves_the_others(three: tuple[Path, int], tmp_path: Path) -> None:
    directory, start = three
    whole = (directory / "segment-0000").read_bytes()
    for cut in range(start, start + 24 + len(payload("three"))):
        copy = tmp_path / f"cut{cut}"
        shutil.copytree(directory, copy)
        fd = os.open(copy / "segment-0000", os.O_WRONLY)
        os.pwrite(fd, whole[:cut].ljust(len(whole), b"\0"), 0)
        os.close(fd)
        store, recovery = store_in(copy)
        assert messages(store) == ["one", "two"], cut
        assert recovery.damaged == ()
        assert bool(recovery.torn) == (cut > start), cut
        assert store.write([payload("next")]) == 1
        assert messages(store) == ["one", "two", "next"]
        store.close()
        again, clean = store_in(copy)
        assert messages(again) == ["one", "two", "next"]
        assert clean.torn == ()
        again.close()
        shutil.rmtree(copy)


def test_any_flipped_byte_in_the_middle_is_reported_and_skipped(three: tuple[Path, int], tmp_path: Path) -> None:
    directory, _ = three
    first_end = HEADER_BYTES + 24 + len(payload("one")) + 7 & ~7
    for at in range(HEADER_BYTES, first_end - 8, 3):
        copy = tmp_path / f"flip{at}"
        shutil.copytree(directory, copy)
        fd = os.open(copy / "segment-0000", os.O_RDWR)
        byte = os.pread(fd, 1, at)
        os.pwrite(fd, bytes([byte[0] ^ 0x41]), at)
        os.close(fd)
        store, recovery = store_in(copy)
        if at in range(HEADER_BYTES + 20, HEADER_BYTES + 24):  # four unused bytes of the head
            assert messages(store) == ["one", "two", "three"]
        else:
            assert messages(store) == [None, "two", "three"], at
            assert [(d.segment, d.first, d.last) for d in recovery.damaged] == [("segment-0000", 1, 1)]
            assert (copy / "damaged" / "segment-0000-1").exists()
        store.close()
        shutil.rmtree(copy)


def test_a_damaged_segment_header_does_not_hide_the_records(three: tuple[Path, int]) -> None:
    directory, _ = three
    fd = os.open(directory / "segment-0000", os.O_RDWR)
    os.pwrite(fd, b"\xff" * 64, 0)
    os.close(fd)
    store, _ = store_in(directory)
    assert messages(store) == ["one", "two", "three"]
    store.close()


def test_the_end_of_a_full_segment_is_missed_when_damaged(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    count = 0
    while len(store._used) < 2:
        store.write([payload(f"{count}" + "x" * 30_000)])
        count += 1
    offset = store._used[0].offsets[-1]
    store.close()
    fd = os.open(tmp_path / "segment-0000", os.O_RDWR)
    os.pwrite(fd, b"\xff" * 100, offset)
    os.close(fd)
    again, recovery = store_in(tmp_path)
    assert again.last == count
    assert messages(again)[-2] is None
    assert [(d.first, d.last) for d in recovery.damaged] == [(count - 1, count - 1)]
    again.close()


def test_a_reused_segment_does_not_show_what_was_there_before(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    for number in range(1, 200):
        store.write([payload(f"{number}" + "y" * (number * 131 % 9000))])
        store.acknowledge(number - 3)
    store.close()
    again, recovery = store_in(tmp_path)
    assert recovery.damaged == ()
    assert recovery.torn == ()
    assert again.last == 199
    assert [m.rstrip("y") for m in messages(again)[-3:] if m] == ["197", "198", "199"]
    assert None not in messages(again)
    again.close()


def test_a_reservation_may_grow_and_shrink(tmp_path: Path) -> None:
    store, _ = store_in(tmp_path)
    store.write([payload("kept")])
    store.close()
    larger, _ = store_in(tmp_path, 16 << 20)
    assert larger.total > 15 << 20
    larger.write([payload("more")])
    larger.close()
    smaller, _ = store_in(tmp_path, 1 << 20)
    assert messages(smaller) == ["kept", "more"]
    assert smaller.total < 2 << 20
    smaller.close()

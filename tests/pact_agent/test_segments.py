"""One segment file: written in place, read back, scanned after damage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.records import HEADER_BYTES, SegmentHeader, record_bytes, salt_of
from pact_agent.segments import Damage, Disk, Segment, header_of, open_segment

CLIENT = "agent:n1:abc"
SALT = salt_of(CLIENT)
SIZE = 8192


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    opened = open_segment(tmp_path / "0001.seg", Disk(), SIZE)
    opened.first = 11
    yield opened
    opened.close()


def write(segment: Segment, payloads: list[bytes], disk: Disk | None = None) -> None:
    segment.end, offsets = segment.write(disk or Disk(), CLIENT, SALT, segment.last + 1, payloads)
    segment.offsets.extend(offsets)


def reopened(segment: Segment, first: int = 11) -> Segment:
    again = open_segment(segment.path, Disk(), SIZE)
    again.first = first
    return again


def test_a_new_file_is_reserved_and_private(segment: Segment) -> None:
    info = segment.path.stat()
    assert (info.st_size, info.st_mode & 0o777) == (SIZE, 0o600)
    assert info.st_blocks * 512 >= SIZE
    assert header_of(segment, CLIENT, SALT) is None
    assert segment.last == 10


def test_what_is_written_is_read_now_and_after_a_restart(segment: Segment) -> None:
    write(segment, [b"one", b"two"])
    write(segment, [b"three"])
    again = reopened(segment)
    try:
        assert header_of(again, CLIENT, SALT) == SegmentHeader(CLIENT, 11)
        assert again.scan(SALT) == ([], False)
        for opened in (segment, again):
            assert [opened.read(n, SALT) for n in (11, 12, 13)] == [b"one", b"two", b"three"]
            assert opened.last == 13
        assert again.end == segment.end
    finally:
        again.close()


def test_a_damaged_record_is_told_and_the_rest_is_read(segment: Segment) -> None:
    write(segment, [b"one", b"two" * 20, b"three"])
    os.pwrite(segment.fd, b"\xff", segment.offsets[1] + 30)
    again = reopened(segment)
    try:
        assert again.scan(SALT) == ([Damage("0001.seg", segment.offsets[1], 12, 12)], False)
        assert [again.read(n, SALT) for n in (11, 12, 13)] == [b"one", None, b"three"]
    finally:
        again.close()


def test_a_torn_tail_is_told_and_cut(segment: Segment) -> None:
    write(segment, [b"one", b"two" * 20])
    os.pwrite(segment.fd, b"\xff", segment.offsets[1] + 30)
    again = reopened(segment)
    try:
        assert again.scan(SALT) == ([], True)
        assert again.last == 11
        again.mark_end(Disk())
        assert again.scan(SALT) == ([], False)
    finally:
        again.close()


def test_a_lost_header_is_rebuilt_from_the_records(segment: Segment) -> None:
    write(segment, [b"one", b"two"])
    os.pwrite(segment.fd, b"\xff" * HEADER_BYTES, 0)
    assert header_of(segment, CLIENT, SALT) == SegmentHeader(CLIENT, 11)
    assert header_of(segment, "", SALT) is None


def test_records_of_an_earlier_use_are_none_of_the_new_ones(segment: Segment) -> None:
    write(segment, [b"old" * 30] * 20)
    segment.free()
    segment.first = 31
    write(segment, [b"new"])
    again = reopened(segment, 31)
    try:
        assert again.scan(SALT) == ([], False)
        assert (again.first, again.last) == (31, 31)
    finally:
        again.close()


def test_a_failed_write_leaves_no_record_behind_the_next_one(segment: Segment) -> None:
    """Three records reach the file, but not the promise: nobody was told that they are there."""

    class Unsynced(Disk):
        def sync(self, fd: int) -> None:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        write(segment, [b"lost 1", b"lost 2", b"lost 3"], Unsynced())
    assert segment.last == 10
    write(segment, [b"kept"])
    again = reopened(segment)
    try:
        assert again.scan(SALT) == ([], False)
        assert (again.last, again.read(11, SALT)) == (11, b"kept")
    finally:
        again.close()


def test_it_knows_what_fits(segment: Segment) -> None:
    payload = b"x" * 1000
    count = 0
    while segment.fits(payload, 0):
        write(segment, [payload])
        count += 1
    assert count == (SIZE - HEADER_BYTES - 8) // record_bytes(1000)
    assert segment.fits(b"", 0) == (segment.room >= record_bytes(0))
    again = reopened(segment)
    try:
        assert again.scan(SALT) == ([], False)
        assert again.last == 10 + count
    finally:
        again.close()


def test_without_room_on_the_disk_nothing_is_left(tmp_path: Path) -> None:
    class Full(Disk):
        def reserve(self, fd: int, size: int) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        open_segment(tmp_path / "0001.seg", Full(), SIZE)
    assert os.listdir(tmp_path) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "0001.seg").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_segment(tmp_path / "0001.seg", Disk(), SIZE)
    assert not (tmp_path / "elsewhere").exists()

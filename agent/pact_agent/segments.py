"""Segment files of the spool: preallocated, written in place, reused when the journal has what is in them.

`Disk` is the only thing here that touches storage, and arrives as an argument: a test
hands in one that fails.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from pact_agent.records import (
    END,
    HEADER_BYTES,
    SegmentHeader,
    next_record,
    pack_header,
    pack_record,
    parse_header,
    payload_of,
    record_at,
    record_bytes,
)


class Disk:
    """Storage as the kernel offers it; every method raises OSError."""

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data)
        while view:
            done = os.pwrite(fd, view, offset)
            view = view[done:]
            offset += done

    def sync(self, fd: int) -> None:
        """Return when what was written is on the medium."""
        os.fdatasync(fd)

    def reserve(self, fd: int, size: int) -> None:
        """Allocate `size` bytes, so that writing them can't fail for want of space."""
        os.posix_fallocate(fd, 0, size)
        os.fsync(fd)


@dataclass(frozen=True, slots=True)
class Damage:
    """What a scan found wrong: records `first` to `last` of a segment can't be read (none when last < first)."""

    segment: str
    offset: int
    first: int
    last: int


@dataclass(slots=True)
class Segment:
    """One open segment file. `offsets[i]` is where record `first + i` stands; 0 means it can't be read.

    `end` is where the next record goes. A segment with `first` 0 is free. Up to `soiled` a write that
    failed may have left whole records that nobody was told are there: the next write clears them.
    """

    path: Path
    fd: int
    size: int
    first: int = 0
    end: int = HEADER_BYTES
    offsets: array[int] = field(default_factory=lambda: array("I"))
    soiled: int = 0

    @property
    def last(self) -> int:
        """The number of its last record; `first - 1` when there is none."""
        return self.first + len(self.offsets) - 1

    @property
    def room(self) -> int:
        """Bytes that records may still take, with the end mark after them."""
        return self.size - self.end - len(END)

    def fits(self, payload: bytes, taken: int) -> bool:
        """Whether one more record goes in after `taken` bytes of others."""
        return record_bytes(len(payload)) + taken <= self.room

    def free(self) -> None:
        """Forget what is in it. The file keeps its bytes until it is begun again."""
        self.first = 0
        self.end = HEADER_BYTES
        self.offsets = array("I")

    def write(self, disk: Disk, client: str, salt: int, first: int, payloads: list[bytes]) -> tuple[int, array[int]]:
        """Write records from number `first` on and sync them; returns the new end and their offsets.

        `end` and `offsets` stay as they are: the caller moves them, once it is sure. A segment not yet
        begun gets its header with the same write.
        """
        start, offset = self.end, self.end
        pieces = []
        if start == HEADER_BYTES:
            pieces.append(pack_header(SegmentHeader(client, first)))
            start = 0
        offsets = array("I")
        for number, payload in enumerate(payloads, first):
            offsets.append(offset)
            pieces.append(pack_record(number, payload, salt))
            offset += len(pieces[-1])
        pieces.append(END)
        data = b"".join(pieces)
        data = data.ljust(self.soiled - start, b"\0")
        self.soiled = max(self.soiled, start + len(data))
        disk.write(self.fd, data, start)
        disk.sync(self.fd)
        self.soiled = 0
        return offset, offsets

    def mark_end(self, disk: Disk) -> None:
        """Write the end mark where the next record goes and sync it: cuts a torn tail, proves that writing works."""
        disk.write(self.fd, END.ljust(self.soiled - self.end, b"\0"), self.end)
        disk.sync(self.fd)
        self.soiled = 0

    def read(self, number: int, salt: int) -> bytes | None:
        """The payload of a record of this segment, or None when it can't be read."""
        index = number - self.first
        offset = self.offsets[index]
        if offset == 0:
            return None
        following = self.end
        for later in range(index + 1, len(self.offsets)):
            if self.offsets[later]:
                following = self.offsets[later]
                break
        return payload_of(os.pread(self.fd, following - offset, offset), number, salt)

    def scan(self, salt: int) -> tuple[list[Damage], bool]:
        """Find the records of a segment whose `first` is known.

        Returns the damage and whether bytes that are no record follow the last one. The rule where a record can't be
        read: go on at the next whole record with a higher number; the numbers between are damaged.
        """
        data = os.pread(self.fd, self.size, 0)
        view = memoryview(data)
        damages: list[Damage] = []
        self.offsets, at, number = array("I"), HEADER_BYTES, self.first
        while True:
            found = record_at(view, at, salt)
            if found is None or found.number != number:
                found = next_record(data, at, number - 1, salt)
                if found is None:
                    break
                damages.append(Damage(self.path.name, at, number, found.number - 1))
                self.offsets.extend([0] * (found.number - number))
            self.offsets.append(found.start)
            at, number = found.end, found.number + 1
        self.end = at
        return damages, data[at : at + len(END)] not in {END, b""}

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


def open_segment(path: Path, disk: Disk, size: int) -> Segment:
    """Open a segment file; a new one gets `size` bytes reserved. Raises OSError, and removes what it began."""
    fresh = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if fresh or os.fstat(fd).st_size < HEADER_BYTES:
            disk.reserve(fd, size)
        return Segment(path, fd, os.fstat(fd).st_size)
    except OSError:
        os.close(fd)
        if fresh:
            path.unlink(missing_ok=True)
        raise


def header_of(segment: Segment, client: str, salt: int) -> SegmentHeader | None:
    """The segment's header; one that can't be read is rebuilt from its first whole record. None: never used."""
    data = os.pread(segment.fd, HEADER_BYTES, 0)
    header = parse_header(data)
    if header is not None or not client:
        return header
    if not any(data) and not any(os.pread(segment.fd, HEADER_BYTES, HEADER_BYTES)):
        return None
    found = next_record(os.pread(segment.fd, segment.size, 0), HEADER_BYTES, 0, salt)
    return SegmentHeader(client, found.number) if found is not None else None

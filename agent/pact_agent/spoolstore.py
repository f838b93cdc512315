"""The spool on disk: segments in the order of their numbers, found again after any crash.

What a start promises (`open_store`): every record that was ever synced is there with its number. A
torn tail, which nobody was told is recorded, is cut. A record in the middle that can't be read keeps its
number, is reported in `Recovery`, and its segment file is copied to `damaged/`. Segments that are missing
at the end mean that numbers were used which this spool doesn't know; it then starts over with a new client id.

One thread writes, another may read and acknowledge: `_lock` guards what is in memory, never held during I/O.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from pact_agent.records import END, HEADER_BYTES, record_bytes, salt_of
from pact_agent.segments import Damage, Disk, Segment, header_of, open_segment
from pact_agent.spoolfiles import AckFile, SpoolError, SpoolFull, load_client, new_client, sync_directory
from pactsh.model.entry import JsonObject

_MAX_DAMAGED_COPIES = 4


def segment_bytes(reserve_bytes: int) -> int:
    """How large one segment is: a sixteenth of the whole, within 256 KiB and 4 MiB."""
    return min(max(reserve_bytes // 16, 256 << 10), 4 << 20) & ~4095


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening a spool found. `new_client` is true for a fresh or lost one; `torn` names cut segments."""

    new_client: bool
    torn: tuple[str, ...]
    damaged: tuple[Damage, ...]
    notes: tuple[str, ...]

    def facts(self) -> JsonObject:
        """What of it belongs on record when the agent starts; empty when all was in order."""
        found: JsonObject = {"torn": list(self.torn), "notes": list(self.notes)}
        found["unreadable"] = [[d.segment, d.first, d.last] for d in self.damaged]
        return {name: value for name, value in found.items() if value}


class Store:
    """An open spool directory: one batch in, one payload out. Use `open_store`."""

    def __init__(self, client: str, disk: Disk, ack: AckFile, used: list[Segment], free: list[Segment]) -> None:
        self.client = client
        self.salt = salt_of(client)
        self._disk = disk
        self._ack = ack
        self._used: deque[Segment] = deque(used)
        self._free: deque[Segment] = deque(free)
        self._lock = threading.Lock()
        self.last = max(ack.number, used[-1].last if used else 0)
        # A lost acknowledgement: what was freed before is not there any more, so the journal had it.
        self.acked = max(min(ack.number, self.last), used[0].first - 1 if used else 0)
        self.total = sum(s.size - HEADER_BYTES for s in (*used, *free))
        self.largest = max(s.size for s in (*used, *free)) - HEADER_BYTES - len(END)
        self._release()

    def free_bytes(self) -> int:
        """Room left for records."""
        with self._lock:
            room = self._used[-1].room if self._used else 0
            return max(room, 0) + sum(s.size - HEADER_BYTES for s in self._free)

    def write(self, payloads: list[bytes]) -> int:
        """Write and sync as many payloads, from the front, as one segment takes; returns how many (at least 1).

        Raises `SpoolFull` when there is no segment for the first one, OSError when the disk fails. Then none of them
        is recorded, and the same place is written again next time.
        """
        segment = self._segment_for(payloads[0])
        taken = count = 0
        for payload in payloads:
            if not segment.fits(payload, taken):
                break
            taken += record_bytes(len(payload))
            count += 1
        first = self.last + 1
        end, offsets = segment.write(self._disk, self.client, self.salt, first, payloads[:count])
        with self._lock:
            segment.first = segment.first or first
            segment.end = end
            segment.offsets.extend(offsets)
            if not self._used or self._used[-1] is not segment:
                self._free.remove(segment)
                self._used.append(segment)
            self.last += count
        return count

    def _segment_for(self, payload: bytes) -> Segment:
        if self._used and self._used[-1].fits(payload, 0):
            return self._used[-1]
        for segment in list(self._free):
            if segment.fits(payload, 0):
                # What the old acknowledgement doesn't cover must not be overwritten: a start would miss it.
                if self._ack.number < self.acked or not self._ack.synced:
                    self._ack.write(self.acked, sync=True)
                return segment
        raise SpoolFull("the spool is full: the journal has been away for too long", hint="see pact status")

    def probe(self) -> None:
        """Write something where the next record goes; raises OSError while the disk still fails."""
        if self._used:
            self._used[-1].mark_end(self._disk)
        else:
            self._ack.write(self.acked, sync=True)

    def read(self, number: int) -> bytes | None:
        """The payload of a record that isn't acknowledged yet; None when it can't be read."""
        with self._lock:
            segment = next((s for s in self._used if s.first <= number <= s.last), None)
            if segment is None:
                return None
        try:
            return segment.read(number, self.salt)
        except OSError:
            return None

    def acknowledge(self, number: int) -> None:
        """Take everything up to `number` as safe in the journal, and its segments as free."""
        with self._lock:
            self.acked = max(self.acked, min(number, self.last))
        self._release()

    def _release(self) -> None:
        with self._lock:
            while len(self._used) > 1 and self._used[0].last <= self.acked:
                segment = self._used.popleft()
                segment.free()
                self._free.append(segment)

    def keep_acknowledged(self, *, sync: bool = False) -> None:
        """Write down how far the journal is, if that isn't written yet. Raises OSError."""
        if sync or self._ack.number < self.acked:
            self._ack.write(self.acked, sync=sync)

    def close(self) -> None:
        """Close all files."""
        for segment in (*self._used, *self._free):
            segment.close()
        self._ack.close()


def open_store(directory: Path, node: str, reserve_bytes: int, disk: Disk) -> tuple[Store, Recovery]:
    """Open `directory`, find what is recorded and reserve the rest; raises `SpoolError`, OSError."""
    notes: list[str] = []
    size = segment_bytes(reserve_bytes)
    segments = [open_segment(path, disk, size) for path in sorted(directory.glob("segment-*"))]
    client = _client_of(directory, node, segments)
    fresh = not client
    damages: list[Damage] = []
    torn: list[str] = []
    if client:
        used = _scan_all(segments, client, damages, torn)
        ack = AckFile(directory / "acknowledged", disk, salt_of(client))
        _copy_damaged(directory, damages, notes)
        lost_end = ack.number > (used[-1].last if used else 0)
        if lost_end or not segments:
            notes.append(f"segments are missing: {client} ends at {ack.number}, a new client id begins")
            ack.close()
            fresh = True
            for segment in segments:
                segment.free()
    if fresh:
        client, used = new_client(directory / "client", node), []
        ack = AckFile(directory / "acknowledged", disk, salt_of(client))
    free = [s for s in segments if s not in used]
    _reserve(directory, disk, size, reserve_bytes, used, free, notes)
    store = Store(client, disk, ack, used, free)
    if torn and used:
        used[-1].mark_end(disk)
    return store, Recovery(fresh, tuple(torn), tuple(damages), tuple(notes))


def _client_of(directory: Path, node: str, segments: list[Segment]) -> str:
    """The spool's client id: from its file, or, when that is lost, from a segment."""
    client = load_client(directory / "client")
    if not client:
        headers = [h for s in segments if (h := header_of(s, "", 0)) is not None]
        client = headers[-1].client if headers else ""
    if client and client.split(":")[1:2] != [node]:
        raise SpoolError(
            f"{directory}: this spool belongs to {client.split(':')[1]}, not to {node}",
            hint="a copied disk image? move the directory away to begin a new spool",
        )
    return client


def _scan_all(segments: list[Segment], client: str, damages: list[Damage], torn: list[str]) -> list[Segment]:
    salt = salt_of(client)
    used = []
    for segment in segments:
        header = header_of(segment, client, salt)
        if header is not None and header.client == client:
            segment.first = header.first
            used.append(segment)
    used.sort(key=lambda s: s.first)
    for index, segment in enumerate(used):
        found, tail = segment.scan(salt)
        damages += found
        following = used[index + 1].first if index + 1 < len(used) else 0
        if following > segment.last + 1:  # the next segment says that more were here
            damages.append(Damage(segment.path.name, segment.end, segment.last + 1, following - 1))
            segment.offsets.extend([0] * (following - 1 - segment.last))
        elif following and following <= segment.last:  # from a write that failed: the later segment has the numbers
            del segment.offsets[following - segment.first :]
        elif tail and not following:
            torn.append(segment.path.name)
    return used


def _copy_damaged(directory: Path, damages: list[Damage], notes: list[str]) -> None:
    """Keep damaged segment files for whoever wants to look; a few, and never in the way of starting."""
    target = directory / "damaged"
    for name in sorted({d.segment for d in damages}):
        first = min(d.first for d in damages if d.segment == name)
        copy = target / f"{name}-{first}"
        try:
            target.mkdir(mode=0o700, exist_ok=True)
            if not copy.exists() and len(list(target.iterdir())) < _MAX_DAMAGED_COPIES:
                shutil.copyfile(directory / name, copy)
        except OSError as error:
            notes.append(f"{copy}: can't keep a copy: {error.strerror}")


def _reserve(
    directory: Path,
    disk: Disk,
    size: int,
    reserve_bytes: int,
    used: list[Segment],
    free: list[Segment],
    notes: list[str],
) -> None:
    """Make free segments be of the configured size and as many as the reservation asks for."""
    for segment in [s for s in free if s.size != size]:
        free.remove(segment)
        segment.close()
        segment.path.unlink()
    taken = {s.path.name for s in (*used, *free)}
    index = 0
    while sum(s.size for s in (*used, *free)) + size <= reserve_bytes or len(used) + len(free) < 4:
        name = f"segment-{index:04d}"
        index += 1
        if name in taken:
            continue
        try:
            free.append(open_segment(directory / name, disk, size))
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            have = sum(s.size for s in (*used, *free))
            if len(free) + len(used) < 2:
                raise SpoolError(
                    f"{directory}: no space to reserve {reserve_bytes} bytes for the spool",
                    hint="free some space on that file system, or set limits.spool_bytes lower",
                ) from error
            notes.append(f"{directory}: disk full, {have} of {reserve_bytes} bytes reserved")
            break
    sync_directory(directory)


def prepare_directory(directory: Path) -> None:
    """Make the directory, readable to nobody else. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(directory, 0o700)

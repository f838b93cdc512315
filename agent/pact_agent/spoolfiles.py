"""What the spool keeps beside its entries: the lock, its client id, and how far the journal has come.

Every file here may be lost without an entry being lost: the client id also stands in each segment, and
from a lost acknowledgement more is sent again than needed, which the journal recognises.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import uuid
import zlib
from pathlib import Path

from pact_agent.segments import Disk
from pactsh.errors import PactError

_ACK = struct.Struct("<8sQQI4x")
_ACK_MAGIC = b"PACTACK1"
_ACK_PLACES = (0, 4096)  # two, written in turn: a torn write leaves the other
_ACK_BYTES = 8192


class SpoolError(PactError):
    """An entry could not be recorded, so what it is about must not happen."""

    kind = "spool"


class SpoolFull(SpoolError):  # noqa: N818  the name in docs/internals.md
    """There is no room left for entries: the journal has been away for too long."""

    kind = "spool-full"


def lock_spool(directory: Path) -> int:
    """Take the spool for this process; returns the descriptor that holds the lock.

    Raises `SpoolError` when another process has it.
    """
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        raise SpoolError(
            f"{directory}: another agent (pid {owner or 'unknown'}) has this spool",
            hint="stop it first; two agents on one spool would mix their entries",
        ) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def sync_directory(directory: Path) -> None:
    """Make created and renamed names in `directory` durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Write `path` so that after a crash it holds the old bytes or the new ones; durable on return."""
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        Disk().write(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)
    sync_directory(path.parent)


def load_client(path: Path) -> str:
    """The client id kept in `path`, or "" when there is none that can be read."""
    try:
        value = json.loads(path.read_bytes())["client"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ""
    return value if isinstance(value, str) else ""


def new_client(path: Path, node: str) -> str:
    """Make up a client id and keep it: its number 1 is an entry that the journal hasn't seen."""
    client = f"agent:{node}:{uuid.uuid4()}"
    replace_file(path, json.dumps({"client": client}).encode() + b"\n")
    return client


class AckFile:
    """How far the journal has acknowledged, as last written. It may lag behind; it is never ahead."""

    def __init__(self, path: Path, disk: Disk, salt: int) -> None:
        self._disk = disk
        self._salt = salt
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.fstat(self._fd).st_size < _ACK_BYTES:
            disk.reserve(self._fd, _ACK_BYTES)
        self._turn = 0
        self.number = 0
        self.synced = False
        for place in _ACK_PLACES:
            turn, number = self._load(place)
            if turn > self._turn:
                self._turn, self.number = turn, number

    def _load(self, place: int) -> tuple[int, int]:
        data = os.pread(self._fd, _ACK.size, place)
        if len(data) < _ACK.size:
            return 0, 0
        magic, turn, number, crc = _ACK.unpack(data)
        if magic != _ACK_MAGIC or crc != zlib.crc32(data[:24], self._salt):
            return 0, 0
        return turn, number

    def write(self, number: int, *, sync: bool) -> None:
        """Record `number`; with `sync` it is on the medium on return. Raises OSError."""
        body = struct.pack("<8sQQ", _ACK_MAGIC, self._turn + 1, number)
        record = body + struct.pack("<I4x", zlib.crc32(body, self._salt))
        self._disk.write(self._fd, record, _ACK_PLACES[self._turn % 2])
        if sync:
            self._disk.sync(self._fd)
        self._turn += 1
        self.number = number
        self.synced = sync

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

"""The contents of files that may have to be put back: one file, each content once, by its SHA-256. It grows, until
`shrink` writes it anew without what nobody names any more.

What not everybody may read is called by a keyed digest elsewhere (HMAC, RFC 2104): who sees drift or the journal
could find out a short password from a plain one. A record is a head (digest, length) and the bytes. What a crash has
cut short is dropped at the next start; what reads differently from its digest is not there. Threads take turns: one
that hung on a dead file system may come back at any time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import threading
from collections.abc import Container
from pathlib import Path

from pact_agent.spoolfiles import replace_file, sync_directory

_HEAD = struct.Struct("<32sQ")


class Contents:
    """The store in `path`, which is made. `grown`: by how many bytes since it was last written anew."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, self._turn = path, threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._key = _key_in(path.with_suffix(".key"))
        self._places: dict[bytes, tuple[int, int]] = {}
        self.grown = self._end = self._scan()
        self._unsynced = False

    def _scan(self) -> int:
        """Where the next record goes."""
        at, size = 0, os.fstat(self._fd).st_size
        while at + _HEAD.size <= size:
            digest, length = _HEAD.unpack(os.pread(self._fd, _HEAD.size, at))
            if at + _HEAD.size + length > size:
                break
            self._places[digest] = (at + _HEAD.size, length)
            at += _HEAD.size + length
        return at

    def put(self, data: bytes) -> str:
        """Keep it, if it isn't kept; its digest (hex). `sync` makes it durable. Raises `OSError`."""
        digest = hashlib.sha256(data).digest()
        with self._turn:
            if digest not in self._places:
                at = _write(self._fd, _HEAD.pack(digest, len(data)) + data, self._end)
                self._places[digest] = (self._end + _HEAD.size, len(data))
                self.grown += at - self._end
                self._end = at
                self._unsynced = True
        return digest.hex()

    def get(self, digest: str) -> bytes | None:
        """What has this digest; None when it isn't kept, or not as it was."""
        with self._turn:
            place = self._places.get(bytes.fromhex(digest))
            if place is None:
                return None
            data = os.pread(self._fd, place[1], place[0])
        return data if hashlib.sha256(data).hexdigest() == digest else None

    def keyed(self, digest: str) -> str:
        """What a digest (hex) is called where anybody may see it; the same only on this node."""
        return hmac.new(self._key, bytes.fromhex(digest), "sha256").hexdigest()

    def digest_of(self, keyed: str) -> str | None:
        """The digest that is called so; None when nothing that is kept is."""
        return next((digest.hex() for digest in [*self._places] if self.keyed(digest.hex()) == keyed), None)

    def shrink(self, named: Container[str]) -> None:
        """Write it anew with what is named only, by digest or as `keyed`. Raises `OSError`, and is as it was then."""
        new = self._path.with_suffix(".new")
        with self._turn:
            fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                places, end = self._copy(fd, named)
                os.fsync(fd)
                os.replace(new, self._path)
                sync_directory(self._path.parent)
            except OSError:
                os.close(fd)
                raise
            os.close(self._fd)
            self._fd, self._places, self._end, self.grown, self._unsynced = fd, places, end, 0, False

    def _copy(self, fd: int, named: Container[str]) -> tuple[dict[bytes, tuple[int, int]], int]:
        places, end = {}, 0
        for digest, (at, length) in self._places.items():
            name = digest.hex()
            if name in named or self.keyed(name) in named:
                data = os.pread(self._fd, length, at)
                places[digest] = (end + _HEAD.size, length)
                end = _write(fd, _HEAD.pack(digest, length) + data.ljust(length, b"\0"), end)
        return places, end

    def sync(self) -> None:
        """Make all that was put durable."""
        with self._turn:
            if self._unsynced:
                os.fdatasync(self._fd)
                self._unsynced = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _write(fd: int, data: bytes, at: int) -> int:
    """Write all of it there; where it ends."""
    left = memoryview(data)
    while left:
        count = os.pwrite(fd, left, at)
        left, at = left[count:], at + count
    return at


def _key_in(path: Path) -> bytes:
    """The node's own key for digests, made when there is none."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != 32:
        key = os.urandom(32)
        replace_file(path, key)
    return key

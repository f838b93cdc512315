"""What one session shows on its terminal, on its way into a file (asciicast v2).

Nothing is shown that is not taken here first. The loop only encodes; a thread writes, at most a moment later, and
whoever feeds this is held back while it lags. What can't be written, and what would be too much, is the end of the
recording, and of the session with it: `on_problem` is told once. Keys are not recorded, only what the terminal echoes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from pact_agent.clock import Clock
from pactsh.model.asciicast import Encoder, Header

_PAUSE_S = 0.25
_HURRY_BYTES = 64 << 10
_MOST_WAITING_BYTES = 1 << 20
_LAST_BYTES = 4 << 10  # room for the marker that says why it ends
_SHOWN_LIMIT_S = 5.0


class Sealed(msgspec.Struct, frozen=True):
    """A recording that has ended: the SHA-256 (hex) and the length of its file, and how many seconds it goes on."""

    sha256: str
    bytes: int
    seconds: float


class Recording:
    """One file, made by `create`; `id` is the session's. `ended` is set by who feeds it, once all has been shown."""

    def __init__(self, path: Path, fd: int, encoder: Encoder, limit_bytes: int, clock: Clock) -> None:
        self.id, self._path, self._fd, self._encoder = path.stem, path, fd, encoder
        self._limit_bytes, self._clock = limit_bytes, clock
        self._began = clock.monotonic()
        self._hash = hashlib.sha256()
        self._size = self._written = 0
        self._waiting = bytearray()
        self._some, self._hurry = asyncio.Event(), asyncio.Event()
        self._sealing: asyncio.Task[Sealed] | None = None
        self._lagging = self._closed = self._broken = False
        self._writing: asyncio.Task[None] | None = None
        self.problem = ""
        self.is_used = False  # a session has been opened that it is of
        self.ended = asyncio.Event()
        self.on_problem: Callable[[str], None] = lambda _problem: None
        self.on_lag: Callable[[bool], None] = lambda _lagging: None

    async def begin(self) -> None:
        """Write the header, so that what can't be recorded doesn't begin. Raises OSError."""
        await asyncio.to_thread(self._write, self._encoder.header())
        await asyncio.to_thread(os.fsync, self._fd)
        self._size = self._written
        self._writing = asyncio.get_running_loop().create_task(self._go_on(), name=f"recording {self.id}")

    def shown(self, data: bytes) -> bool:
        """Take what is about to be shown; False when it must not be, as it can't be recorded any more."""
        return self._take(self._encoder.output(self._now(), data))

    def resized(self, columns: int, rows: int) -> None:
        """The terminal has another size."""
        self._take(self._encoder.resize(self._now(), columns, rows))

    def _now(self) -> float:
        return self._clock.monotonic() - self._began

    def _take(self, event: bytes) -> bool:
        if self._closed or self.problem:
            return False
        if self._size + len(event) + _LAST_BYTES > self._limit_bytes:
            problem = f"its recording has reached the limit of {self._limit_bytes >> 20} MiB"
            self._put(self._encoder.marker(self._now(), f"pact: {problem}: the session ends"))
            self._fail(problem)
            return False
        self._put(event)
        return True

    def _put(self, event: bytes) -> None:
        self._size += len(event)
        self._waiting += event
        self._some.set()
        if len(self._waiting) > _HURRY_BYTES:
            self._hurry.set()
        self._tell_lag(len(self._waiting) > _MOST_WAITING_BYTES)

    def _tell_lag(self, lagging: bool) -> None:
        if lagging != self._lagging:
            self._lagging = lagging
            self.on_lag(lagging)

    def _fail(self, problem: str) -> None:
        if not self.problem:
            self.problem = problem
            self.on_problem(problem)

    async def _go_on(self) -> None:
        while not self._closed:
            await self._some.wait()
            if not self._closed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PAUSE_S):
                        await self._hurry.wait()
            await self._flush()

    async def _flush(self) -> None:
        self._some.clear()
        self._hurry.clear()
        data, self._waiting = bytes(self._waiting), bytearray()
        try:
            if not self._broken:  # else there would be a gap that nothing shows
                await asyncio.to_thread(self._write, data)
        except OSError as error:
            self._broken = True
            self._fail(f"it can't be recorded any more ({error.strerror})")
        self._tell_lag(False)

    def _write(self, data: bytes) -> None:
        """In a thread: whole, or not at all, so that the file ends with a whole line."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, self._written)
            raise
        self._written += len(data)
        self._hash.update(data)

    async def seal(self) -> Sealed:
        """End it once all has been shown, or cut it off where that takes too long. The same answer each time."""
        if self._sealing is None:
            self._sealing = asyncio.get_running_loop().create_task(self._seal(), name=f"sealing {self.id}")
        return await asyncio.shield(self._sealing)

    async def _seal(self) -> Sealed:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHOWN_LIMIT_S):
                await self.ended.wait()
        seconds = round(self._now(), 3)
        self._take(self._encoder.finish(self._now()))
        self._closed = True
        self._some.set()
        self._hurry.set()
        if self._writing is not None:
            await self._writing
        if self._waiting:
            await self._flush()
        try:
            await asyncio.to_thread(os.fsync, self._fd)
        except OSError as error:
            self.problem = self.problem or f"its recording is not safely on disk ({error.strerror})"
        os.close(self._fd)
        return Sealed(self._hash.hexdigest(), self._written, seconds)

    async def discard(self) -> None:
        """Forget it: no session has come of it."""
        self.ended.set()
        await self.seal()
        await asyncio.to_thread(self._path.unlink, True)


async def create(path: Path, header: Header, *, limit_bytes: int, clock: Clock) -> Recording:
    """Begin a recording in a new file, which only root may read. Raises OSError: it is not there then."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    recording = Recording(path, fd, Encoder(header), limit_bytes, clock)
    try:
        await recording.begin()
    except BaseException:
        os.close(fd)
        os.unlink(path)
        raise
    return recording

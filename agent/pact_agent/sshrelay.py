"""Bytes between an SSH channel and descriptors, each direction held back by the other side's pace.

Nothing is buffered without bound: a client that stops reading stops the command that writes, a
command that doesn't read its input stops the client from sending more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_CHUNK = 64 << 10
_END_OF_INPUT = b"\x04"  # VEOF of a terminal in its default mode


class Output:
    """Reads a descriptor until its end and gives what it reads to `write`. Owns the descriptor."""

    def __init__(self, fd: int, write: Callable[[bytes], None]) -> None:
        self._fd, self._write = fd, write
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self.ended = asyncio.Event()
        self.moved = 0
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # EIO: the last process has left the terminal
            data = b""
        if not data:
            self.close()
            return
        self.moved += len(data)
        try:
            self._write(data)
        except OSError:  # the channel is closed: nobody wants the rest
            self.close()

    def pause(self, paused: bool) -> None:
        """Stop or go on reading."""
        if paused == self._paused or self.ended.is_set():
            return
        self._paused = paused
        if paused:
            self._loop.remove_reader(self._fd)
        else:
            self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Read no more."""
        if self.ended.is_set():
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self.ended.set()

    async def drain(self, stalled_s: float) -> None:
        """Wait for the end; give up when nothing has moved for `stalled_s` though the client is reading.

        A process that left the command's group may hold the other end open for ever.
        """
        while not self.ended.is_set():
            before = self.moved
            try:
                async with asyncio.timeout(stalled_s):
                    await self.ended.wait()
            except TimeoutError:
                if not self._paused and self.moved == before:
                    self.close()


class Input:
    """Writes what the client sends to a descriptor, which may come later and change. Owns the one it has."""

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._loop = asyncio.get_running_loop()
        self._fd: int | None = None
        self._terminal = False
        self._buffer = bytearray()
        self._ended = False
        self._waiting = self._held = False
        self.detached = asyncio.Event()

    def attach(self, fd: int, *, terminal: bool) -> None:
        """Send everything to `fd` from now on, what is waiting first."""
        self.detach()
        self._fd, self._terminal = fd, terminal
        self.detached.clear()
        os.set_blocking(fd, False)
        self._flush()

    def detach(self) -> None:
        """Close the descriptor; what the client sends is kept for the next one."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        if self._waiting:
            self._loop.remove_writer(fd)
        self._waiting = False
        os.close(fd)
        self.detached.set()

    def feed(self, data: bytes) -> None:
        """More from the client."""
        self._buffer += data
        self._flush()

    def end(self) -> None:
        """The client sends no more: a terminal gets its end-of-file character, a pipe is closed."""
        if self._ended:
            return
        self._ended = True
        if self._terminal:
            self._buffer += _END_OF_INPUT
        self._flush()

    def _flush(self) -> None:
        if self._fd is not None:
            self._write(self._fd)
        held = len(self._buffer) > _CHUNK
        if held != self._held:
            self._held = held
            self._hold(held)

    def _write(self, fd: int) -> None:
        try:
            while self._buffer:
                count = os.write(fd, memoryview(self._buffer)[:_CHUNK])
                del self._buffer[:count]
        except (BlockingIOError, InterruptedError):
            if not self._waiting:
                self._waiting = True
                self._loop.add_writer(fd, self._flush)
            return
        except OSError:  # the command doesn't read any more
            self._buffer.clear()
        if self._waiting:
            self._waiting = False
            self._loop.remove_writer(fd)
        if self._ended and not self._terminal:
            self.detach()

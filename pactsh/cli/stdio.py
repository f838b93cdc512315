"""Our own standard descriptors as asyncio tasks see them, left blocking: they are shared with others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncssh

CHUNK_BYTES = 65536
_CHUNKS = 8  # read ahead


async def feed(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """Pass our stdin on until its end; returns too when the far end wants no more.

    A daemon thread reads, as a read from a terminal can't be called off when the command ends first.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(_CHUNKS)

    def read_forever() -> None:
        # Nothing here is a coroutine or a future: the loop may end at any time, and would complain of what is left.
        data = b"x"
        while data:
            room.acquire()
            try:
                data = os.read(0, CHUNK_BYTES)
            except OSError:
                data = b""
            try:
                loop.call_soon_threadsafe(queue.put_nowait, data)
            except RuntimeError:
                return  # the loop has ended

    threading.Thread(target=read_forever, name="stdin", daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        while data := await queue.get():
            room.release()
            process.stdin.write(data)
            await process.stdin.drain()
        process.stdin.write_eof()


async def write_all(fd: int, data: bytes) -> None:
    """Write everything, waiting where a descriptor that someone else made non-blocking is full."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            await _room(fd)


async def _room(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)

"""The agent's half of the local socket's framing (docs/internals.md section 3).

Reads frames with descriptors from a non-blocking socket and writes them, without ever
waiting for the peer in the event loop: a peer that stops reading is cut off.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from pactsh.errors import PactError, UsageError

FRAME_LIMIT_BYTES = 1 << 20
_MOST_FDS = 16
_MOST_QUEUED = 64
_WRITE_TIMEOUT_S = 30.0
_PARTING_S = 2.0

Fields = dict[str, Any]


class Frame:
    """A received frame and its descriptors; whoever handles it closes them (`close`)."""

    __slots__ = ("fds", "fields", "op")

    def __init__(self, fields: Fields, fds: list[int]) -> None:
        self.fields, self.fds = fields, fds
        op = fields.get("op")
        self.op = op if isinstance(op, str) else ""

    def text(self, name: str) -> str:
        """A string field; raises `UsageError` when it is something else."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise UsageError(f"{self.op}: the field {name} must be text")
        return value

    def close(self) -> None:
        """Close the descriptors that came with it."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Channel:
    """One connection. `receive` gives frames in order; `send` may be called from any task.

    `urgent` handles frames by their `op` at once, `on_end` hears that no more will come. While `busy` a peer
    that goes on asking is cut off; otherwise it has to wait.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._fds: list[int] = []
        self._frames: deque[Frame] = deque()
        self._wake = asyncio.Event()
        self._problem: PactError | None = None
        self._ended = False
        self._sending = asyncio.Lock()
        self.urgent: dict[str, Callable[[Frame], None]] = {}
        self.on_end: Callable[[], None] = lambda: None
        self._write_ready: asyncio.Future[None] | None = None
        self._torn = self.busy = False
        self._reading = True
        self._loop.add_reader(sock, self._readable)

    @property
    def sock(self) -> socket.socket:
        """The socket itself."""
        return self._sock

    def close(self) -> None:
        """Close the connection and what descriptors were not yet taken."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()
        if self._write_ready is not None:
            _settle(self._write_ready)
        for frame in self._frames:
            frame.close()
        self._frames.clear()
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self._ended = True
        self._wake.set()

    async def part(self) -> None:
        """Say that this was the last word, and let the peer finish its own: a peer that is still writing when
        the connection is closed may learn of that before it reads what was said."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_PARTING_S):
                while (frame := await self.receive()) is not None:
                    frame.close()
        except (TimeoutError, OSError, UsageError):
            return

    def stop(self) -> None:
        """Take no more frames: `receive` gives None. What is being sent may still be sent, until `close`."""
        if not self._ended:
            self._stop_reading(ended=True)
        for frame in self._frames:
            frame.close()
        self._frames.clear()
        self._wake.set()

    async def receive(self) -> Frame | None:
        """The next frame, None at the end; raises `UsageError` when the peer broke the protocol."""
        while not self._frames:
            if self._problem is not None:
                raise self._problem
            if self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        frame = self._frames.popleft()
        if not self._reading and len(self._frames) < _MOST_QUEUED // 2 and not self._ended:
            self._reading = True
            self._loop.add_reader(self._sock, self._readable)
        return frame

    def _readable(self) -> None:
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(
                65536, socket.CMSG_SPACE(_MOST_FDS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary, flags = b"", [], 0
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
                self._fds += list(received)
        if flags & socket.MSG_CTRUNC or len(self._fds) > _MOST_FDS:
            self._fail(UsageError("protocol: too many descriptors"))
        elif not data:
            if self._buffer:
                self._fail(UsageError("protocol: the connection ended inside a frame"))
            self._stop_reading(ended=True)
        else:
            self._buffer += data
            self._split()
        self._wake.set()

    def _split(self) -> None:
        while len(self._buffer) >= 4 and self._problem is None:
            (length,) = struct.unpack_from(">I", self._buffer)
            if length > FRAME_LIMIT_BYTES:
                self._fail(UsageError(f"protocol: a frame of {length} bytes; the limit is {FRAME_LIMIT_BYTES}"))
                return
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            self._take(body)
        if len(self._frames) >= _MOST_QUEUED:
            if self.busy:  # not reading any more, the end of the peer would go unnoticed while its line runs
                self._fail(UsageError("protocol: too many requests while a line runs"))
            else:
                self._stop_reading(ended=False)

    def _take(self, body: bytes) -> None:
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            self._fail(UsageError("protocol: a frame that is not JSON"))
            return
        count = fields.get("fds", 0) if isinstance(fields, dict) else None
        if not isinstance(count, int) or not 0 <= count <= len(self._fds):
            self._fail(UsageError("protocol: a frame must be an object whose descriptors came with it"))
            return
        mine, self._fds = self._fds[:count], self._fds[count:]
        frame = Frame(fields, mine)
        handler = self.urgent.get(frame.op)
        if handler is not None:
            try:
                handler(frame)
            finally:
                frame.close()
        else:
            self._frames.append(frame)

    def _fail(self, problem: PactError) -> None:
        self._problem = problem
        self._stop_reading(ended=True)

    def _stop_reading(self, *, ended: bool) -> None:
        self._ended = self._ended or ended
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)
        if ended:
            self.on_end()

    async def send(self, fields: Fields, fds: tuple[int, ...] = ()) -> None:
        """Send one frame; raises `ConnectionError` when the peer is gone or doesn't read for 30 s."""
        body = json.dumps(fields).encode("ascii")
        if len(body) > FRAME_LIMIT_BYTES:
            raise UsageError("protocol: the answer is longer than a frame may be")
        data = struct.pack(">I", len(body)) + body
        async with self._sending:
            try:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await self._write(data, fds)
            except TimeoutError:
                raise ConnectionError("the peer does not read") from None
            except (OSError, ValueError) as error:
                raise ConnectionError(str(error)) from error

    async def _write(self, data: bytes, fds: tuple[int, ...]) -> None:
        """A frame that is given up half-way is the last one: what came after it would be read as its rest."""
        if self._torn:
            raise ConnectionError("the peer did not read a frame to its end")
        rest = memoryview(data)
        try:
            while rest:
                if self._sock.fileno() < 0:
                    raise ConnectionError("the connection is closed")
                try:
                    sent = socket.send_fds(self._sock, [rest], list(fds)) if fds else self._sock.send(rest)
                except BlockingIOError:
                    await self._writable()
                else:
                    rest, fds = rest[sent:], ()
        finally:
            self._torn = 0 < len(rest) < len(data)

    async def _writable(self) -> None:
        ready = self._write_ready = self._loop.create_future()
        self._loop.add_writer(self._sock, _settle, ready)
        try:
            await ready
        finally:
            self._write_ready = None
            if self._sock.fileno() >= 0:  # once closed, its number may be another connection's
                self._loop.remove_writer(self._sock)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

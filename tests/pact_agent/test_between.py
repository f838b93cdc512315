"""Bytes both ways between a terminal and a socket, none of them unrecorded, and no more of them held than a few."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pact_agent import recording
from pact_agent.between import Between
from pact_agent.clock import SystemClock
from pact_agent.io import Pty, Terminal
from pact_agent.recording import Recording

from pactsh.model.asciicast import Header, Origin
from tests.pact_agent.casts import shown

PLENTY = 4 << 20


class Scene:
    """A terminal, what is between, and the socket that somebody was given."""

    def __init__(self, made: Recording, path: Path) -> None:
        self.recording, self.path, self.pty = made, path, Pty(Terminal())
        self.between = Between(self.pty.master, made)
        self.theirs = self.between.theirs.dup()
        self.between.handed_over()
        os.set_blocking(self.pty.slave, False)
        self.written = 0

    async def write_until_it_waits(self) -> None:
        """As a program does that prints for ever, until the terminal takes no more."""
        idle = 0
        while idle < 20:
            try:
                self.written += os.write(self.pty.slave, b"x" * 4096)
                idle = 0
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0.01)
            else:
                await asyncio.sleep(0)
            assert self.written < PLENTY

    async def read_all(self) -> int:
        """What they read until their end is closed."""
        self.theirs.setblocking(False)
        count, loop = 0, asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while data := await loop.sock_recv(self.theirs, 65536):
                count += len(data)
        return count


@asynccontextmanager
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    path = tmp_path / f"{'00' * 8}.cast"
    header = Header(2, 80, 24, 1, pact=Origin(path.stem))
    made = Scene(await recording.create(path, header, limit_bytes=64 << 20, clock=SystemClock()), path)
    try:
        yield made
    finally:
        made.pty.close()
        made.between.close()
        made.theirs.close()
        made.recording.ended.set()
        await made.recording.seal()


def test_what_is_shown_arrives_whole_and_is_recorded(tmp_path: Path) -> None:
    async def go() -> None:
        async with scene(tmp_path) as here:
            os.write(here.pty.slave, b"hello\n")
            here.between.show(b"!")
            here.pty.close()
            await here.between.finish()
            assert await here.read_all() == len(b"!hello\r\n")
        assert shown(here.path) == "!hello\r\n"

    asyncio.run(go())


def test_keys_reach_the_terminal(tmp_path: Path) -> None:
    async def go() -> None:
        async with scene(tmp_path) as here:
            here.theirs.sendall(b"typed\n")
            async with asyncio.timeout(20):
                while True:
                    try:
                        assert os.read(here.pty.slave, 100) == b"typed\n"
                        break
                    except BlockingIOError:
                        await asyncio.sleep(0.01)

    asyncio.run(go())


def test_whoever_does_not_read_stops_the_program_and_then_gets_it_all(tmp_path: Path) -> None:
    async def go() -> None:
        async with scene(tmp_path) as here:
            await here.write_until_it_waits()
            here.pty.close()
            finishing = asyncio.ensure_future(here.between.finish())
            assert await here.read_all() == here.written
            await finishing

    asyncio.run(go())


def test_whoever_never_reads_is_given_up(tmp_path: Path) -> None:
    async def go() -> None:
        async with scene(tmp_path) as here:
            await here.write_until_it_waits()
            here.pty.close()
            finishing = asyncio.ensure_future(here.between.finish())
            done, _ = await asyncio.wait({finishing}, timeout=0.05)
            assert not done
            here.between.close()
            async with asyncio.timeout(20):
                await finishing

    asyncio.run(go())


def test_whoever_has_gone_stops_nothing(tmp_path: Path) -> None:
    async def go() -> None:
        async with scene(tmp_path) as here:
            here.theirs.shutdown(socket.SHUT_RDWR)
            here.theirs.close()
            with pytest.raises(AssertionError):
                await here.write_until_it_waits()  # nobody holds it back
            here.pty.close()
            async with asyncio.timeout(20):
                await here.between.finish()

    asyncio.run(go())


def test_a_disk_that_lags_holds_the_program_back(tmp_path: Path) -> None:
    async def go() -> None:
        async with scene(tmp_path) as here:
            here.recording.on_lag(True)
            await here.write_until_it_waits()
            here.recording.on_lag(False)
            here.pty.close()
            finishing = asyncio.ensure_future(here.between.finish())
            assert await here.read_all() == here.written
            await finishing

    asyncio.run(go())

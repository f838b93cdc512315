"""The channel under peers that stop reading, leave, or fill the queue."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct

import pytest
from pact_agent.frames import Channel


def frame(fields: dict[str, object]) -> bytes:
    body = json.dumps(fields).encode()
    return struct.pack(">I", len(body)) + body


def test_closing_while_a_peer_does_not_read_ends_the_sender_and_frees_the_number() -> None:
    """The next connection gets the same descriptor number, and must not lose its events to the old one."""

    async def go() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        number = ours.fileno()
        sender = asyncio.create_task(channel.send({"text": "x" * 900_000}))
        await asyncio.sleep(0)
        channel.close()
        again, other = socket.socketpair()
        assert number in {again.fileno(), other.fileno()}
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(sender, 5)
        fresh = Channel(again)
        other.sendall(frame({"op": "state"}))
        received = await asyncio.wait_for(fresh.receive(), 5)
        assert received is not None
        assert received.op == "state"
        fresh.close()
        for sock in (theirs, other):
            sock.close()

    asyncio.run(go())


def test_after_a_frame_given_up_half_way_nothing_more_is_sent() -> None:
    async def go() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        sender = asyncio.create_task(channel.send({"text": "x" * 900_000}))
        await asyncio.sleep(0)
        sender.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sender
        with pytest.raises(ConnectionError, match="to its end"):
            await channel.send({"op": "exit"})
        channel.close()
        theirs.close()

    asyncio.run(go())


def test_a_full_queue_waits_and_loses_nothing() -> None:
    async def go() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        sending = asyncio.to_thread(theirs.sendall, b"".join(frame({"op": str(n)}) for n in range(500)))
        sent = asyncio.create_task(sending)
        for n in range(500):
            received = await asyncio.wait_for(channel.receive(), 5)
            assert received is not None
            assert received.op == str(n)
        await sent
        theirs.close()
        assert await channel.receive() is None
        channel.close()

    asyncio.run(go())


def test_descriptors_nobody_took_are_closed_with_the_channel() -> None:
    async def go() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        read, write = os.pipe()
        read_behind = asyncio.Event()
        channel.urgent = {"signal": lambda _: read_behind.set()}
        socket.send_fds(theirs, [frame({"op": "run", "fds": 1}) + frame({"op": "signal", "name": "INT"})], [write])
        os.close(write)
        await asyncio.wait_for(read_behind.wait(), 20)
        channel.close()
        with os.fdopen(read, "rb") as end:
            assert end.read() == b""
        theirs.close()

    asyncio.run(go())


def test_urgent_frames_pass_the_queue_and_the_end_is_told_once() -> None:
    async def go() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        heard: list[str] = []
        channel.urgent = {"signal": lambda f: heard.append(f.text("name"))}
        channel.on_end = lambda: heard.append("end")
        theirs.sendall(frame({"op": "state"}) + frame({"op": "signal", "name": "INT"}))
        theirs.close()
        while "end" not in heard:
            await asyncio.sleep(0.01)
        assert heard == ["INT", "end"]
        received = await channel.receive()
        assert received is not None
        assert received.op == "state"
        assert await channel.receive() is None
        channel.close()

    asyncio.run(go())

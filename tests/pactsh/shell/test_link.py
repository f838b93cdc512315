from __future__ import annotations

import _socket
import asyncio
import json
import socket
import struct
from collections.abc import Iterator

import pytest

from pactsh.shell.link import Link
from pactsh.shell.runner import AgentError
from pactsh.shell.wire import Connection, ConnectionLost, Frame


class Peer:
    """The agent's end, and what the link handed out."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        self.frames: list[str] = []
        self.lost: list[ConnectionLost | AgentError] = []
        self.link = Link(
            Connection(_socket.socket(fileno=ours.detach()), inherited=False), self._on_frame, self.lost.append
        )

    def _on_frame(self, frame: Frame) -> None:
        self.frames.append(frame.op)

    def send(self, **fields: object) -> None:
        body = json.dumps(fields).encode()
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def asked(self) -> list[str]:
        self.sock.setblocking(False)
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return []
        out = []
        while data:
            length = struct.unpack(">I", data[:4])[0]
            out.append(json.loads(data[4 : 4 + length])["op"])
            data = data[4 + length :]
        return out


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.sock.close()
    made.link.connection.close()


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_frames_are_handed_out_between_start_and_stop(peer: Peer) -> None:
    async def scenario() -> None:
        peer.link.start()
        peer.send(op="notice")
        await _turns()
        peer.link.stop()
        peer.send(op="state")
        await _turns()
        assert peer.frames == ["notice"]
        peer.link.start()
        await _turns()
        assert peer.frames == ["notice", "state"]
        peer.link.stop()

    asyncio.run(scenario())


def test_one_question_for_the_state_at_a_time(peer: Peer) -> None:
    async def scenario() -> None:
        peer.link.start()
        for _ in range(3):
            peer.link.ask_state()
        assert peer.asked() == ["state"]
        peer.send(op="state")
        await _turns()
        peer.link.ask_state()
        assert peer.asked() == ["state"]
        peer.link.stop()

    asyncio.run(scenario())


def test_the_end_is_told_once_and_nothing_is_sent_after_it(peer: Peer) -> None:
    async def scenario() -> None:
        peer.link.start()
        peer.sock.close()
        await _turns()
        peer.link.ask_state()
        assert not peer.link.ask_check("ls")
        peer.link.start()  # harmless
        await _turns()

    asyncio.run(scenario())
    assert [type(error) for error in peer.lost] == [ConnectionLost]
    assert peer.link.lost


def test_an_error_frame_ends_it(peer: Peer) -> None:
    async def scenario() -> None:
        peer.link.start()
        peer.send(op="notice")
        peer.send(op="error", code=3, kind="policy", message="no", hint="ask")
        await _turns()

    asyncio.run(scenario())
    assert peer.frames == ["notice"]
    [error] = peer.lost
    assert isinstance(error, AgentError)
    assert (error.code, error.kind, error.message, error.hint) == (3, "policy", "no", "ask")

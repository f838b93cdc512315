from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from pactsh.shell.wire import FRAME_LIMIT_BYTES, Connection, ConnectionLost, Frame, connect


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    import _socket

    ours, theirs = socket.socketpair()
    connection = Connection(_socket.socket(fileno=ours.detach()), inherited=False)
    yield connection, theirs
    connection.close()
    theirs.close()


def framed(fields: object) -> bytes:
    body = json.dumps(fields, separators=(",", ":")).encode()
    return struct.pack(">I", len(body)) + body


def test_sends_a_length_and_json(pair: tuple[Connection, socket.socket]) -> None:
    connection, peer = pair
    connection.send({"op": "run", "line": "é \udcff"})
    data = peer.recv(1000)
    assert struct.unpack(">I", data[:4]) == (len(data) - 4,)
    assert json.loads(data[4:]) == {"op": "run", "line": "é \udcff"}


def test_descriptors_ride_on_their_frame(pair: tuple[Connection, socket.socket]) -> None:
    connection, peer = pair
    read_end, write_end = os.pipe()
    connection.send({"op": "state"})
    connection.send({"op": "run", "fds": 1}, (write_end,))
    os.close(write_end)
    data, fds, _, _ = socket.recv_fds(peer, 1000, 4)
    if not fds:  # the kernel may hand out the first frame alone
        more, fds, _, _ = socket.recv_fds(peer, 1000, 4)
        data += more
    assert data == framed({"op": "state"}) + framed({"op": "run", "fds": 1})
    assert len(fds) == 1
    os.write(fds[0], b"through")
    os.close(fds[0])
    assert os.read(read_end, 100) == b"through"
    os.close(read_end)


def test_receives_frames_however_they_are_cut(pair: tuple[Connection, socket.socket]) -> None:
    connection, peer = pair
    data = framed({"op": "notice", "text": "a"}) + framed({"op": "exit", "status": 3})
    frames: list[Frame] = []
    for at in range(len(data)):
        peer.send(data[at : at + 1])
        connection.read_some()
        if (frame := connection.next_frame()) is not None:
            frames.append(frame)
    assert [(frame.op, frame.number("status")) for frame in frames] == [("notice", 0), ("exit", 3)]


def test_received_descriptors_belong_to_the_frame_that_names_them(pair: tuple[Connection, socket.socket]) -> None:
    connection, peer = pair
    ends = os.pipe()
    peer.send(framed({"op": "notice"}))
    socket.send_fds(peer, [framed({"op": "started", "pty": True, "fds": 1})], [ends[1]])
    peer.send(framed({"op": "exit"}))
    frames = [connection.receive() for _ in range(3)]
    assert [len(frame.fds) for frame in frames] == [0, 1, 0]
    assert not os.get_inheritable(frames[1].fds[0])
    os.write(frames[1].fds[0], b"x")
    assert os.read(ends[0], 1) == b"x"
    for fd in (*ends, frames[1].fds[0]):
        os.close(fd)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (struct.pack(">I", FRAME_LIMIT_BYTES + 1), "limit"),
        (struct.pack(">I", 3) + b"{x}", "broken"),
        (struct.pack(">I", 2) + b"[]", "broken"),
        (struct.pack(">I", 2) + b"\xff\xff", "broken"),
        (framed({"op": "started", "fds": 1}), "did not send"),
        (framed({"op": "started", "fds": -1}), "did not send"),
    ],
)
def test_a_broken_frame_ends_the_connection(pair: tuple[Connection, socket.socket], data: bytes, why: str) -> None:
    connection, peer = pair
    peer.send(data)
    with pytest.raises(ConnectionLost, match=why):
        connection.receive()


def test_the_end_of_the_peer_is_told(pair: tuple[Connection, socket.socket]) -> None:
    connection, peer = pair
    peer.close()
    with pytest.raises(ConnectionLost, match="closed"):
        connection.receive()
    with pytest.raises(ConnectionLost, match="closed"):
        connection.send({"op": "state"})


def test_a_frame_over_the_limit_is_not_sent(pair: tuple[Connection, socket.socket]) -> None:
    connection, _ = pair
    with pytest.raises(ValueError, match="too long"):
        connection.send({"op": "run", "line": "x" * FRAME_LIMIT_BYTES})


def test_fields_of_the_wrong_type_read_as_missing() -> None:
    frame = Frame({"op": "exit", "status": "0", "end": 1, "lines": ["a", 2], "span": [1, "x"], "cwd": None}, ())
    assert (frame.number("status", 7), frame.flag("end"), frame.texts("lines"), frame.span()) == (
        7,
        False,
        ("a",),
        None,
    )
    assert frame.text("cwd") == ""


def test_a_session_descriptor_must_be_a_local_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    import posix

    with open("/dev/null", "rb") as file:
        monkeypatch.setitem(posix.environ, b"PACT_SESSION_FD", str(file.fileno()).encode())
        with pytest.raises(OSError):
            connect()
    with socket.socket(socket.AF_INET) as inet:
        monkeypatch.setitem(posix.environ, b"PACT_SESSION_FD", str(os.dup(inet.fileno())).encode())
        with pytest.raises(ValueError, match="local socket"):
            connect()

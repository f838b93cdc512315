"""The client half of `call`: what an agent may answer, and what it does when it doesn't."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pactsh.cli.context import NodeSocket, find_node
from pactsh.cli.local import LocalAgent
from pactsh.errors import ForbiddenError, PactError, UnreachableError, UsageError

Answer = Callable[[socket.socket], None]


def frame(fields: object) -> bytes:
    body = json.dumps(fields).encode()
    return struct.pack(">I", len(body)) + body


class Agent:
    """Accepts one connection, keeps what it was asked, and answers with given bytes."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.path = path
        self.asked = b""
        self._answer = answer
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(1)
        self._server.settimeout(30)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._server, self._server.accept()[0] as connection:
            connection.settimeout(30)
            self.asked = connection.recv(65536)
            connection.sendall(self._answer)
            if not self._answer:
                self._done.wait(30)  # say nothing, but stay

    def close(self) -> None:
        self._done.set()
        self._thread.join(30)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[[bytes], Agent]]:
    made: list[Agent] = []

    def make(answer: bytes) -> Agent:
        made.append(Agent(tmp_path / "agent.sock", answer))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(path: Path, timeout_s: float = 30) -> list[dict[str, object]]:
    with LocalAgent(NodeSocket(None, str(path)), timeout_s=timeout_s) as connection:
        return list(connection.call("log", {"n": 1}))


def test_items_until_done(agent: Callable[[bytes], Agent]) -> None:
    peer = agent(
        frame({"op": "item", "value": {"a": "\udcff"}})
        + frame({"op": "notice", "text": "hello", "level": "info"})
        + frame({"op": "item", "value": {"b": 2}})
        + frame({"op": "done"})
    )
    assert ask(peer.path) == [{"a": "\udcff"}, {"b": 2}]
    assert json.loads(peer.asked[4:]) == {"op": "call", "method": "log", "params": {"n": 1}}


BROKEN: dict[str, tuple[bytes, type[PactError], str]] = {
    "hangs up": (frame({"op": "item", "value": {}}), UnreachableError, "closed the connection"),
    "torn frame": (b"\x00\x00\x00\x09{", UnreachableError, "closed the connection"),
    "not JSON": (b"\x00\x00\x00\x01{", UnreachableError, "broken frame"),
    "endless frame": (b"\xff\xff\xff\xff", UnreachableError, "over the limit"),
    "no object": (frame({"op": "item", "value": 3}), PactError, "not an object"),
    "no value": (frame({"op": "item"}), PactError, "not an object"),
    "other answer": (frame({"op": "started"}), PactError, "unexpected answer 'started'"),
    "refusal": (frame({"op": "error", "kind": "forbidden", "message": "no", "hint": "h"}), ForbiddenError, "no"),
    "unknown kind": (frame({"op": "error", "kind": "new", "message": "m"}), PactError, "m"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_answer_is_a_clear_error(agent: Callable[[bytes], Agent], case: str) -> None:
    answer, kind, expected = BROKEN[case]
    with pytest.raises(PactError) as caught:
        ask(agent(answer).path)
    assert type(caught.value) is kind
    assert expected in caught.value.message


def test_silence_is_a_timeout(agent: Callable[[bytes], Agent]) -> None:
    with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
        ask(agent(b"").path, timeout_s=0.2)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        ask(tmp_path / "none")


def test_more_or_less_than_one_answer_is_an_error(agent: Callable[[bytes], Agent]) -> None:
    peer = agent(frame({"op": "done"}))
    with (
        LocalAgent(NodeSocket(None, str(peer.path)), timeout_s=30) as connection,
        pytest.raises(PactError, match="expected one answer, got 0"),
    ):
        connection.ask("status")


def test_an_inherited_connection_is_used_as_often_as_needed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        node = find_node({"PACT_SESSION_FD": str(ours.fileno())}, "/nonexistent")
        assert node == NodeSocket(ours.fileno(), "/nonexistent")
        assert node is not None
        for number in (1, 2):
            theirs.sendall(frame({"op": "item", "value": {"x": number}}) + frame({"op": "done"}))
            with LocalAgent(node, timeout_s=30) as connection:
                assert connection.ask("whoami") == {"x": number}


def test_where_we_are(tmp_path: Path) -> None:
    there = tmp_path / "sock"
    assert find_node({}, str(there)) is None
    there.touch()
    assert find_node({}, str(there)) == NodeSocket(None, str(there))
    assert find_node({"PACT_AGENT_SOCKET": "/x"}, str(there)) == NodeSocket(None, "/x")


@pytest.mark.parametrize("value", ["x", "-1", "99999999", "1e3", ""])
def test_a_session_descriptor_must_be_a_socket(tmp_path: Path, value: str) -> None:
    environ = {"PACT_SESSION_FD": value}
    if value:
        with pytest.raises(UsageError, match="is not an open socket"):
            find_node(environ, str(tmp_path / "none"))
    else:
        assert find_node(environ, str(tmp_path / "none")) is None


def test_a_file_is_no_session(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(UsageError, match="is not an open socket"):
        find_node({"PACT_SESSION_FD": str(file.fileno())}, "/nonexistent")

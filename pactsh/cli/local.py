"""Asking this node's agent: `call` frames on the local socket (docs/internals.md, section 3)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pactsh.errors import PactError, UnreachableError, error_of

if TYPE_CHECKING:
    from pactsh.cli.context import NodeSocket
    from pactsh.shell.wire import Connection

Item = dict[str, Any]


class LocalAgent:
    """A connection to this node's agent; a context manager.

    An inherited connection (PACT_SESSION_FD) speaks for the session it was made in; one to `path`
    speaks for the uid of this process.
    """

    def __init__(self, node: NodeSocket, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._path = node.path
        try:
            self._connection = _connect(node)
        except OSError as error:
            raise UnreachableError(
                f"agent: {node.path}: {error.strerror or error}",
                hint="is pact-agent running? PACT_AGENT_SOCKET names another socket",
            ) from error
        self._connection.sock.settimeout(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, method: str, params: Mapping[str, object] | None = None, *, endless: bool = False) -> Item:
        """The one item that `method` answers; raises like `call`."""
        items = list(self.call(method, params, endless=endless))
        if len(items) != 1:
            raise PactError(f"agent: {method}: expected one answer, got {len(items)}")
        return items[0]

    def gather(self, method: str, params: Mapping[str, object] | None = None) -> Item:
        """The answer of `method` whose lists may come in parts; raises like `call`."""
        whole: Item = {}
        for item in self.call(method, params):
            for key, value in item.items():
                whole[key] = whole[key] + value if isinstance(value, list) and key in whole else value
        return whole

    def call(self, method: str, params: Mapping[str, object] | None = None, *, endless: bool = False) -> Iterator[Item]:
        """Yield the items that `method` answers. `endless` waits for the next one without a time limit.

        Raises the agent's own `PactError`, or `UnreachableError` when the agent doesn't answer.
        """
        from pactsh.shell.wire import ConnectionLost

        try:
            self._connection.send({"op": "call", "method": method, "params": dict(params or {})})
            if endless:
                self._connection.sock.settimeout(None)
            while True:
                frame = self._connection.receive()
                if frame.op == "item":
                    yield _object(frame.value("value"), method)
                elif frame.op == "done":
                    return
                elif frame.op == "error":
                    raise error_of(frame.text("kind"), frame.text("message"), frame.text("hint"))
                elif frame.op != "notice":
                    raise PactError(f"agent: {method}: unexpected answer {frame.op!r}")
        except TimeoutError as error:
            raise UnreachableError(f"agent: {method}: no answer within {self._timeout_s:g} s") from error
        except (ConnectionLost, ConnectionError) as error:
            raise UnreachableError(f"agent: {method}: {error}") from error


def _object(value: object, method: str) -> Item:
    if not isinstance(value, dict):
        raise PactError(f"agent: {method}: the answer is not an object")
    return value


def _connect(node: NodeSocket) -> Connection:
    from _socket import AF_UNIX, SOCK_STREAM, socket

    from pactsh.shell.wire import Connection

    if node.fd is not None:
        # A duplicate: a command may ask more than once (`watch` does), and the session gave only this one.
        return Connection(socket(fileno=os.dup(node.fd)), inherited=True)
    sock = socket(AF_UNIX, SOCK_STREAM)
    try:
        sock.connect(node.path)
    except OSError:
        sock.close()
        raise
    return Connection(sock, inherited=False)

"""The client half of the local socket: frames of JSON, with descriptors (docs/internals.md, section 3).

Only built-in C modules are imported: `socket` would pull in `selectors`, `enum` and `re`, and
`pactsh -c` would spend more on imports than on everything else.
"""

import posix
import sys
from _socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    SCM_RIGHTS,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)

from pactsh.shell import jsonlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PATH = b"/run/pact/agent.sock"
FRAME_LIMIT_BYTES = 1 << 20
_FDS_LIMIT = 8
_INT_BYTES = 4


class ConnectionLost(Exception):  # noqa: N818  it is what happened, and callers read it so
    """The agent closed the connection, or broke the protocol. The text says which."""


class Frame:
    """One received frame: its fields, and the descriptors that came with it (owned by the receiver)."""

    __slots__ = ("_fields", "fds", "op")

    def __init__(self, fields: "dict[str, Any]", fds: tuple[int, ...]) -> None:
        self._fields = fields
        self.fds = fds
        self.op = self.text("op")

    def text(self, name: str) -> str:
        """Return a string field, "" when it is missing or something else."""
        value = self._fields.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str, default: int = 0) -> int:
        """Return an integer field, or `default`."""
        value = self._fields.get(name)
        return value if isinstance(value, int) else default

    def flag(self, name: str) -> bool:
        """Tell whether the field is JSON's true."""
        return self._fields.get(name) is True

    def value(self, name: str) -> object:
        """Return a field as it came, None when missing."""
        return self._fields.get(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the strings of a list field."""
        value = self._fields.get(name)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def span(self, name: str = "span") -> tuple[int, int] | None:
        """Return a span field (code points of the line), None when there is none."""
        match self._fields.get(name):
            case [int(start), int(end)]:
                return start, end
        return None


class Connection:
    """A connection to the agent. Sends whole frames; hands out whole frames."""

    __slots__ = ("_buffer", "_fds", "_postponed", "_sending", "inherited", "sock")

    def __init__(self, sock: socket, *, inherited: bool) -> None:
        self.sock = sock
        self.inherited = inherited
        self._buffer = b""
        self._fds: list[int] = []
        self._sending = False
        self._postponed: list[dict[str, object]] = []

    def fileno(self) -> int:
        """Return the socket's descriptor, for poll and event loops."""
        return self.sock.fileno()

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self.sock.close()
        for fd in self._fds:
            posix.close(fd)
        self._fds.clear()

    def send(self, fields: dict[str, object], fds: tuple[int, ...] = ()) -> None:
        """Send one frame. Raises ConnectionLost, ValueError (too long), OSError EBADF (a bad descriptor)."""
        body = jsonlite.dumps(fields).encode("ascii")
        if len(body) > FRAME_LIMIT_BYTES:
            raise ValueError("frame too long")
        data = len(body).to_bytes(4, "big") + body
        self._sending = True
        try:
            if fds:
                rights = b"".join([fd.to_bytes(_INT_BYTES, sys.byteorder) for fd in fds])
                data = data[self.sock.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, rights)]) :]
            if data:
                self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise ConnectionLost("the agent closed the connection") from None
        finally:
            self._sending = False
        while self._postponed:
            self.send(self._postponed.pop(0))

    def post(self, fields: dict[str, object]) -> None:
        """Send from a signal handler: never into the middle of another frame, never raising."""
        if self._sending:
            self._postponed.append(fields)
            return
        try:
            self.send(fields)
        except (ConnectionLost, OSError):
            pass  # whoever reads next learns of it

    def read_some(self) -> None:
        """Take in what the socket has; waits for the first byte. Raises ConnectionLost."""
        try:
            data, ancillary, flags, _ = self.sock.recvmsg(65536, CMSG_SPACE(_FDS_LIMIT * _INT_BYTES), MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            raise ConnectionLost("the agent closed the connection") from None
        for level, kind, rights in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                whole = len(rights) - len(rights) % _INT_BYTES
                self._fds += [
                    int.from_bytes(rights[at : at + _INT_BYTES], sys.byteorder) for at in range(0, whole, _INT_BYTES)
                ]
        if flags & MSG_CTRUNC:
            raise ConnectionLost("the agent sent more descriptors than a frame may carry")
        if not data:
            raise ConnectionLost("the agent closed the connection")
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next frame already taken in, or None. Raises ConnectionLost for a broken one."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        end = 4 + int.from_bytes(buffer[:4], "big")
        if end > 4 + FRAME_LIMIT_BYTES:
            raise ConnectionLost("the agent sent a frame over the limit")
        if len(buffer) < end:
            return None
        self._buffer = buffer[end:]
        try:
            fields = jsonlite.loads(buffer[4:end].decode("utf-8"))
        except ValueError:
            raise ConnectionLost("the agent sent a broken frame") from None
        if not isinstance(fields, dict):
            raise ConnectionLost("the agent sent a broken frame")
        count = fields.get("fds", 0)
        if not isinstance(count, int) or not 0 <= count <= len(self._fds):
            raise ConnectionLost("the agent named descriptors that it did not send")
        fds = tuple(self._fds[:count])
        del self._fds[:count]
        return Frame(fields, fds)

    def receive(self) -> Frame:
        """Wait for the next frame. Raises ConnectionLost."""
        while (frame := self.next_frame()) is None:
            self.read_some()
        return frame


def socket_path() -> bytes:
    """Return where the agent listens: `PACT_AGENT_SOCKET`, or the system's place."""
    return posix.environ.get(b"PACT_AGENT_SOCKET") or DEFAULT_PATH


def connect() -> Connection:
    """Connect to the agent, or take over the session's inherited connection. Raises OSError, ValueError."""
    inherited = posix.environ.get(b"PACT_SESSION_FD")
    if inherited:
        fd = int(inherited)
        sock = socket(fileno=fd)  # raises OSError when it is not a socket
        if sock.family != AF_UNIX:
            sock.close()
            raise ValueError("not a local socket")
        posix.set_inheritable(fd, False)
        return Connection(sock, inherited=True)
    sock = socket(AF_UNIX, SOCK_STREAM)
    sock.connect(socket_path())
    return Connection(sock, inherited=False)

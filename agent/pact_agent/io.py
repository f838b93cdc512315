"""Where a line's input and output are: descriptors, and the terminal if there is one."""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import re
import struct
import termios
from typing import Protocol

import msgspec

_TERM = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}\Z")
_LANG = re.compile(r"^(C|POSIX|[a-z]{2,3}_[A-Z]{2})(\.[A-Za-z0-9-]{1,16})?\Z")
_LARGEST = 500
_TIOCGPTPEER = 0x5441  # asm-generic/ioctls.h


class Terminal(msgspec.Struct, frozen=True):
    """A terminal's type and size in characters; anything odd a client says becomes a sane value."""

    term: str = "dumb"
    rows: int = 24
    cols: int = 80

    @classmethod
    def of(cls, term: object, rows: object, cols: object) -> Terminal:
        """Build from untrusted values: names as in terminfo(5), 1 to 500 rows and columns."""
        name = term if isinstance(term, str) and _TERM.match(term) else "dumb"
        return cls(name, _bounded(rows, 24), _bounded(cols, 80))


def _bounded(value: object, default: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return default
    return min(value, _LARGEST)


class Io(msgspec.Struct, frozen=True):
    """Standard descriptors of a line; None is the terminal. The caller owns and closes them.

    `columns`: how wide what is written will be shown, where that is not a terminal's business (0: not known).
    """

    stdin: int | None
    stdout: int | None
    stderr: int | None
    terminal: Terminal | None = None
    term: str = "dumb"
    lang: str = "C.UTF-8"
    columns: int = 0


def parse_lang(value: object) -> str:
    """A locale name as setlocale(3) knows them, or `C.UTF-8`."""
    return value if isinstance(value, str) and _LANG.match(value) else "C.UTF-8"


class Refusal(msgspec.Struct, frozen=True):
    """Why a line did not run. `span` is in code points of the line.

    `rest`: what stood before has run, only the rest of the line was refused.
    """

    status: int
    code: str
    rule: str
    reason: str
    hint: str
    span: tuple[int, int] | None = None
    rest: bool = False


class Sink(Protocol):
    """Who is told how a line goes: the local socket's connection or an SSH channel."""

    async def refused(self, refusal: Refusal) -> None:
        """The line did not run."""

    async def started(self, master: int | None) -> None:
        """A pipeline begins; `master` (the receiver closes it) is its pseudo-terminal's other end."""

    def notice(self, text: str, level: str) -> None:
        """Something to tell the person meanwhile."""


class Pty:
    """The agent's hold on a pipeline's pseudo-terminal: it keeps the slave side until the end.

    `master` belongs to whoever it is handed to. The agent reads what was left through a description of its
    own (ioctl_tty(2), TIOCGPTPEER): the command shares the flags of `slave` and could make a read of it wait.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.master, self.slave = os.openpty()
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._own = fcntl.ioctl(self.master, _TIOCGPTPEER, flags)
            self.resize(terminal.rows, terminal.cols)
        except OSError:
            os.close(self.master)
            os.close(self.slave)
            raise

    def resize(self, rows: int, cols: int) -> None:
        """Set the size; the kernel tells the foreground group (SIGWINCH)."""
        size = struct.pack("HHHH", _bounded(rows, 24), _bounded(cols, 80), 0, 0)
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, size)

    def size(self) -> tuple[int, int]:
        """Rows and columns now."""
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(self._own, termios.TIOCGWINSZ, bytes(8)))
        return rows, columns

    def be_quiet(self) -> None:
        """Show no keys that are typed; ^C and its like work all the same."""
        mode = termios.tcgetattr(self._own)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(self._own, termios.TCSANOW, mode)

    def close(self) -> bytes:
        """Close the slave and return what was typed but not read: it belongs to the next prompt."""
        if self._own < 0:
            return b""
        unread = b""
        try:
            mode = termios.tcgetattr(self._own)
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 0, 0
            termios.tcsetattr(self._own, termios.TCSANOW, mode)
            unread = os.read(self._own, 65536)
        except (termios.error, BlockingIOError):
            pass  # the other end is gone, and with it what was typed; or nothing was
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        finally:
            os.close(self._own)
            os.close(self.slave)
            self._own = -1
        return unread


def encode_unread(data: bytes) -> str:
    """The `unread` field of an `exit` frame."""
    return base64.b64encode(data).decode("ascii")

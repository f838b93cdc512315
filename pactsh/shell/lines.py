"""Reads lines: from a file, from stdin shared with commands, from a terminal in its line mode.

A line is bytes without its newline, None at the end. Lines over the limit are read to their end, so that
no part of one is ever run: their beginning, itself over the limit, comes back for the agent to refuse
and record. What a terminal has cut comes back as `TooLong`. Standard library only.
"""

import posix

from pactsh.shell.runner import LINE_LIMIT_BYTES

_TERMINAL_LINE_BYTES = 4095  # n_tty keeps at most this much of a line and drops the rest silently
_SEEK_SET, _SEEK_CUR = 0, 1


class TooLong:
    """Stands for a line that the terminal has cut at `limit_bytes`: what is left of it could be run."""

    __slots__ = ("limit_bytes",)

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes


Input = bytes | TooLong | None


class FileLines:
    """Lines of a descriptor that nobody else reads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = b""
        self._ended = False

    def read_line(self) -> Input:
        """Return the next line."""
        head = b""
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline or self._ended:
                self._buffer = rest
                line = head or line[: LINE_LIMIT_BYTES + 1]
                return line if newline or line else None
            if len(self._buffer) > LINE_LIMIT_BYTES:
                head, self._buffer = head or self._buffer[: LINE_LIMIT_BYTES + 1], b""
            data = posix.read(self._fd, 65536)
            self._ended = not data
            self._buffer += data


class SharedLines:
    """Lines of stdin, which commands read too: nothing beyond the newline is consumed, as in bash.

    A file is read in blocks and wound back; a pipe is read byte by byte.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        try:
            posix.lseek(fd, 0, _SEEK_CUR)
            self._block_bytes = 4096
        except OSError:
            self._block_bytes = 1

    def read_line(self) -> Input:
        """Return the next line."""
        line = bytearray()
        while data := posix.read(self._fd, self._block_bytes):
            piece, newline, rest = data.partition(b"\n")
            line += piece[: LINE_LIMIT_BYTES + 1 - len(line)]
            if newline:
                if rest:
                    posix.lseek(self._fd, -len(rest), _SEEK_CUR)
                break
        else:
            if not line:
                return None
        return bytes(line)


class TerminalLines:
    """Lines of a terminal whose kernel does the editing; unread type-ahead can be put back."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = b""

    def put_back(self, typed: bytes) -> None:
        """Read this first: keys typed while a command ran and that it didn't read."""
        self._buffer += typed

    def discard(self) -> None:
        """Forget type-ahead, as ^C does."""
        self._buffer = b""

    def read_line(self) -> Input:
        """Return the next line. KeyboardInterrupt passes through, with the line given up."""
        pieces = self._buffer
        self._buffer = b""
        too_long = False
        while True:
            # Keys typed while the terminal was raw end in a carriage return.
            at = min((i for i in (pieces.find(b"\n"), pieces.find(b"\r")) if i >= 0), default=-1)
            if at >= 0:
                self._buffer = pieces[at + 1 :]
                return TooLong(_TERMINAL_LINE_BYTES) if too_long else pieces[:at]
            data = posix.read(self._fd, 65536)
            if not data:
                return pieces or None
            # A full buffer means that the kernel has dropped the rest of what was typed: half a
            # command must never run.
            if len(data) >= _TERMINAL_LINE_BYTES and data.find(b"\n", 0, _TERMINAL_LINE_BYTES) < 0:
                too_long = True
            pieces += data

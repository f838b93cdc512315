"""What a person sees: a pyte screen fed by a pexpect child."""

from __future__ import annotations

import time
from collections.abc import Callable

import pexpect
import pyte


class Screen:
    """The terminal of a child. `wait` reads until the screen is as wanted."""

    def __init__(self, child: pexpect.spawn[str], rows: int = 24, columns: int = 80) -> None:
        self.child = child
        self.raw = ""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)

    @property
    def lines(self) -> list[str]:
        """The rows, without blanks at their ends and empty rows at the end."""
        return "\n".join(row.rstrip() for row in self._screen.display).rstrip().split("\n")

    @property
    def cursor(self) -> tuple[int, int]:
        return self._screen.cursor.y, self._screen.cursor.x

    def style(self, row: int, column: int) -> pyte.screens.Char:
        return self._screen.buffer[row][column]

    def wait(self, wanted: Callable[[list[str]], bool], timeout_s: float = 60) -> list[str]:
        """Read until `wanted` is true of the rows; fails with what there was instead."""
        deadline = time.monotonic() + timeout_s
        while not wanted(self.lines):
            if time.monotonic() > deadline:
                raise AssertionError("never appeared; the screen shows:\n" + "\n".join(self.lines))
            try:
                text = self.child.read_nonblocking(65536, 0.2)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                if wanted(self.lines):
                    break
                raise AssertionError("ended; the screen shows:\n" + "\n".join(self.lines)) from None
            self.raw += text
            self._stream.feed(text)
        return self.lines

    def wait_text(self, text: str) -> list[str]:
        return self.wait(lambda lines: any(text in line for line in lines))

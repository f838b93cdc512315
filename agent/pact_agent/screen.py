"""What `watch` shows: a title, the output cut to the window, differences marked. Pure.

Output comes from commands and may hold anything: what is no plain text is left out, colours apart where
they are asked for. Nothing is cleared before it is written again, so the screen does not flicker.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from pact_agent.io import Terminal
from pactsh.catalog.watchargs import WatchOptions

_HOME, _CLEAR_LINE, _CLEAR_BELOW, _CLEAR = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"
_REVERSE, _UPRIGHT, _PLAIN = "\x1b[7m", "\x1b[27m", "\x1b[m"
# An escape sequence (ECMA-48): CSI with its final byte, OSC and the like up to their end, or a single one.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?")
_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,64}m\Z")
_TAB = 8


class Screen:
    """Makes the bytes of each update. `size` gives rows and columns of the window now."""

    def __init__(
        self,
        options: WatchOptions,
        title: str,
        host: str,
        terminal: Terminal | None,
        size: Callable[[], tuple[int, int]],
    ) -> None:
        self._options, self._host, self._size = options, host, size
        self._title = "".join(c if c.isprintable() else "?" for c in title)
        self._full = terminal is not None and terminal.term != "dumb"
        self._fallback = (terminal.rows, terminal.cols) if terminal is not None else (24, 80)
        self._first = True
        self._before: list[list[str]] | None = None
        self._changed: list[set[int]] = []

    def frame(self, output: bytes, status: int, now: str) -> bytes:
        """The update for one run: `output` and its status at `now`."""
        beep = "\a" if self._options.beep and status and self._full else ""
        text = output.decode("utf-8", "replace")
        if not self._full:
            lines = ["".join(_cells(line, 0, colour=False)) for line in text.splitlines()]
            title = [f"Every {self._options.interval_s:g}s: {self._title}  {self._host}: {now}", ""]
            first, self._first = self._first, False
            return "\n".join([*([] if first else [""]), *(title if self._options.title else ()), *lines, ""]).encode()
        rows, columns = self._size()
        rows, columns = (rows, columns) if rows > 0 and columns > 0 else self._fallback
        shown = self._head(columns, now) if self._options.title else []
        keep = max(1, rows - len(shown) - 1)  # the last row stays free: a newline there would scroll
        body = [_cells(line, columns, colour=self._options.color) for line in text.splitlines()[:keep]]
        shown += self._marked(body) if self._options.differences else ["".join(cells) for cells in body]
        start = _CLEAR if self._first else _HOME
        self._first = False
        reset = _PLAIN if self._options.color else ""
        return (start + beep + "".join(f"{line}{reset}{_CLEAR_LINE}\r\n" for line in shown) + _CLEAR_BELOW).encode()

    def _head(self, columns: int, now: str) -> list[str]:
        left, right = f"Every {self._options.interval_s:g}s: {self._title}", f"{self._host}: {now}"
        room = columns - len(right) - 1
        if room < 12:
            return [left[:columns], ""]
        return [f"{left[: room - 3] + '...' if len(left) > room else left:<{room}} {right}", ""]

    def _marked(self, body: list[list[str]]) -> list[str]:
        """The lines with what differs from the last run, or ever differed, in reverse."""
        before, self._before = self._before, body
        if before is None:
            self._changed = []
            return ["".join(cells) for cells in body]
        shown = []
        for row, cells in enumerate(body):
            old = before[row] if row < len(before) else []
            now = {at for at, cell in enumerate(cells) if at >= len(old) or old[at][-1] != cell[-1]}
            while len(self._changed) <= row:
                self._changed.append(set())
            self._changed[row] = (self._changed[row] | now) if self._options.differences == "permanent" else now
            shown.append(
                "".join(_reversed(cell) if at in self._changed[row] else cell for at, cell in enumerate(cells))
            )
        return shown


def _reversed(cell: str) -> str:
    """The cell in reverse, within the colours that come with it: one of them may be the end of all."""
    return f"{cell[:-1]}{_REVERSE}{cell[-1]}{_UPRIGHT}"


def _cells(line: str, columns: int, *, colour: bool) -> list[str]:
    """The printable characters of the line, as many as `columns` cells hold (0: any number). Colours, where they
    are asked for, stand before the character that they begin with.
    """
    kept: list[str] = []
    cells = at = 0
    colours = ""
    while at < len(line):
        c = line[at]
        if c == "\x1b":
            sequence = _SEQUENCE.match(line, at)
            whole = sequence.group() if sequence is not None else c
            if colour and _COLOUR.match(whole):
                colours += whole
            at += max(1, len(whole))
            continue
        at += 1
        if c == "\t":
            c, width = " " * (_TAB - cells % _TAB), _TAB - cells % _TAB
        elif not c.isprintable():
            continue
        else:
            width = 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if columns and cells + width > columns:
            break
        kept += [colours + c[0], *c[1:]]
        colours = ""
        cells += width
    return kept

"""How far something is that takes long: one line on standard error, drawn over itself where that is a terminal.

Where it is none, each text is a line of its own, and told once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pactsh.cli.render import escape, print_notice

_WIDTH, _COLUMNS = 30, 80


class ProgressLine:
    """Draw it, and clear it before something else is printed. `shown`: whether there is a terminal to draw it on."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._drawn = False
        self._last = ""

    def draw(self, text: str, more: str = "") -> None:
        """Show this in the place of what was there; `more` changes all the time, and is for a terminal alone."""
        if self._shown:
            self.tick(text + more)
        elif text != self._last:
            self._last = text
            print_notice(text)

    def tick(self, text: str) -> None:
        """Show this on a terminal alone."""
        if self._shown:
            self._drawn = True
            sys.stderr.write(f"\r{escape(text)[: _columns() - 1]}\x1b[K")
            sys.stderr.flush()

    def bar(self, done: int, total: int, more: str = "") -> None:
        """So many of so many are through; on what is no terminal nothing."""
        filled = _WIDTH * done // max(total, 1)
        self.tick(f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {done}/{total}{more}")

    def clear(self) -> None:
        """Take it away."""
        if self._drawn:
            self._drawn = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def is_shown(environ: Mapping[str, str]) -> bool:
    """Whether standard error is a terminal that can draw."""
    return os.isatty(2) and environ.get("TERM", "dumb") != "dumb"


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns or _COLUMNS
    except OSError:
        return _COLUMNS

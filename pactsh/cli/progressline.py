"""How far something is that takes long: one line on standard error, drawn over itself where that is a terminal.

Where it is none, each text is a line of its own, and told once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pactsh.cli.gauge import is_shown
from pactsh.cli.render import escape, print_notice

_WIDTH = 30


class ProgressLine:
    """Draw it, and clear it before something else is printed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._shown = is_shown(environ)
        self._drawn = False
        self._last = ""

    def draw(self, text: str, more: str = "") -> None:
        """Show this in the place of what was there; `more` changes all the time, and is for a terminal alone."""
        if not self._shown:
            if text != self._last:
                print_notice(text)
            self._last = text
            return
        self._drawn = True
        width = (os.get_terminal_size(2).columns or 80) - 1
        sys.stderr.write(f"\r{escape(text + more)[:width]}\x1b[K")
        sys.stderr.flush()

    def tick(self, text: str) -> None:
        """Show this on a terminal alone."""
        if self._shown:
            self.draw(text)

    def bar(self, done: int, total: int) -> None:
        """So many of so many are through; on what is no terminal nothing."""
        filled = _WIDTH * done // max(total, 1)
        self.tick(f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {done}/{total}")

    def clear(self) -> None:
        """Take it away."""
        if self._drawn:
            self._drawn = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

"""How far work on many nodes is: one line on standard error, drawn at the bottom of what else is printed there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_WIDTH = 30
_EVERY_S = 0.1


class Gauge:
    """A bar of `total` nodes. `shown`: whether there is a terminal to draw it on."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._total, self._shown = total, shown
        self._done = self._failed = 0
        self._drawn = False
        self._drawn_at = 0.0

    def count(self, now: float, *, failed: bool) -> None:
        """One more has ended; `now` (monotonic) keeps the drawing to ten times a second."""
        self._done += 1
        self._failed += failed
        if now - self._drawn_at >= _EVERY_S or self._done == self._total:
            self.draw(now)

    def draw(self, now: float) -> None:
        """Draw it anew."""
        if not self._shown:
            return
        self._drawn_at, self._drawn = now, True
        filled = _WIDTH * self._done // max(self._total, 1)
        failed = f"  {self._failed} failed" if self._failed else ""
        sys.stderr.write(f"\r[{'#' * filled}{'-' * (_WIDTH - filled)}] {self._done}/{self._total}{failed}\x1b[K")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take it away, before something else is printed."""
        if self._drawn:
            self._drawn = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def is_shown(environ: Mapping[str, str]) -> bool:
    """Whether standard error is a terminal that can draw."""
    return os.isatty(2) and environ.get("TERM", "dumb") != "dumb"

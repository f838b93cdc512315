"""How far work on many nodes is: a bar at the bottom of what else is printed on standard error."""

from __future__ import annotations

from pactsh.cli.progressline import ProgressLine

_EVERY_S = 0.1


class Gauge:
    """A bar of `total` nodes. `shown`: whether there is a terminal to draw it on."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._total, self._line = total, ProgressLine(shown=shown)
        self._done = self._failed = 0
        self._drawn_at = 0.0

    def count(self, now: float, *, failed: bool) -> None:
        """One more has ended; `now` (monotonic) keeps the drawing to ten times a second."""
        self._done += 1
        self._failed += failed
        if now - self._drawn_at >= _EVERY_S or self._done == self._total:
            self.draw(now)

    def draw(self, now: float) -> None:
        """Draw it anew."""
        self._drawn_at = now
        self._line.bar(self._done, self._total, f"  {self._failed} failed" if self._failed else "")

    def clear(self) -> None:
        """Take it away, before something else is printed."""
        self._line.clear()

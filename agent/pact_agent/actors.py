"""Who is changing the node: those whose commands of class `change` run, or ended a moment ago. What drifts meanwhile is
theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from pact_agent.clock import Clock
from pactsh.model.delta import Change


class _Acting(msgspec.Struct, frozen=True):
    principal: str
    dimension: str | None


_AFTER_S = 5.0  # a service stops, a daemon sets up a link: after the command that asked for it


class Actors:
    """Of one node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._acting: list[_Acting] = []
        self._ended: dict[_Acting, float] = {}

    @contextlib.contextmanager
    def acting(self, principal: str, dimension: str | None) -> Iterator[None]:
        """While a command of `principal` runs that changes that dimension, as far as it is known."""
        mark = _Acting(principal, dimension)
        self._acting.append(mark)
        try:
            yield
        finally:
            self._acting.remove(mark)
            self._ended[mark] = self._clock.monotonic()

    def author_of(self, change: Change) -> str:
        """Who made it: those whose commands run, of that dimension first; else those whose command of that dimension
        ended a moment ago. "" when nobody's did."""
        names = {a.principal for a in self._acting if a.dimension == change.dimension}
        names = names or {a.principal for a in self._acting} or self._recent(change.dimension)
        return ", ".join(sorted(names))

    def _recent(self, dimension: str) -> set[str]:
        since = self._clock.monotonic() - _AFTER_S
        self._ended = {mark: at for mark, at in self._ended.items() if at >= since}
        return {mark.principal for mark in self._ended if mark.dimension == dimension}

"""Who is changing the node right now: those whose commands of class `change` run. What drifts meanwhile is theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from pactsh.model.delta import Change


class _Acting(msgspec.Struct, frozen=True):
    principal: str
    dimension: str | None


class Actors:
    """Of one node."""

    def __init__(self) -> None:
        self._acting: list[_Acting] = []

    @contextlib.contextmanager
    def acting(self, principal: str, dimension: str | None) -> Iterator[None]:
        """While a command of `principal` runs that changes that dimension, as far as it is known."""
        mark = _Acting(principal, dimension)
        self._acting.append(mark)
        try:
            yield
        finally:
            self._acting.remove(mark)

    def author_of(self, change: Change) -> str:
        """Who made it: those whose commands run, of that dimension first. "" when nobody's does."""
        names = {a.principal for a in self._acting if a.dimension == change.dimension}
        return ", ".join(sorted(names or {a.principal for a in self._acting}))

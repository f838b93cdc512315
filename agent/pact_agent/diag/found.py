"""What a search has found: the newest lines, within bounds of number and size."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from pact_agent.diag.shown import shown
from pact_agent.diag.wanted import Wanted
from pactsh.model.regexp import search_of

Limit = Literal["", "lines", "size", "time"]


class Found(msgspec.Struct):
    """Of one source: its lines, oldest first. `limit`: what kept older ones out; `error`: what could not be read."""

    source: str
    lines: list[str]
    limit: Limit = ""
    error: str = ""


class Search:
    """One search in one source, until `ends` (monotonic). It keeps at most `limit_bytes` of text.

    Lines come from the newest to the oldest (`older`) or the other way (`newer`), not both.
    """

    def __init__(self, wanted: Wanted, limit_bytes: int, ends: float, now: float) -> None:
        self.since, self.ends, self.now = wanted.since, ends, now
        self._most, self._limit_bytes = wanted.lines, limit_bytes
        self._matches: Callable[[bytes], bool] | None = search_of(wanted.grep) if wanted.grep else None
        self._lines: deque[str] = deque()
        self._bytes = 0
        self.limit: Limit = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is wanted."""
        return self.limit != ""

    @property
    def has_room(self) -> bool:
        """Whether there are fewer lines than wanted."""
        return len(self._lines) < self._most and not self.limit

    def is_late(self) -> bool:
        """Whether the time is over; what was found until then is all there will be."""
        if not self.limit and time.monotonic() > self.ends:
            self.limit = "time"
        return self.limit == "time"

    def part(self) -> Search:
        """A search for what this one still has room for, to be handed to `merge`."""
        part = object.__new__(Search)
        part.since, part.ends, part.now, part._matches = self.since, self.ends, self.now, self._matches
        part._most, part._limit_bytes = self._most - len(self._lines), self._limit_bytes - self._bytes
        part._lines, part._bytes, part.limit = deque(), 0, ""
        return part

    def merge(self, part: Search) -> None:
        """Take over what is older than all here."""
        self._lines.extendleft(reversed(part._lines))
        self._bytes += part._bytes
        self.limit = part.limit

    def matching(self, raw: bytes, more: int = 0) -> str | None:
        """The line as it is shown, if it is wanted."""
        text = shown(raw, more)
        return text if self._matches is None or self._matches(text.encode()) else None

    def older(self, raw: bytes, more: int = 0) -> None:
        """A line before all others."""
        text = self.matching(raw, more)
        if text is not None:
            self.older_text(text)

    def older_text(self, text: str) -> None:
        """The same of one that `matching` has given."""
        if self.limit in {"lines", "size"}:
            return
        if len(self._lines) >= self._most:
            self.limit = "lines"
        elif self._bytes + (size := len(text.encode())) > self._limit_bytes:
            self.limit = "size"
        else:
            self._lines.appendleft(text)
            self._bytes += size

    def newer(self, raw: bytes, more: int = 0) -> None:
        """A line after all others; the oldest ones give way."""
        text = self.matching(raw, more)
        if text is None:
            return
        self._lines.append(text)
        self._bytes += len(text.encode())
        while len(self._lines) > self._most or self._bytes > self._limit_bytes:
            if self.limit != "time":
                self.limit = "lines" if len(self._lines) > self._most else "size"
            self._bytes -= len(self._lines.popleft().encode())

    def found(self, source: str, error: str = "") -> Found:
        """What there is."""
        return Found(source, list(self._lines), self.limit, error)

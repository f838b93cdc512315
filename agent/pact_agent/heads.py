"""The journal's signed heads that this agent has seen: `heads.jsonl`, one a line, oldest first.

They are what shows later that a journal was cut short or rewritten by its keeper, so old ones
matter as much as new ones: when the file is full, every second one of the older half goes.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from pact_agent.spoolfiles import replace_file
from pactsh.model.entry import Head

_decoder = msgspec.json.Decoder(Head)


def thin(heads: list[Head]) -> list[Head]:
    """Drop every second head of the older half; the first and the last one stay.

    >>> [h.seq for h in thin([Head(n, "", "", "", "") for n in range(8)])]
    [0, 2, 4, 5, 6, 7]
    """
    half = len(heads) // 2
    return heads[:half:2] + heads[half:]


class HeadFile:
    """A bounded file of heads. A line that can't be read is left out, and goes at the next thinning."""

    def __init__(self, path: Path, limit: int = 1024) -> None:
        self._path = path
        self._limit = limit
        self._heads = _load(path)

    def heads(self) -> tuple[Head, ...]:
        """All heads that are kept, oldest first."""
        return tuple(self._heads)

    def add(self, head: Head) -> None:
        """Keep `head` unless it is the newest already. Raises OSError; the head is then kept in memory only."""
        if self._heads and self._heads[-1] == head:
            return
        self._heads.append(head)
        if len(self._heads) > self._limit:
            self._heads = thin(self._heads)
            replace_file(self._path, b"".join(msgspec.json.encode(h) + b"\n" for h in self._heads))
            return
        # One write to a file opened for appending; a torn line is skipped by the reader.
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, msgspec.json.encode(head) + b"\n")
        finally:
            os.close(fd)


def _load(path: Path) -> list[Head]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    heads = []
    for line in lines:
        try:
            heads.append(_decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return heads

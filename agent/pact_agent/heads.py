"""The journal's signed heads that this agent has seen: `heads.jsonl`, one a line, oldest first.

They are what shows later that a journal was cut short or rewritten by its keeper, so old ones
matter as much as new ones: when the file is full it is thinned, old times more than recent ones.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from pact_agent.spoolfiles import replace_file
from pactsh.model.entry import Head

_decoder = msgspec.json.Decoder(Head)


def thin(heads: list[Head], wanted: int) -> list[Head]:
    """Leave out heads until `wanted` or a few more are left: the closer two are for their age, the sooner.

    The first and the last one stay, and never two neighbours go at once.

    >>> [h.seq for h in thin([Head(n, "", "", "", "") for n in range(1, 13)], 8)]
    [1, 3, 5, 7, 9, 10, 11, 12]
    """
    newest = heads[-1].seq
    inner = range(1, len(heads) - 1)
    crowded = sorted(inner, key=lambda i: (heads[i + 1].seq - heads[i - 1].seq) / (newest - heads[i].seq + 1))
    gone: set[int] = set()
    for index in crowded:
        if len(heads) - len(gone) <= wanted:
            break
        if index - 1 not in gone and index + 1 not in gone:
            gone.add(index)
    return [head for index, head in enumerate(heads) if index not in gone]


class HeadFile:
    """A bounded file of heads. A line that can't be read is left out, and goes at the next thinning."""

    def __init__(self, path: Path, limit: int = 1024) -> None:
        self._path = path
        self._limit = limit
        self._heads, self._torn = _load(path)

    def heads(self) -> tuple[Head, ...]:
        """All heads that are kept, oldest first."""
        return tuple(self._heads)

    def add(self, head: Head) -> None:
        """Keep `head` unless it is the newest already. Raises OSError; the head is then kept in memory only."""
        if self._heads and self._heads[-1] == head:
            return
        self._heads.append(head)
        if len(self._heads) > self._limit:
            self._heads = thin(self._heads, self._limit * 3 // 4)
            replace_file(self._path, b"".join(msgspec.json.encode(h) + b"\n" for h in self._heads))
            return
        # One write to a file opened for appending; a line torn before is ended first, and skipped by the reader.
        line = (b"\n" if self._torn else b"") + msgspec.json.encode(head) + b"\n"
        self._torn = False
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def _load(path: Path) -> tuple[list[Head], bool]:
    """The heads in the file, and whether its last line was torn."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], False
    heads = []
    for line in content.splitlines():
        try:
            heads.append(_decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return heads, bool(content) and not content.endswith(b"\n")

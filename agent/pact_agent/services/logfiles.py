"""What a service of the supervisor has said, from the files that its holder writes and puts aside when full."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from pact_agent.aside import aside
from pact_agent.holder import LOG
from pact_agent.services.journald import text_of

_LOOK_S, _READ_S = 0.3, 20.0
_CHUNK_BYTES, _MOST_BYTES, _MOST_FILES = 48 << 10, 4 << 20, 100
_STEP_BYTES = 64 << 10


async def file_logs(directory: Path, lines: int, *, follow: bool) -> AsyncGenerator[list[str], None]:
    """The last lines, oldest first; with `follow` those to come. What was put aside unread meanwhile is read too."""
    where, last = await aside(_READ_S, "reading a log", lambda: _last(directory, lines))
    for part in _in_parts(last):
        yield part
    rest = b""
    while follow:
        await asyncio.sleep(_LOOK_S)
        where, data = await aside(_READ_S, "reading a log", lambda at=where: _since(directory, at))  # type: ignore[misc]
        *whole, rest = (rest + data).split(b"\n")
        for part in _in_parts(whole):
            yield part


Place = tuple[int, int]
"""A file's number, and how far it was read."""


def _last(directory: Path, lines: int) -> tuple[Place, list[bytes]]:
    place, data = (0, 0), b""
    for path in reversed([*_files(directory)]):
        room = _MOST_BYTES - len(data)
        if room <= 0 or data.count(b"\n") > lines:
            break
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno())
                older = _end_of(file.fileno(), found.st_size, room, lines + 1 - data.count(b"\n"))
                if place == (0, 0):
                    place = (found.st_ino, found.st_size)
        except OSError:
            continue  # put aside or away meanwhile
        data = older + data
    said = data.rsplit(b"\n", lines + 1)[:-1]
    return place, said[-lines:] if lines else []


def _end_of(fd: int, size: int, room: int, count: int) -> bytes:
    """As much of a file's end as has so many ends of lines, and no more memory than that."""
    data, at = b"", size
    while at > 0 and len(data) < room and data.count(b"\n") < count:
        begin = max(0, at - min(_STEP_BYTES, room - len(data)))
        data = os.pread(fd, at - begin, begin) + data
        at = begin
    return data


def _since(directory: Path, place: Place) -> tuple[Place, bytes]:
    """What came after `place`, at most some of it."""
    newer: list[Path] = []
    for path in reversed([*_files(directory)]):
        newer.insert(0, path)
        try:
            if os.stat(path).st_ino == place[0]:
                break
        except OSError:
            continue
    for path in newer:
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno())
                is_known = found.st_ino == place[0] and found.st_size >= place[1]
                file.seek(place[1] if is_known else 0)
                if data := file.read(_CHUNK_BYTES):
                    return (found.st_ino, file.tell()), data
        except OSError:
            continue
    return place, b""


def _files(directory: Path) -> Iterator[Path]:
    """The files there are, oldest first."""
    for number in range(_MOST_FILES, 0, -1):
        if (path := directory / f"{LOG}.{number}").exists():
            yield path
    yield directory / LOG


def _in_parts(lines: list[bytes]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for line in lines:
        part.append(text_of(line))
        size += len(line)
        if size > _CHUNK_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part

"""Searching a log file and the ones that it was before it was rotated (logrotate(8))."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator

from pact_agent.diag.backward import lines_backward
from pact_agent.diag.found import Found, Search
from pact_agent.diag.opening import NotShownError
from pact_agent.diag.shown import MOST_BYTES
from pact_agent.diag.stamps import time_of

Opener = Callable[[str], int]

_ROTATED = re.compile(r"(/.+?)(?:\.\d{1,4}|-\d{8}(?:-\d{1,10})?)(?:\.gz)?", re.DOTALL)

_LATE = 500  # so many lines before the time, one after another, and the rest is taken for older too
_EVERY = 50  # of lines that don't match, the time of one in so many is looked at
_GROUP = 1000  # lines without a time of their own that wait for that of the line they belong to
_MOST_UNPACKED = 256 << 20
_CHECKED = 256  # lines between two looks at the time


def search_file(path: str, opener: Opener, search: Search) -> Found:
    """The newest lines of the log at `path`, and of its predecessors as far back as the time that is wanted, or, where
    none is given, of the first one."""
    error = _search_one(path, opener, search)
    if not error:
        for older in _predecessors(path):
            if search.is_over or not _reaches(older, search):
                break
            if error := _search_one(older, opener, search):
                error = f"{os.path.basename(older)}: {error}"
                break
            if search.since is None:
                break
    return search.found(path, error)


def predecessor_of(path: str) -> str:
    """The log that a rotated file was once; "" when it doesn't look like one.

    >>> predecessor_of("/var/log/syslog.2.gz"), predecessor_of("/var/log/syslog")
    ('/var/log/syslog', '')
    """
    found = _ROTATED.fullmatch(path)
    return found[1] if found else ""


def _predecessors(path: str) -> list[str]:
    """Newest first, by when they were last written."""
    try:
        with os.scandir(os.path.dirname(path)) as entries:
            older = [entry for entry in entries if predecessor_of(entry.path) == path]
            found = [(entry.stat(follow_symlinks=False).st_mtime, entry.path) for entry in older]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]


def _reaches(path: str, search: Search) -> bool:
    """Whether the file may hold something that is wanted."""
    if search.since is None:
        return search.has_room and not path.endswith(".gz")
    try:
        return os.lstat(path).st_mtime >= search.since
    except OSError:
        return False


def _search_one(path: str, opener: Opener, search: Search) -> str:
    """What went wrong, or ""."""
    try:
        fd = opener(path)
        try:
            if path.endswith(".gz"):
                _search_packed(fd, search)
            else:
                _search_plain(fd, search)
        finally:
            os.close(fd)
    except NotShownError as error:
        return str(error)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return "it is damaged"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _search_plain(fd: int, search: Search) -> None:
    """From the end backwards. A line without a time belongs to the one before it."""
    if search.since is not None and os.fstat(fd).st_mtime < search.since:
        return
    waiting: list[str] = []  # what is wanted once its time is
    late = unseen = 0
    for raw, more in lines_backward(fd):
        if more < 0:  # a chunk has ended
            if search.is_late():
                break
            continue
        text = search.matching(raw, more)
        if search.since is not None:
            unseen += 1
            if text is None and not waiting and unseen < _EVERY:
                continue  # reading times is what takes longest
            moment = time_of(raw, search.now)
            if moment is None and len(waiting) < _GROUP:
                waiting += [] if text is None else [text]
                continue
            if moment is not None and moment < search.since:
                late, unseen = late + unseen, 0
                waiting.clear()
                if late > _LATE:
                    return
                continue
            late = unseen = 0
        _hand_over(waiting, search)
        if text is not None:
            search.older_text(text)
        if search.is_over:
            return
    _hand_over(waiting, search)


def _hand_over(waiting: list[str], search: Search) -> None:
    for text in waiting:
        search.older_text(text)
    waiting.clear()


def _search_packed(fd: int, search: Search) -> None:
    """Unpacked from its beginning on, keeping the newest."""
    part = search.part()
    wanted = True
    with os.fdopen(os.dup(fd), "rb") as packed, gzip.GzipFile(fileobj=packed) as file:
        for number, (raw, more) in enumerate(_lines(file, part)):
            if number % _CHECKED == 0 and _is_enough(file, part):
                break
            if part.since is not None:
                moment = time_of(raw, part.now)
                wanted = wanted if moment is None else moment >= part.since
            if wanted:
                part.newer(raw, more)
    search.merge(part)


def _is_enough(file: gzip.GzipFile, part: Search) -> bool:
    """Whether no more of it is unpacked: a small file may be as much as a disk."""
    if part.is_late():
        return True
    if file.tell() <= _MOST_UNPACKED:
        return False
    part.limit = "size"
    return True


def _lines(file: gzip.GzipFile, part: Search) -> Iterator[tuple[bytes, int]]:
    while raw := file.readline(MOST_BYTES + 1):
        more = 0
        if not raw.endswith(b"\n"):
            while not _is_enough(file, part) and (rest := file.readline(1 << 16)):
                more += len(rest)
                if rest.endswith(b"\n"):
                    more -= 1
                    break
        yield raw.removesuffix(b"\n"), more

"""The lines of a file from its end to its beginning, without reading more of it than is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pact_agent.diag.shown import MOST_BYTES

_CHUNK = 256 << 10
Line = tuple[bytes, int]


def lines_backward(fd: int, chunk: int = _CHUNK) -> Iterator[Line]:
    """The lines that the file has now, the last one first, each with the number of bytes that were left out of it:
    of a line longer than `MOST_BYTES` the beginning is kept, and memory stays bounded. An empty item, which is no
    line, comes after each chunk: (b"", -1). Raises `OSError`."""
    at = size = os.fstat(fd).st_size
    kept, dropped = b"", 0  # the beginning of the line, as far as it is known, and what is left out after that
    while at > 0:
        length = min(chunk, at)
        at -= length
        data = os.pread(fd, length, at)
        if at + length == size and data.endswith(b"\n"):
            data = data[:-1]
        first, *rest = data.split(b"\n")
        if rest:
            yield _line(rest[-1], kept, dropped)
            for line in reversed(rest[:-1]):
                yield line, 0
            kept, dropped = b"", 0
        kept, dropped = _line(first, kept, dropped)
        yield b"", -1
    if size:
        yield kept, dropped


def _line(before: bytes, kept: bytes, dropped: int) -> Line:
    """`before` and what is known of the line after it."""
    whole = before + kept
    return whole[:MOST_BYTES], dropped + max(0, len(whole) - MOST_BYTES)

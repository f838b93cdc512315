"""Keeping the agent small on nodes whose memory belongs to jobs.

Two measures, taken once each: a single malloc arena for all threads, and giving back what only
the start needed. Neither changes what the program does.
"""

from __future__ import annotations

import ctypes
import gc
import re

_M_ARENA_MAX = -8  # malloc.h
_MADV_DONTNEED = 4  # asm-generic/mman-common.h
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r-[x-])p \S+ \S+ ([0-9]+)")


def use_one_arena() -> None:
    """One malloc arena for all threads: gRPC starts a dozen, and each would keep its own (mallopt(3))."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none, and no arenas either
        mallopt(_M_ARENA_MAX, 1)


def trim_heap() -> None:
    """Give back the heap's free pages (malloc_trim(3)); after large transfers malloc keeps a dozen megabytes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def release_startup() -> None:
    """Give back what loading left behind: garbage, free heap, and pages of libraries used once."""
    gc.collect()
    gc.freeze()  # what is loaded by now stays: later collections need not walk it
    release_unused()


def release_unused() -> None:
    """Give back free heap and pages of libraries, after work that is rare.

    Only file mappings that were never written to are dropped (`Anonymous: 0` in smaps): their pages
    come back from the page cache when they are needed again (madvise(2), MADV_DONTNEED).
    """
    trim_heap()
    libc = ctypes.CDLL(None, use_errno=True)
    for start, end in _clean_mappings():
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _clean_mappings() -> list[tuple[int, int]]:
    """Address ranges of private, read-only file mappings without a page of their own (proc(5), smaps)."""
    found: list[tuple[int, int]] = []
    current: tuple[int, int] | None = None
    try:
        with open("/proc/self/smaps", encoding="ascii", errors="replace") as smaps:
            for line in smaps:
                mapping = _MAPPING.match(line)
                if mapping is not None:
                    start, end, _, inode = mapping.groups()
                    current = (int(start, 16), int(end, 16)) if inode != "0" else None
                elif line.startswith("Anonymous:") and current is not None and line.split()[1] == "0":
                    found.append(current)
                elif "-" in line.split(" ", 1)[0] and not line.startswith(("Anonymous", "VmFlags")):
                    current = None  # a mapping of another kind
    except OSError:
        return []
    return found

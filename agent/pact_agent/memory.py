"""Keeping the agent small on nodes whose memory belongs to jobs.

Two measures, taken once each: a single malloc arena for all threads, and giving back what only
the start needed. Neither changes what the program does.
"""

from __future__ import annotations

import ctypes
import gc
import re
from typing import ClassVar

_M_ARENA_MAX = -8  # malloc.h
_MADV_DONTNEED = 4  # asm-generic/mman-common.h
# A mapping that can't be written, of a program or library, as maps and smaps have it (proc(5)).
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ [1-9][0-9]* +/\S+(?:\.so\S*|/python[0-9.]*)")


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
    Libraries.scan().release()


class Libraries:
    """Programs and libraries in memory, as far as no page of theirs was ever written to.

    Their pages come back from the page cache when they are needed again (madvise(2), MADV_DONTNEED). Nothing unmaps a
    library again, so what was found once can be given back again, without another look at each page.
    """

    _known: ClassVar[Libraries | None] = None

    def __init__(self, mappings: dict[str, tuple[int, int]]) -> None:
        self._mappings = mappings

    @classmethod
    def scan(cls) -> Libraries:
        """Those that are loaded by now; it takes some milliseconds."""
        cls._known = cls(_clean_mappings())
        return cls._known

    @classmethod
    def known(cls) -> Libraries:
        """Those of the last scan."""
        return cls._known or cls.scan()

    def release(self) -> None:
        """Give back their pages, and free heap."""
        trim_heap()
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
                there = [self._mappings[line] for line in map(str.rstrip, maps) if line in self._mappings]
        except OSError:
            return
        for start, end in there:
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _clean_mappings() -> dict[str, tuple[int, int]]:
    """Mappings without a page of their own (`Anonymous: 0` in smaps): by their lines in maps, the address ranges."""
    found: dict[str, tuple[int, int]] = {}
    current: tuple[str, tuple[int, int]] | None = None
    try:
        with open("/proc/self/smaps", encoding="ascii", errors="replace") as smaps:
            for line in smaps:
                if line[0].islower() or line[0].isdigit():  # else it is about the mapping before
                    mapping = _MAPPING.match(line)
                    current = mapping and (line.rstrip(), (int(mapping[1], 16), int(mapping[2], 16)))
                elif current is not None and line.startswith("Anonymous:") and line.split()[1] == "0":
                    found[current[0]] = current[1]
    except OSError:
        return {}
    return found

"""Memory: what the kernel has, its huge pages (Documentation/admin-guide/mm/hugetlbpage.rst), and the modules."""

from __future__ import annotations

import re
from pathlib import Path

from pact_agent.capabilities.smbios import Structure, memory_modules
from pact_agent.capabilities.tree import names, read_number, read_text
from pactsh.model.capability import HugePages, Memory

_TOTAL = re.compile(r"^MemTotal:\s+(\d{1,12}) kB", re.MULTILINE)
_POOL = re.compile(r"hugepages-(\d{1,12})kB")


def memory(root: Path, firmware: tuple[Structure, ...] | None) -> Memory:
    """The memory; `firmware` are its tables, None where they can't be read."""
    total = _TOTAL.search(read_text(root / "proc/meminfo") or "")
    modules = None if firmware is None else memory_modules(firmware)
    types = {module.type for module in modules or ()}
    return Memory(
        total_bytes=int(total[1]) * 1024 if total else None,
        type=types.pop() if len(types) == 1 else None,
        huge_pages=_huge_pages(root / "sys/kernel/mm/hugepages"),
        modules=modules,
    )


def _huge_pages(directory: Path) -> tuple[HugePages, ...] | None:
    pools = names(directory)
    if pools is None:
        return None
    return tuple(
        HugePages(
            size_bytes=int(match[1]) * 1024,
            total=read_number(directory / match[0] / "nr_hugepages"),
            free=read_number(directory / match[0] / "free_hugepages"),
        )
        for match in map(_POOL.fullmatch, pools)
        if match is not None
    )

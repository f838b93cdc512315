"""Memory, its huge pages and modules."""

from __future__ import annotations

import os
from pathlib import Path

from pact_agent.capabilities.memory import memory
from pact_agent.capabilities.smbios import parse_structures

from pactsh.model.capability import HugePages, Memory
from tests.pact_agent.capabilities.tree import END, lay, module


def test_memory_huge_pages_and_modules(tmp_path: Path) -> None:
    at = "sys/kernel/mm/hugepages"
    lay(tmp_path, {"proc/meminfo": "MemTotal:       65864932 kB\nMemFree:        1 kB\n"})
    for size, total, free in (("2048", 1024, 512), ("1048576", 4, 4)):
        lay(
            tmp_path,
            {
                f"{at}/hugepages-{size}kB/nr_hugepages": f"{total}\n",
                f"{at}/hugepages-{size}kB/free_hugepages": f"{free}\n",
            },
        )
    found = memory(tmp_path, parse_structures(module(32 << 10) * 2 + END))
    assert (found.total_bytes, found.type, len(found.modules or ())) == (65864932 * 1024, "DDR4", 2)
    assert found.huge_pages == (HugePages(2 << 20, 1024, 512), HugePages(1 << 30, 4, 4))
    mixed = memory(tmp_path, parse_structures(module(1024, 0x1A) + module(1024, 0x22)))
    assert (mixed.type, len(mixed.modules or ())) == (None, 2)


def test_what_is_missing_or_damaged_is_not_known(tmp_path: Path) -> None:
    assert memory(tmp_path, None) == Memory(None, None, None, None)
    lay(tmp_path, {"proc/meminfo": "MemTotal: much\n", "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "x\n"})
    assert memory(tmp_path, None) == Memory(None, None, (HugePages(2 << 20, None, None),), None)
    lay(tmp_path / "other", {"sys/kernel/mm/": ""})
    assert memory(tmp_path / "other", None).huge_pages == ()


def test_this_machine() -> None:
    found = memory(Path("/"), None)
    assert found.total_bytes is not None
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.8 <= found.total_bytes / physical <= 1.2  # memory can be added while it runs

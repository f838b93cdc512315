"""The firmware's tables, byte for byte as DSP0134 has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pact_agent.capabilities.smbios import memory_modules, parse_structures, tables

from tests.pact_agent.capabilities.tree import END, lay, module, structure


def test_modules_of_a_server() -> None:
    data = module(32 << 10, 0x22, 4800) + module(16 << 10) + module(0) + END
    found = memory_modules(parse_structures(data))
    assert found is not None
    assert [(m.size_bytes, m.type, m.speed_mts) for m in found] == [(32 << 30, "DDR5", 4800), (16 << 30, "DDR4", 3200)]
    assert (found[0].slot, found[0].part) == ("DIMM_A1", "M393A4K40EB3-CWE")


@pytest.mark.parametrize(
    ("size", "size_bytes"),
    [(0x8000 | 512, 512 << 10), (512, 512 << 20), (0xFFFF, None)],
)
def test_sizes_in_other_units_and_unknown_ones(size: int, size_bytes: int | None) -> None:
    (found,) = memory_modules(parse_structures(structure(17, 1, {0x0C: ("H", size)}, 0x15))) or ()
    assert (found.size_bytes, found.type, found.speed_mts, found.slot) == (size_bytes, None, None, None)


def test_speeds_beyond_16_bits() -> None:
    fields = {0x0C: ("H", 64), 0x15: ("H", 0xFFFF), 0x20: ("H", 0xFFFF), 0x54: ("I", 80000), 0x58: ("I", 70000)}
    (found,) = memory_modules(parse_structures(structure(17, 1, fields, 0x5C))) or ()
    assert found.speed_mts == 70000


def test_a_machine_without_places_for_modules_has_none_that_are_known() -> None:
    assert memory_modules(parse_structures(structure(0, 0, {}, 0x18, "BIOS") + END)) is None
    assert memory_modules(parse_structures(module(0) + END)) == ()


def test_what_is_damaged_ends_the_list() -> None:
    whole = module(1024) + module(2048)
    for end in range(len(whole)):
        assert len(parse_structures(whole[:end])) == (end >= len(module(1024))), end
    assert parse_structures(b"\x11\x02\x00\x00" + bytes(64)) == ()
    text_of_nobody = structure(17, 1, {0x0C: ("H", 64), 0x10: ("B", 200)}, 0x22, "A")
    assert [m.slot for m in memory_modules(parse_structures(text_of_nobody)) or ()] == [None]


def test_from_the_kernel(tmp_path: Path) -> None:
    assert tables(tmp_path) is None
    lay(tmp_path, {"sys/firmware/dmi/tables/DMI": module(1024) + END})
    assert [s.type for s in tables(tmp_path) or ()] == [17, 127]

"""The firmware's tables of the machine (SMBIOS), as /sys/firmware/dmi/tables/DMI has them.

The format is that of the DMTF's System Management BIOS Reference Specification, DSP0134: structures of a type, a
length, a handle and fields, then strings that end in NUL, and one more NUL. Pure but for `tables`; only root may read
the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pact_agent.capabilities.tree import read_bytes
from pactsh.model.capability import MemoryModule

_END = 127
_MEMORY_DEVICE = 17  # section 7.18, Memory Device
_SIZE, _LOCATOR, _TYPE, _SPEED, _PART, _EXTENDED_SIZE, _EXTENDED_SPEED = 0x0C, 0x10, 0x12, 0x15, 0x1A, 0x1C, 0x54
_CONFIGURED_SPEED, _EXTENDED_CONFIGURED_SPEED = 0x20, 0x58
_TYPES = {  # section 7.18.2
    0x0F: "SDRAM", 0x12: "DDR", 0x13: "DDR2", 0x14: "DDR2 FB-DIMM", 0x18: "DDR3", 0x1A: "DDR4", 0x1B: "LPDDR",
    0x1C: "LPDDR2", 0x1D: "LPDDR3", 0x1E: "LPDDR4", 0x1F: "non-volatile", 0x20: "HBM", 0x21: "HBM2", 0x22: "DDR5",
    0x23: "LPDDR5", 0x24: "HBM3",
}  # fmt: skip


class Structure(NamedTuple):
    """One structure: its formatted area, header included, and its strings."""

    type: int
    data: bytes
    strings: tuple[str, ...]

    def number(self, offset: int, size: int) -> int | None:
        """A field; None where this structure, of an older version, is too short to have it."""
        field = self.data[offset : offset + size]
        return int.from_bytes(field, "little") if len(field) == size else None

    def string(self, offset: int) -> str | None:
        """A field that is the number of a string; 0 stands for none."""
        number = self.number(offset, 1) or 0
        return (self.strings[number - 1].strip() or None) if 0 < number <= len(self.strings) else None


def tables(root: Path) -> tuple[Structure, ...] | None:
    """The structures of this machine; None where they can't be read."""
    data = read_bytes(root / "sys/firmware/dmi/tables/DMI")
    return parse_structures(data) if data else None


def parse_structures(data: bytes) -> tuple[Structure, ...]:
    """All up to the end, or to the first that is damaged."""
    found, at = [], 0
    while at + 4 <= len(data):
        kind, length = data[at], data[at + 1]
        end = data.find(b"\0\0", at + length)
        if length < 4 or end < 0:
            break
        texts = data[at + length : end].split(b"\0")
        found.append(Structure(kind, data[at : at + length], tuple(t.decode("latin-1") for t in texts)))
        if kind == _END:
            break
        at = end + 2
    return tuple(found)


def memory_modules(structures: tuple[Structure, ...]) -> tuple[MemoryModule, ...] | None:
    """What is plugged in; None where the firmware tells of no place for a module, as in most virtual machines."""
    places = [s for s in structures if s.type == _MEMORY_DEVICE]
    if not places:
        return None
    return tuple(_module(place) for place in places if place.number(_SIZE, 2) not in {0, None})


def _module(place: Structure) -> MemoryModule:
    return MemoryModule(
        slot=place.string(_LOCATOR),
        size_bytes=_size_bytes(place),
        type=_TYPES.get(place.number(_TYPE, 1) or 0),
        speed_mts=_speed(place, _CONFIGURED_SPEED, _EXTENDED_CONFIGURED_SPEED)
        or _speed(place, _SPEED, _EXTENDED_SPEED),
        part=place.string(_PART),
    )


def _size_bytes(place: Structure) -> int | None:
    size = place.number(_SIZE, 2)
    if size is None or size == 0xFFFF:
        return None  # the firmware doesn't know it
    if size == 0x7FFF:  # what does not fit stands in megabytes elsewhere
        size = place.number(_EXTENDED_SIZE, 4)
        return None if size is None else (size & 0x7FFFFFFF) << 20
    return (size & 0x7FFF) << 10 if size & 0x8000 else size << 20


def _speed(place: Structure, offset: int, extended: int) -> int | None:
    """Megatransfers a second; 0 stands for unknown."""
    speed = place.number(offset, 2)
    if speed == 0xFFFF:
        speed = place.number(extended, 4)
    return speed or None

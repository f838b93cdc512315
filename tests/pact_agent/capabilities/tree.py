"""Trees of /proc and /sys in the formats of the kernel, laid out below a directory of a test."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

PCI = "sys/devices/pci0000:00"


def lay(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files by path; a text that begins with `->` is a link to a path below the root, the empty path (`DIR/`) a
    directory. Returns the root."""
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content.startswith("->"):
            up = "../" * (len(Path(name).parts) - 1)
            path.symlink_to(up + content.removeprefix("->"))
        else:
            path.write_text(content)
    return root


def device(root: Path, address: str, files: Mapping[str, str], driver: str = "") -> str:
    """A PCI device, with its driver; returns its path below the root."""
    place = f"{PCI}/{address}"
    lay(root, {f"{place}/{name}": text for name, text in files.items()})
    lay(root, {f"{place}/": "", f"sys/bus/pci/devices/{address}": f"->{place}"})
    if driver:
        lay(root, {f"sys/bus/pci/drivers/{driver}/": "", f"{place}/driver": f"->sys/bus/pci/drivers/{driver}"})
    return place


def structure(kind: int, handle: int, fields: Mapping[int, tuple[str, int]], length: int, *strings: str) -> bytes:
    """A structure of the firmware's tables: `fields` are formats and values by offset."""
    data = bytearray(length)
    struct.pack_into("<BBH", data, 0, kind, length, handle)
    for offset, (form, value) in fields.items():
        struct.pack_into(f"<{form}", data, offset, value)
    return bytes(data) + (b"".join(text.encode() + b"\0" for text in strings) or b"\0") + b"\0"


def module(size_mb: int, kind: int = 0x1A, speed: int = 3200, slot: str = "DIMM_A1", *, length: int = 0x5C) -> bytes:
    """A structure of type 17: a place for a module; sizes from 32 GB on stand in the extended field."""
    fields = {0x0C: ("H", min(size_mb, 0x7FFF)), 0x10: ("B", 1), 0x12: ("B", kind), 0x15: ("H", speed), 0x1A: ("B", 2)}
    if length > 0x20:
        fields |= {0x1C: ("I", size_mb if size_mb >= 0x7FFF else 0), 0x20: ("H", speed)}
    return structure(17, 0x1100, fields, length, slot, "M393A4K40EB3-CWE")


END = structure(127, 0xFEFF, {}, 4)

"""AMD's GPUs, as the kernel's driver amdgpu has them below /sys/class/drm (Documentation/gpu/amdgpu).

Read from files, so nothing here can load a driver. `nvml.Gpu` has the path of the device for a handle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pact_agent.capabilities.tree import names, pci_address, read_number, read_text
from pact_agent.dimensions.nvml import Gpu

DRM = "/sys/class/drm"
_VENDOR = 0x1002
_CARD = re.compile(r"card\d+")  # and no connector of it, `card0-DP-1`
_COUNTS = re.compile(r"ue: (\d{1,12})\s+ce: (\d{1,12})")
_BAD_PAGE = re.compile(r"^0x[0-9a-f]+ : 0x[0-9a-f]+ : ([RPF])", re.MULTILINE)


def gpus(drm: str, position: int = 0) -> list[Gpu]:
    """Those there are; `position` is that of the first."""
    devices = [Path(drm, name, "device") for name in names(Path(drm)) or () if _CARD.fullmatch(name)]
    found = [(bus, path) for path in devices if read_number(path / "vendor") == _VENDOR and (bus := pci_address(path))]
    return [Gpu(position + n, nvml_address(bus), path) for n, (bus, path) in enumerate(sorted(found))]


def nvml_address(pci: str) -> str:
    """A PCI address as NVML writes it.

    >>> nvml_address("0000:c1:00.0")
    '00000000:C1:00.0'
    """
    return pci.upper().zfill(16)


def signs(device: Path) -> list[str]:
    """What is wrong with a GPU, in words; nothing if it is healthy."""
    blocks = {block: uncorrected for block, uncorrected, _ in errors(device)}
    memory = blocks.pop("umc", 0)
    pages = _BAD_PAGE.findall(read_text(device / "ras/gpu_vram_bad_pages") or "")
    told = {
        f"ECC uncorrectable: {memory}": memory,
        f"retired pages: {pages.count('R')}": pages.count("R"),
        "page retirement pending": pages.count("P"),
        f"page retirement failed: {pages.count('F')}": pages.count("F"),
    }
    told |= {f"RAS uncorrectable in {block}: {count}": count for block, count in sorted(blocks.items())}
    return [text for text, count in told.items() if count]


def errors(device: Path) -> Iterator[tuple[str, int, int]]:
    """Of each block that counts its errors, since the driver was loaded: its name, how many were not corrected, how
    many were. `umc` is the memory."""
    for name in names(device / "ras") or ():
        if name.endswith("_err_count") and (found := _COUNTS.match(read_text(device / "ras" / name) or "")):
            yield name.removesuffix("_err_count"), int(found[1]), int(found[2])

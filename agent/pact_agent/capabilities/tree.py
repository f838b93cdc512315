"""Reading the kernel's files below a root: small texts, numbers, names, where links lead.

What is damaged or can't be read is None, never an error. A directory that is not there is empty where the one above it
is there, and not known where that is missing as well.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOST_BYTES = 1 << 20
_MOST = 1 << 53  # what every reader of JSON takes for a whole number
_NUMBER = re.compile(r"-?\d{1,19}|0x[0-9a-fA-F]{1,16}")
_DIGITS = re.compile(r"(\d+)")
_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


def read_bytes(path: Path) -> bytes | None:
    """The beginning of a file, a mebibyte at most."""
    try:
        with path.open("rb", buffering=0) as file:
            chunks, size = [], 0
            while size < _MOST_BYTES and (chunk := file.read(_MOST_BYTES - size)):
                chunks.append(chunk)
                size += len(chunk)
            return b"".join(chunks)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return None


def read_text(path: Path) -> str | None:
    """A text without the blanks around it; None also for an empty one."""
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "replace").strip("\0 \t\r\n") or None


def read_number(path: Path) -> int | None:
    """A whole number as the kernel writes them, hexadecimal ones with 0x."""
    text = read_text(path)
    if text is None or not _NUMBER.fullmatch(text):
        return None
    number = int(text, 16 if text.startswith("0x") else 10)
    return number if abs(number) < _MOST else None


def names(directory: Path) -> list[str] | None:
    """What is in a directory, numbers in their order."""
    try:
        return sorted(os.listdir(directory), key=natural)
    except FileNotFoundError:
        return [] if directory.parent.is_dir() else None
    except OSError:
        return None


def natural(name: str) -> list[tuple[int, str]]:
    """A sorting key by which cxi2 comes before cxi10.

    >>> sorted(["cxi10", "cxi2", "eth0"], key=natural)
    ['cxi2', 'cxi10', 'eth0']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(name)]


def target(link: Path) -> str | None:
    """The last name of where a link leads."""
    try:
        return os.path.basename(os.readlink(link)) or None
    except OSError:
        return None


def pci_address(device: Path) -> str | None:
    """The PCI address of a device, or of the one that it is on (a virtio one)."""
    try:
        parts = os.path.realpath(device).split("/")
    except OSError:
        return None
    return next((part for part in reversed(parts) if _PCI.fullmatch(part)), None)


def numa_node(device: Path) -> int | None:
    """The NUMA node that a device is at; the kernel says -1 where it doesn't know, as on machines that have one."""
    number = read_number(device / "numa_node")
    return number if number is not None and number >= 0 else None


def fields(text: str, separator: str) -> dict[str, str]:
    """The lines of a text as names and values, the first of a name.

    >>> fields("a: 1\\nb : 2\\na: 3", ":")
    {'a': '1', 'b': '2'}
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, has, value = line.partition(separator)
        if has:
            found.setdefault(name.strip(), value.strip())
    return found

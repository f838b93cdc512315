"""What only the node knows, for completion: interfaces, units, processes, users, kernel settings.

Everything is read afresh and unprivileged; what can't be read completes to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

_UNIT_DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_UNIT_SUFFIXES = (".service", ".socket", ".timer", ".target", ".mount", ".path", ".slice")


def look_up(kind: str, prefix: str) -> list[tuple[str, str]]:
    """Return names of a kind that begin with `prefix`, sorted, each with a short description."""
    source = _SOURCES.get(kind)
    if source is None:
        return []
    return sorted(pair for pair in source(prefix) if pair[0].startswith(prefix) and pair[0].isprintable())


def _interfaces(_prefix: str) -> Iterable[tuple[str, str]]:
    return [(name, _text(f"/sys/class/net/{name}/operstate")) for name in _entries("/sys/class/net")]


def _units(_prefix: str) -> Iterable[tuple[str, str]]:
    names = {name for place in _UNIT_DIRECTORIES for name in _entries(place) if name.endswith(_UNIT_SUFFIXES)}
    return [(name, "") for name in names]


def _processes(_prefix: str) -> Iterable[tuple[str, str]]:
    return [(name, _text(f"/proc/{name}/comm")) for name in _entries("/proc") if name.isdigit()]


def _settings(prefix: str) -> Iterable[tuple[str, str]]:
    """Kernel settings one level below what is typed, dots between the levels as sysctl(8) writes them."""
    parent = prefix.rpartition(".")[0]
    directory = os.path.join("/proc/sys", *parent.split(".")) if parent else "/proc/sys"
    start = f"{parent}." if parent else ""
    return [
        (start + name + ("." if os.path.isdir(os.path.join(directory, name)) else ""), "")
        for name in _entries(directory)
    ]


def _users(_prefix: str) -> Iterable[tuple[str, str]]:
    return _first_fields("/etc/passwd")


def _groups(_prefix: str) -> Iterable[tuple[str, str]]:
    return _first_fields("/etc/group")


def _first_fields(path: str) -> Iterable[tuple[str, str]]:
    return [(line.partition(":")[0], "") for line in _text(path).split("\n") if line]


def _entries(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20).strip()
    except OSError:
        return ""


_SOURCES: dict[str, Callable[[str], Iterable[tuple[str, str]]]] = {
    "interface": _interfaces,
    "unit": _units,
    "pid": _processes,
    "sysctl": _settings,
    "user": _users,
    "group": _groups,
}

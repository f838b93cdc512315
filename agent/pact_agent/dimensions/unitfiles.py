"""What the files of systemd's units say that systemd does not list: which are wanted by others, which the bus starts.

Directories as systemd.unit(5) has them, services of the bus as dbus-daemon(1) has them. Only names and links are read;
a node whose systemd is looked at through another root is possible, so nothing here follows a link that leads away.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import msgspec

# In systemd's order: what is found first counts. The word is what a unit wanted by a link there is called.
_PLACES = (
    ("etc/systemd/system.control", "enabled"),
    ("run/systemd/system.control", "enabled-runtime"),
    ("run/systemd/generator.early", "enabled-runtime"),
    ("etc/systemd/system", "enabled"),
    ("run/systemd/system", "enabled-runtime"),
    ("run/systemd/generator", "enabled-runtime"),
    ("usr/local/lib/systemd/system", "static"),
    ("usr/lib/systemd/system", "static"),
    ("lib/systemd/system", "static"),
    ("run/systemd/generator.late", "enabled-runtime"),
)
_BUS_PLACES = tuple(
    f"{place}/dbus-1/system-services" for place in ("run", "etc", "usr/local/share", "usr/share", "usr/lib", "lib")
)
_WANTING = (".wants", ".requires", ".upholds")
_CALLED = re.compile(r"^SystemdService=([^\s/]+)\s*$", re.MULTILINE)
_MOST_BYTES = 1 << 16

Stamp = tuple[tuple[str, int], ...]


class UnitFiles(msgspec.Struct, frozen=True):
    """`stamp` differs when a directory has changed. `wanted` says of a unit's name how it is wanted by another unit,
    `called` are services that the bus starts when somebody asks for them."""

    stamp: Stamp = ()
    wanted: dict[str, str] = {}
    called: frozenset[str] = frozenset()


def read_unit_files(root: str, known: UnitFiles | None = None) -> UnitFiles:
    """What is there below `root`. Nothing is read again while the directories are as `known` has them."""
    stamp, links = _look(root)
    if known is not None and known.stamp == stamp:
        return known
    wanted: dict[str, str] = {}
    for directory, word in links:
        for name in _names(directory):
            wanted.setdefault(name, word)
    return UnitFiles(stamp, wanted, frozenset(_called(root)))


def _look(root: str) -> tuple[Stamp, list[tuple[str, str]]]:
    """The state of all directories, and those of links with their word."""
    stamps: list[tuple[str, int]] = []
    links: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    for place, word in (*_PLACES, *((place, "") for place in _BUS_PLACES)):
        path = os.path.join(root, place)
        with contextlib.suppress(OSError):
            found = os.stat(path)
            if (found.st_dev, found.st_ino) in seen:
                continue  # /lib is /usr/lib on most systems
            seen.add((found.st_dev, found.st_ino))
            stamps.append((path, found.st_mtime_ns))
            for name in _names(path) if word else ():
                if name.endswith(_WANTING):
                    directory = os.path.join(path, name)
                    stamps.append((directory, os.lstat(directory).st_mtime_ns))
                    links.append((directory, word))
    return tuple(stamps), links


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []  # it has gone meanwhile, or is no directory


def _called(root: str) -> Iterator[str]:
    for place in _BUS_PLACES:
        directory = os.path.join(root, place)
        for name in _names(directory):
            with contextlib.suppress(OSError), open(os.path.join(directory, name), errors="replace") as file:
                for service in _CALLED.findall(file.read(_MOST_BYTES)):
                    yield _real_name(root, service)


def _real_name(root: str, name: str) -> str:
    """The service behind an alias: services of the bus are mostly named by one, `dbus-NAME.service`."""
    for place, _ in _PLACES:
        with contextlib.suppress(OSError):
            return os.path.basename(os.readlink(os.path.join(root, place, name)))
    return name

"""Other places at which a file system shows the same file or directory: bind mounts, and the same device mounted twice.

A mask covers a place. The kernel's list of mounts says at which other places what lies there can be
seen (proc_pid_mountinfo(5)); no path is looked at here. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of the list: which file system, which directory of it, where that is shown; its type, the options of the
    file system, what it was made of, and the flags of this mount of it."""

    device: str
    root: str
    point: str
    kind: str = ""
    options: str = ""
    source: str = ""
    flags: str = ""


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """The mounts of a `mountinfo`, in its order.

    >>> parse_mounts("31 30 8:1 /etc /a\\\\040b rw - ext4 /dev/sda1 ro,acl\\n")
    (Mount(device='8:1', root='/etc', point='/a b', kind='ext4', options='ro,acl', source='/dev/sda1', flags='rw'),)
    """
    found = []
    for line in text.split("\n"):  # no other end of a line is escaped: a user's mount point may hold "\r" or "\f"
        front, _, back = line.partition(" - ")
        fields = front.split(" ")
        if len(fields) > 4:
            kind, source, options = (*back.split(" "), "", "")[:3]
            flags = fields[5] if len(fields) > 5 else ""
            place = (_plain(fields[3]), _plain(fields[4]))
            found.append(Mount(fields[2], *place, kind, options, _plain(source), flags))
    return tuple(found)


def aliases(path: str, mounts: Sequence[Mount]) -> Iterator[str]:
    """Where else `path` (absolute, without links) or a part of what is below it is shown."""
    home = max(
        (m for m in mounts if _below(path, m.point)), key=lambda m: len(m.point), default=None
    )  # of several at one place the first: what it shows is what has been there longest
    if home is None:
        return
    inside = _join(home.root, path[len(home.point.rstrip("/")) :])
    for other in mounts:
        if other.device != home.device:
            continue
        if _below(inside, other.root):
            place = _join(other.point, inside[len(other.root.rstrip("/")) :])
            if place != path:
                yield place
        elif _below(other.root, inside):
            yield other.point


def _below(path: str, above: str) -> bool:
    """Whether `path` is `above` or lies below it."""
    return path == above or path.startswith(above.rstrip("/") + "/")


def _join(above: str, rest: str) -> str:
    return (above.rstrip("/") + rest) or "/"


def _plain(text: str) -> str:
    """A field of the list without its escapes."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)

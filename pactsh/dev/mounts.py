"""What is mounted on this machine: /proc/self/mountinfo, see proc(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

# File systems that show the kernel or a session rather than data: a node gets its own of
# these, or none. Other people's containers (overlay, nsfs) are not part of a node either.
NOT_DATA = frozenset(
    {
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs"),
        *("efivarfs", "fusectl", "fuse.gvfsd-fuse", "fuse.portal", "hugetlbfs", "mqueue", "nfsd", "nsfs"),
        *("overlay", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs"),
    }
)


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: where it is and the type of its file system."""

    path: str
    kind: str


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    r"""Parse the text of mountinfo; of mounts on the same path the last, visible one stays.

    >>> parse_mountinfo("36 35 98:0 / /a\\040b rw,noatime master:1 - ext4 /dev/root rw")
    (Mount(path='/a b', kind='ext4'),)
    """
    found: dict[str, Mount] = {}
    for line in filter(None, text.split("\n")):  # other ends of lines are parts of names
        before, _, after = line.partition(" - ")
        path = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), before.split(" ")[4])
        found.pop(path, None)
        found[path] = Mount(path, after.split(" ")[0])
    return tuple(found.values())


def is_below(path: str, directory: str) -> bool:
    """Whether `path` is strictly inside `directory`; both absolute and normal."""
    return path != directory and path.startswith(directory.rstrip("/") + "/")


def nearest_below(paths: tuple[str, ...], directory: str) -> tuple[str, ...]:
    """Those of `paths` inside `directory` that have no other of `paths` between it and themselves.

    >>> nearest_below(("/var", "/var/lib/data", "/home", "/"), "/")
    ('/home', '/var')
    """
    inside = sorted(path for path in paths if is_below(path, directory))
    nearest: list[str] = []
    for path in inside:
        if not any(is_below(path, other) for other in nearest):
            nearest.append(path)
    return tuple(nearest)

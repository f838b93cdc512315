"""What a spec may mount, from where, where and how. Pure.

It is what an administrator may mount by hand, and local disks and memory. Left out is what runs a program (fuse), what
shows the node's own trees or keeps its own state (proc, sysfs, cgroup, bpf, debugfs, devtmpfs), what puts directories
over others (overlay, bind), and images (squashfs, iso9660): those come from a file, which somebody may change while
the kernel reads it.
"""

from __future__ import annotations

import functools
import re

from pactsh.catalog.kinds import regex
from pactsh.catalog.loader import load_catalog
from pactsh.catalog.mounting import TYPES
from pactsh.catalog.secrets import is_hidden
from pactsh.spec.spelling import Problem, place_problem, plain, shortened

DISKS = ("ext4", "xfs")
MEMORY = "tmpfs"
MOUNTABLE = (*TYPES, *DISKS, MEMORY)
# What is not mounted with these could give anybody root. What is empty when it is mounted holds no such file.
SAFE = ("nosuid", "nodev")

_VALUE = re.compile(r"type=(\S*) source=(\S*) options=(\S*)")
_CARE = re.compile(
    r"suid|dev|r?bind|move|remount|r?(shared|slave|private|unbindable)"  # undone safety, another kind of mount
    r"|users?(=.*)?|owner|group"  # mounted by anybody
    r"|(loop|offset|sizelimit|encryption|verity[^=]*|roothash[^=]*|fsverity[^=]*)(=.*)?"  # a file as a disk
    r"|(journal_(dev|path)|logdev|rtdev|(upper|lower|work)dir)=.*"  # a second source
    r"|u?helper=.*|.*context=.*|x-.*|-.*"  # programs, labels, what mount(8) itself does
    r"|cfgfile=(?!/etc/beegfs/[\w-]+\.conf$).*",
    re.IGNORECASE,
)
# Sources as the kernel lists them: a UUID, a label or a link would never be what is found.
_REMOTE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][^/\[\]]*):/.*")
_DISK = re.compile(r"/dev/(mapper/[A-Za-z0-9_.+-]+|(?!loop|ram|zram|dm-)[a-z][A-Za-z0-9_-]*)")
_SOURCES = {
    **dict.fromkeys(("nfs", "nfs4"), (_REMOTE, "HOST:/PATH")),
    "lustre": (_REMOTE, "NID:/FSNAME"),
    "beegfs": (re.compile(r"[A-Za-z0-9][\w.:-]*"), "beegfs_nodev"),
    **dict.fromkeys(DISKS, (_DISK, "a disk as the kernel names it: /dev/nvme0n1p1, /dev/mapper/NAME")),
    MEMORY: (re.compile(r"[A-Za-z0-9][^/]*"), "a name, such as tmpfs"),
}


@functools.cache
def _kept_from() -> re.Pattern[str]:
    """The places where the shell lets nobody mount."""
    return regex(load_catalog()["mount"].operands[-1].refuse)


def mount_problem(path: str, value: str) -> Problem | None:
    """What is wrong with one mount; None where nothing is.

    >>> mount_problem("/scratch", "type=nfs source=s:/x options=nosuid,nodev,suid").text
    "the option 'suid' is not for an overlay"
    """
    if problem := place_problem(path):
        return problem
    if _kept_from().fullmatch(path) or is_hidden(path, "/"):
        return Problem("nothing is mounted there: it would hide the system, pact or secrets")
    words = _VALUE.fullmatch(value)
    if words is None:
        return Problem("expected type, source and options")
    kind, source, options = words[1], plain(words[2]), plain(words[3])
    if kind not in MOUNTABLE:
        known = ", ".join(MOUNTABLE)
        return Problem(f"{shortened(kind)!r} is not mounted by pact: expected one of {known}", "type")
    pattern, form = _SOURCES[kind]
    if not pattern.fullmatch(source) or not source.isprintable():
        return Problem(f"{shortened(source)!r}: expected {form}", "source")
    return _options_problem(kind, options.split(","))


def _options_problem(kind: str, options: list[str]) -> Problem | None:
    for option in options:
        if _CARE.fullmatch(option) or not option.isprintable():
            return Problem(f"the option {shortened(option)!r} is not for an overlay", "options")
    if kind != MEMORY and not set(SAFE) <= set(options):
        return Problem(f"expected the options {' and '.join(SAFE)}", "options")
    return None

"""Mount points that are not what they are called: reached through a link, or through somebody's own directory.

The catalog keeps `mount` and `umount` away from system trees by name. A link to one has another name, and both
programs follow it; they know no option against that. So the node looks, before the line runs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Protocol

from pact_agent.aliases import Mount
from pactsh.policy.decision import StageDecision


class Mounts(Protocol):
    """The node's mounts, and where a server must be asked (`mounted.RemoteMounts`)."""

    mounts: tuple[Mount, ...]

    def cover(self, path: str) -> bool:
        """Whether `path` is, or lies on, a file system of a server."""


def stray_mount_point(stages: Sequence[StageDecision], mounts: Mounts, root: str = "") -> str | None:
    """Why what a `mount` or `umount` among `stages` names is no plain mount point, or None.

    `root` is what paths are below (for tests). Looks at no directory that a server must answer for.
    """
    for stage in stages:
        if stage.class_ != "change" or stage.name not in ("mount", "umount"):
            continue
        # No source and no value that the catalog takes starts with a slash.
        for path in (word for word in stage.argv[1:] if word.startswith("/")):
            if stage.name == "umount":
                reason = _not_mounted(path, mounts) or _swappable(path, mounts, root)
            else:
                reason = _crooked(path, mounts, root)
            if reason:
                return f"{path} {reason}"
    return None


def _not_mounted(path: str, mounts: Mounts) -> str:
    """The kernel's list has real paths only."""
    mounted = any(mount.point == path for mount in mounts.mounts)
    return "" if mounted else "is no mount point under this name; findmnt shows those there are"


def _crooked(path: str, mounts: Mounts, root: str) -> str:
    if mounts.cover(root + path):
        return "is or lies on a network file system already"
    try:
        if stat.S_ISLNK(os.lstat(root + path.rstrip("/")).st_mode):
            return "leads through a link; name the directory itself"
    except OSError:
        pass  # there is nothing to mount on, as mount will say
    return _swappable(path, mounts, root)


def _swappable(path: str, mounts: Mounts, root: str) -> str:
    """Why a directory above `path` may lead elsewhere by the time it is used; the place itself is not looked at."""
    here = root
    for part in path.strip("/").split("/")[:-1]:
        here = f"{here}/{part}"
        if mounts.cover(here):
            return f"could become a link meanwhile: {here[len(root) :]} is on a network file system"
        try:
            facts = os.lstat(here)
        except OSError:
            return ""
        if stat.S_ISLNK(facts.st_mode):
            return "leads through a link; name the directory itself"
        if facts.st_uid != 0 or facts.st_mode & 0o022:
            return f"could become a link meanwhile: others than root may change {here[len(root) :]}"
    return ""

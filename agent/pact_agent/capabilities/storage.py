"""Block devices and mounts. A file system whose server is gone is asked in a thread of its own, and waited for no
longer than a second; while that hangs it is not asked again."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from pact_agent.aliases import Mount, parse_mounts
from pact_agent.capabilities.system import without_userinfo
from pact_agent.capabilities.tree import names, read_number, read_text
from pact_agent.mounted import is_remote
from pactsh.model.capability import Disk, MountPoint, Storage

_SECTOR_BYTES = 512  # in `size`, whatever the device's own are (Documentation/ABI/stable/sysfs-block)
_UNSEEN = ("loop", "ram", "zram")
# What a device hangs on, by a part of its path below /sys/devices, the most telling first.
_TRANSPORTS = (
    ("nvme", re.compile(r"/nvme")), ("usb", re.compile(r"/usb\d")), ("iscsi", re.compile(r"/session\d")),
    ("fc", re.compile(r"/rport-")), ("sas", re.compile(r"/end_device-")), ("sata", re.compile(r"/ata\d")),
    ("virtio", re.compile(r"/virtio\d")), ("mmc", re.compile(r"/mmc\d")), ("nvdimm", re.compile(r"/pmem\d")),
    ("dm", re.compile(r"/dm-\d")), ("raid", re.compile(r"/md\d")), ("nbd", re.compile(r"/nbd\d")),
    ("rbd", re.compile(r"/rbd\d")),
)  # fmt: skip
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "rootfs"})
_ON_DISK = frozenset({"zfs", "btrfs", "bcachefs"})  # whose source may be a name
_AWAY = re.compile(r"/dev/(nbd|rbd|zram)\d")
_SYSTEMS_OWN = re.compile(r"/(run|proc|sys|dev(?!/shm$))(/|$)")
_PATIENCE_S, _MOST_ASKED = 1.0, 32


class Sizes:
    """The sizes of file systems; remembers which do not answer."""

    def __init__(self) -> None:
        self._asked: dict[str, threading.Thread] = {}
        self._known: dict[str, int] = {}

    def of(self, paths: Iterable[str]) -> dict[str, tuple[int | None, bool | None]]:
        """The size of each, the last known one for those that don't answer now, and whether they did. None: so many
        others hang that this one is not asked."""
        wanted = tuple(paths)
        self._asked = {path: thread for path, thread in self._asked.items() if thread.is_alive()}
        for path in wanted:
            if path not in self._asked and len(self._asked) < _MOST_ASKED:
                self._asked[path] = threading.Thread(
                    target=self._ask, args=(path,), name=f"size of {path}", daemon=True
                )
                self._asked[path].start()
        deadline = time.monotonic() + _PATIENCE_S
        answers: dict[str, tuple[int | None, bool | None]] = {}
        for path in wanted:
            if (thread := self._asked.get(path)) is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
            answers[path] = (self._known.get(path), None if thread is None else not thread.is_alive())
        return answers

    def _ask(self, path: str) -> None:
        if (size := size_of(path)) is not None:
            self._known[path] = size


def size_of(path: str) -> int | None:
    """How much a file system holds."""
    try:
        found = os.statvfs(path)
    except (OSError, ValueError):
        return None
    return found.f_frsize * found.f_blocks


def storage(root: Path, sizes: Sizes) -> Storage:
    """Disks and mounts."""
    text = read_text(root / "proc/self/mountinfo")
    mounts = None if text is None else parse_mounts(text)
    return Storage(
        diskless=None if mounts is None else is_diskless(mounts),
        disks=_disks(root / "sys/block"),
        mounts=None if mounts is None else _mounts(root, shown(mounts), sizes),
    )


def _disks(directory: Path) -> tuple[Disk, ...] | None:
    found = names(directory)
    if found is None:
        return None
    return tuple(
        Disk(name, sectors * _SECTOR_BYTES, *_about(directory / name))
        for name in found
        if not name.startswith(_UNSEEN) and (sectors := read_number(directory / name / "size") or 0) > 0
    )


def _about(disk: Path) -> tuple[bool | None, str | None, str | None, int | None]:
    rotational = read_number(disk / "queue/rotational")
    place = os.path.realpath(disk)
    inside = names(disk)
    return (
        None if rotational is None else rotational == 1,
        read_text(disk / "device/model"),
        next((name for name, pattern in _TRANSPORTS if pattern.search(place)), None),
        None if inside is None else sum((disk / name / "partition").exists() for name in inside),
    )


def is_diskless(mounts: Iterable[Mount]) -> bool | None:
    """Whether the root is in memory or comes over the network; an overlay is one over an image. None where it shows
    neither that nor a disk of this node."""
    root = next((m for m in reversed(tuple(mounts)) if m.point == "/"), None)
    if root is None:
        return None
    if root.kind in _IN_MEMORY | {"overlay", "squashfs"} or is_remote(root.kind) or _AWAY.match(root.source):
        return True
    return False if root.source.startswith("/dev/") or root.kind in _ON_DISK else None


def _where(mount: Mount) -> str | None:
    """Where its files are; None for what holds no files of anybody's."""
    if mount.kind == "autofs":
        return None
    if mount.kind.startswith("fuse."):
        return "program"
    if is_remote(mount.kind):
        return "network"
    if mount.kind in _IN_MEMORY:
        return None if _SYSTEMS_OWN.match(mount.point) else "memory"
    if mount.kind == "overlay":
        return "memory" if mount.point == "/" else None  # over an image; the others are containers'
    return "local" if mount.source.startswith("/dev/") or mount.kind in _ON_DISK else None


def shown(mounts: Iterable[Mount]) -> list[Mount]:
    """The mounts that hold files, once each: of one that is mounted on another the upper one, no bind mounts of what
    is there already."""
    visible = {mount.point: mount for mount in mounts}
    found: list[Mount] = []
    for mount in sorted(visible.values(), key=lambda m: (len(m.root), m.point)):
        same = (other for other in found if other.device == mount.device)
        if _where(mount) is not None and not any(f"{mount.root}/".startswith(_below(o.root)) for o in same):
            found.append(mount)
    return sorted(found, key=lambda mount: mount.point)


def _below(directory: str) -> str:
    return directory.rstrip("/") + "/"


def _mounts(root: Path, mounts: list[Mount], sizes: Sizes) -> tuple[MountPoint, ...]:
    paths = {mount.point: str(root / mount.point.lstrip("/")) for mount in mounts}
    remote = sizes.of(paths[m.point] for m in mounts if is_remote(m.kind))
    found = []
    for mount in mounts:
        path = paths[mount.point]
        size, answers = remote.get(path) or (size_of(path), None)
        source = without_userinfo(mount.source)
        found.append(MountPoint(mount.point, mount.kind, source, _where(mount) or "local", size, answers))
    return tuple(found)

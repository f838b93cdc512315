"""A part of a file system, shown at another place (mount(8), bind mounts): made again from a place that shows it still.

Both places are reached by descriptor and through no link, so a directory that somebody turns into a link meanwhile
leads nowhere else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable

from pact_agent import kernel
from pact_agent.aliases import Mount
from pact_agent.dimensions import ApplyError

_libc = ctypes.CDLL(None, use_errno=True)
# linux/mount.h
_MS_BIND, _MS_REMOUNT = 0x1000, 0x20
_FLAGS = {
    "ro": 0x1, "nosuid": 0x2, "nodev": 0x4, "noexec": 0x8, "noatime": 0x400, "nodiratime": 0x800, "relatime": 0x200000,
    "nosymfollow": 0x100,
}  # fmt: skip


def bind(lines: Iterable[Mount], kind: str, source: str, root: str, key: str) -> None:
    """Show directory or file `root` of that file system at `key`. Raises `ApplyError`."""
    with contextlib.ExitStack() as closing:
        there = _opened(key)
        closing.callback(os.close, there)
        places: dict[str, int] = {}
        for line in lines:
            if (line.kind, line.source) != (kind, source) or not root.startswith(line.root.rstrip("/") + "/"):
                continue
            if line.device not in places:
                with contextlib.suppress(ApplyError):
                    places[line.device] = _opened(line.point.rstrip("/") + root[len(line.root.rstrip("/")) :])
                    closing.callback(os.close, places[line.device])
        if len(places) != 1:
            why = "is shown nowhere else" if not places else "may be one of several"
            raise ApplyError(f"{key}: {root} of {source} ({kind}) {why}: it is not mounted again")
        (shown,) = places.values()
        if stat.S_ISDIR(os.fstat(shown).st_mode) != stat.S_ISDIR(os.fstat(there).st_mode):
            raise ApplyError(f"{key}: one is a directory, the other is not")
        _mount(f"/proc/self/fd/{shown}", f"/proc/self/fd/{there}", _MS_BIND, key)


def reflag(options: str, key: str) -> None:
    """Give the bind mount at `key` the flags among `options`. Raises `ApplyError`."""
    flags = sum(_FLAGS.get(word, 0) for word in set(options.split(",")))
    there = _opened(key)
    try:
        _mount("none", f"/proc/self/fd/{there}", _MS_BIND | _MS_REMOUNT | flags, key)
    finally:
        os.close(there)


def _opened(path: str) -> int:
    try:
        return kernel.open_plainly(path)
    except OSError as error:
        raise ApplyError(f"{path}: {os.strerror(error.errno or 0)}") from error


def _mount(source: str, target: str, flags: int, key: str) -> None:
    if _libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None):
        raise ApplyError(f"{key}: {os.strerror(ctypes.get_errno())}")

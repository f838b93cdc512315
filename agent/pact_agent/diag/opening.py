"""Opening a log: regular files alone, over no link, and none that holds a secret, whatever lies at the path.

Daemons and users write below /var/log, so what is there is not believed: a link could lead to a key, a pipe could
hang its reader, a hard link be another name of a password file, and opening a device can move a tape.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from pactsh.catalog.secrets import is_hidden, is_secret

_NOT_FILES = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class NotShownError(Exception):
    """A path at which there is no log that may be shown; its text says why not."""


def open_log(path: str, tree: str, secrets: Sequence[str] = (), *, own: bool = False) -> int:
    """A descriptor of the file at `path`, which lies below `tree`. Only `tree` itself may be reached over links: it is
    root's. `secrets` are the real paths of what is masked; `own`: in pact's own state, which is masked as a whole.
    Raises `NotShownError`, `OSError`."""
    base = os.path.realpath(tree)
    inside = path.removeprefix(tree.rstrip("/") + "/")
    parts = inside.split("/")
    if inside == path or not all(parts) or {".", ".."} & set(parts):
        raise NotShownError(f"it is not below {tree}")
    real = f"{base.rstrip('/')}/{inside}"
    if not own and any(
        is_secret(name, "/") or is_hidden(name, "/") or _is_within(name, secrets) for name in (path, real)
    ):
        raise NotShownError("it is a secret")
    place = _walk(base, parts)
    try:
        status = os.fstat(place)
        if (kind := _NOT_FILES.get(stat.S_IFMT(status.st_mode))) is not None:
            raise NotShownError(f"it is {kind}, not a file")
        if status.st_nlink > 1 and _is_one_of(status, secrets):
            raise NotShownError("it is a secret under another name")
        # The very file that was looked at, whatever bears its name by now.
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(place)


def _walk(base: str, parts: Sequence[str]) -> int:
    """The descriptor (O_PATH) of what lies there, name by name."""
    place = os.open(base, _LOOK | os.O_DIRECTORY)
    for number, part in enumerate(parts):
        try:
            below = os.open(part, _LOOK, dir_fd=place)
        finally:
            os.close(place)
        place = below
        if number < len(parts) - 1 and not stat.S_ISDIR(os.fstat(place).st_mode):
            os.close(place)
            raise NotShownError("it is behind what is no directory: links are not followed")
    return place


def _is_within(path: str, secrets: Sequence[str]) -> bool:
    return any(path == secret or path.startswith(secret.rstrip("/") + "/") for secret in secrets)


def _is_one_of(status: os.stat_result, secrets: Sequence[str]) -> bool:
    for secret in secrets:
        try:
            other = os.lstat(secret)
        except OSError:
            continue
        if (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino):
            return True
    return False

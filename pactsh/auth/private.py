"""Private files: keys and tokens that nobody else may read, each written whole or not at all.

Read through a descriptor that was checked (owner, mode, regular file), never by name twice.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from pactsh.errors import PactError, UsageError

MAX_BYTES = 1 << 20


def check_private_directory(path: Path) -> None:
    """Raise `UsageError` unless `path` is a directory of ours that nobody else may enter."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path}: not a directory")
    _refuse_wider(path, status)


def make_private_directory(path: Path) -> None:
    """Make `path` (and missing parents) with mode 0700, or check it if it is there already."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        check_private_directory(path)
    except OSError as error:
        raise PactError(f"{path}: {error.strerror}") from error


def read_private(path: Path) -> bytes | None:
    """The content of `path`, None if it isn't there.

    Raises `UsageError` for a file that others may read, that another user owns, or that isn't a regular file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path}: not a regular file")
        _refuse_wider(path, status)
        with os.fdopen(fd, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path}: larger than {MAX_BYTES} bytes")
    return content


def write_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write `content` to `path` in place of what is there: a reader sees the old or the new file, whole."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, mode)
                file.write(content)
                file.flush()
                os.fsync(fd)
            os.rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise PactError(f"{path}: {error.strerror}") from error


def sync_directory(path: Path) -> None:
    """Make what was renamed, made or removed in `path` survive a crash."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refuse_wider(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise UsageError(f"{path}: owned by uid {status.st_uid}, not by the user of this process")
    if status.st_mode & 0o077:
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise UsageError(f"{path}: others may read it", hint=f"chmod {mode} {path}")

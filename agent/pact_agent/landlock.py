"""Landlock rule sets: which files a process may still open, which sockets it may reach.

Source: landlock(7) and the kernel's `include/uapi/linux/landlock.h`. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os

from pact_agent import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
# Rights over the entries of a directory: remove, make every kind of node, refer.
_DIRECTORY = READ_DIR | sum(1 << n for n in range(4, 14))
# The file system rights each ABI knows, as the highest bit's number.
_LAST_RIGHT = {1: 12, 2: 13, 3: 14, 4: 14}
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_UNIX, SCOPE_SIGNAL = 1, 2

# What each ABI added, for people (landlock(7), "Landlock ABI versions").
ADDED = {
    1: "files and directories",
    2: "links and renames between directories",
    3: "truncation",
    4: "TCP ports",
    5: "ioctls of devices",
    6: "signals and abstract sockets",
}

READ = READ_FILE | READ_DIR
ALL_WRITE = WRITE_FILE | TRUNCATE | sum(1 << n for n in range(4, 14))


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


def abi() -> int:
    """The kernel's Landlock ABI, 0 where there is none."""
    try:
        return kernel.syscall(_CREATE, None, 0, 1)
    except OSError:
        return 0


def _leads_to_devices(fd: int) -> bool:
    """By the name of what has been opened, which nobody can change any more by a link."""
    name = os.readlink(f"/proc/self/fd/{fd}")
    return name == "/dev" or name.startswith("/dev/")


class Ruleset:
    """A rule set in the making; what isn't allowed is refused once `restrict` is called."""

    def __init__(self, version: int, *, connect: bool, signals: bool) -> None:
        """Handle all the ABI `version` knows; `connect` and `signals` leave TCP connect and signals free."""
        self._fs = (1 << (_LAST_RIGHT.get(version, 15) + 1)) - 1
        net = (BIND_TCP | (0 if connect else CONNECT_TCP)) if version >= 4 else 0
        scoped = (SCOPE_ABSTRACT_UNIX | (0 if signals else SCOPE_SIGNAL)) if version >= 6 else 0
        attr = _Ruleset(self._fs, net, scoped)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        self._fd = kernel.syscall(_CREATE, ctypes.byref(attr), size, 0)

    def allow(self, path: str, access: int, *, links: bool = True) -> bool:
        """Allow `access` to `path` and all below it; False if there is no such path.

        Without `links` one that leads through a link is none. With them it may lead anywhere but to devices.
        """
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC) if links else kernel.open_plainly(path)
        except OSError:
            return False
        try:
            if not path.startswith("/dev") and _leads_to_devices(fd):
                return False
            self.allow_fd(fd, access)
        finally:
            os.close(fd)
        return True

    def allow_fd(self, fd: int, access: int) -> None:
        """Allow `access` to what `fd` refers to; rights that a file can't have are left out."""
        # Not fstat(2): that asks the server of a network file system, which may be gone; the kernel's own
        # check of directory or file doesn't, and neither does opening with O_PATH.
        try:
            self._add(access, fd)
        except OSError as error:
            if error.errno != errno.EINVAL or not access & _DIRECTORY:
                raise
            self._add(access & ~_DIRECTORY, fd)

    def _add(self, access: int, fd: int) -> None:
        rule = _Beneath(access & self._fs, fd)
        kernel.syscall(_ADD, self._fd, 1, ctypes.byref(rule), 0)

    def restrict(self) -> None:
        """Bind this process and its children; needs no_new_privs or CAP_SYS_ADMIN."""
        kernel.syscall(_RESTRICT, self._fd, 0)
        os.close(self._fd)

"""The few Linux calls that Python 3.11 does not offer, through the C library.

Constants are those of <sched.h>, <sys/mount.h>, <linux/mount.h>, <linux/prctl.h> and
<linux/capability.h>; each function is named after its man page in section 2. Standard
library only: the first process of a node runs this.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

AT_FDCWD = -100
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 1
SYS_MOUNT_SETATTR = 442  # the same on every architecture; Linux 5.12

SYSLOG_ACTION_SIZE_BUFFER = 10

PR_SET_PDEATHSIG = 1
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Move this process into new namespaces; unshare(2)."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def ask_kernel_log() -> None:
    """Raise OSError where this process may not read the kernel's messages; syslog(2).

    With kernel.dmesg_restrict nobody in a user namespace may.
    """
    _check(_libc.klogctl(SYSLOG_ACTION_SIZE_BUFFER, None, 0), "syslog")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); the error names `target`."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        os.fsencode(data) or None,
    )
    _check(result, target)


def bind(source: str, target: str, *, recursive: bool = False) -> None:
    """Show `source` at `target` as well (MS_BIND)."""
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))


def umount(target: str) -> None:
    """Take a mount and all below it away, now or when its last user lets go; umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def set_read_only(target: str) -> None:
    """Make a mount and all below it read-only; mount_setattr(2).

    Not a remount: that takes one mount at a time and, in a user namespace, fails on flags
    that are locked.
    """
    attributes = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(SYS_MOUNT_SETATTR),
        ctypes.c_int(AT_FDCWD),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(AT_RECURSIVE),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, target)


def pivot_root(new_root: str) -> None:
    """Make `new_root` the root and drop the old one; the `pivot_root(".", ".")` of pivot_root(2)."""
    os.chdir(new_root)
    _check(_libc.pivot_root(b".", b"."), new_root)
    umount(".")
    os.chdir("/")


def prctl(option: int, argument: int) -> int:
    """prctl(2) with one argument."""
    result: int = _libc.prctl(
        ctypes.c_int(option), ctypes.c_ulong(argument), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    _check(result, "prctl")
    return result


def drop_bounding(capabilities: tuple[int, ...]) -> None:
    """Take capabilities away from whatever this process will ever exec; capabilities(7)."""
    for number in capabilities:
        if prctl(PR_CAPBSET_READ, number):
            prctl(PR_CAPBSET_DROP, number)


def is_mapped(kind: str, number: int) -> bool:
    """Whether a `uid` or `gid` exists in this user namespace; user_namespaces(7)."""
    with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
        rows = [[int(word) for word in line.split()] for line in file]
    return any(first <= number < first + count for first, _, count in rows)


def loopback_up() -> None:
    """Bring `lo` of this network namespace up; netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))

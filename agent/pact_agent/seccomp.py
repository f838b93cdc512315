"""The seccomp filter of a contained process: no second exec, no system call a viewer has no use for.

The filter lets exactly one execve(2) pass: the one whose three pointers have the random
64-bit values that the spawner chose. After it the address space is new and the values are
gone, so no code that runs later can name them; this is what stops `ld.so /bin/sh` from a
process that may read both. Sources: seccomp(2), linux/filter.h, linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Callable

from pact_agent import kernel

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LD, _JEQ, _JGE, _JSET, _RET, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_NR, _ARCH, _ARGS = 0, 4, 16
_EPERM = (_RET, 0, 0, _ERRNO | errno.EPERM)
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag of clone(2)
_TIOCSTI, _TIOCLINUX, _FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR = 0x5412, 0x541C, 0x40086602, 0x401C5820
_F_SETLEASE = 1024
_LOG_CHANGES = (4, 5, 6, 7, 8)  # syslog(2): clear the kernel's log, turn its console off and on
# Other ways to have a signal sent (fcntl(2), socket(7)): F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP.
_SIGNAL_BY_FILE, _SIGNAL_BY_IOCTL = (8, 10, 15), (0x8901, 0x8902)
# Families of ioctl(2) on files that their owner may do with the file open for reading (ext4 and fs-verity, ext2, XFS,
# btrfs). One number of them only asks, and is asked.
_FILE_IOCTLS, _FS_IOC_GETFLAGS = (0x66, 0x76, 0x58, 0x94), 0x80086601
_AF_INET, _AF_INET6, _AF_UNIX, _AF_NETLINK, _AF_PACKET = 2, 10, 1, 16, 17
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE = 1, 5, 0xF

_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter

# The mapping of an exec: the path, two tables of pointers (131,000 words at most), the strings.
_PATH_BYTES, _TABLE_BYTES, _REGION_BYTES = 12288, 1 << 20, 8 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p

# Privileged or dangerous whatever the class; `open_by_handle_at` would walk around the masks.
NEVER = (
    "ptrace", "process_vm_readv", "process_vm_writev", "open_by_handle_at", "name_to_handle_at", "pivot_root",
    "chroot", "setns", "unshare", "kexec_load", "kexec_file_load", "bpf", "perf_event_open", "userfaultfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key", "pidfd_getfd",
    "kcmp", "reboot", "acct", "iopl", "ioperm", "quotactl", "listen",
)  # fmt: skip
# What changes the machine: for class `read` never, for `change` the capabilities decide.
CHANGING = (
    "mount", "umount2", "fsopen", "fsmount", "fsconfig", "move_mount", "open_tree", "mount_setattr", "init_module",
    "finit_module", "delete_module", "swapon", "swapoff", "settimeofday", "clock_settime", "sethostname",
    "setdomainname",
)  # fmt: skip
# A process without capabilities still has uid 0, so all of root's files, processes and IPC objects are its own.
# Landlock knows nothing of modes, owners, times and attributes (landlock(7), "Current limitations").
OWNER = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat", "utime", "utimes",
    "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
    "setxattrat", "removexattrat", "file_setattr", "shmget", "shmat", "shmctl", "semget", "semop", "semctl",
    "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "setpriority", "ioprio_set",
    "process_madvise", "move_pages", "migrate_pages",
)  # fmt: skip
# Only for the process itself: the first argument is a pid, and 0 is the caller.
SELF = ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr")
SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
# What a process does not need that only reads, where Landlock can't say so (`trace`).
WRITING = (
    "creat", "openat2", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "mknod",
    "mknodat", "link", "linkat", "symlink", "symlinkat", "truncate", "ftruncate", "fallocate",
)  # fmt: skip
_SOCKET_FILES = ("unlink", "unlinkat", "chmod", "fchmod", "fchmodat", "fchmodat2")
# Any of these in open(2)'s flags: write, read and write, create, truncate, a nameless file (asm-generic/fcntl.h).
_OPEN_TO_WRITE = 0x3 | 0x40 | 0x200 | 0x400000

_STEP = struct.Struct("=HBBI")
_MARKED_POINTERS = (0xA1A1A1A1B2B2B2B2, 0xC3C3C3C3D4D4D4D4, 0xE5E5E5E5F6F6F6F6)
_MARKED_PID = 0x97979797


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.c_void_p))


class ExecTicket:
    """The one execve that the filter lets pass, at random addresses.

    The three pointers are drawn before the program is known, so that the filter can be made ahead of
    time; `fill` then puts path, argv and environment behind them. They lie in a private mapping at an
    address drawn from 2**46 bytes of address space, of which only pages that are used cost memory.
    """

    def __init__(self) -> None:
        self._base = _map_at_random(_REGION_BYTES)
        noise = struct.unpack("<3H", os.urandom(6))
        path = self._base + noise[0] % 4096
        argv = self._base + _PATH_BYTES + noise[1] % 512 * 8
        environ = self._base + _PATH_BYTES + _TABLE_BYTES + noise[2] % 512 * 8
        self.pointers = (path, argv, environ)

    def fill(self, path: bytes, argv: list[bytes], environ: list[bytes]) -> None:
        """Lay out what is executed; raises `OSError` (E2BIG) when it is more than the mapping holds."""
        at = self._base + _PATH_BYTES + 2 * _TABLE_BYTES
        tables: list[bytes] = []
        text = bytearray()
        for group in (argv, environ):
            places = []
            for word in group:
                places.append(at + len(text))
                text += word + b"\0"
            tables.append(struct.pack(f"<{len(places) + 1}Q", *places, 0))
        sizes = (len(path) + 1 + 4096, *(len(table) + 4096 for table in tables), len(text))
        limits = (_PATH_BYTES, _TABLE_BYTES, _TABLE_BYTES, _REGION_BYTES - _PATH_BYTES - 2 * _TABLE_BYTES)
        if any(size > limit for size, limit in zip(sizes, limits, strict=True)):
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        for address, data in zip((*self.pointers, at), (path + b"\0", *tables, bytes(text)), strict=True):
            ctypes.memmove(address, data, len(data))

    def execute(self) -> None:
        """Call execve(2); returns only by raising `OSError`."""
        kernel.syscall(kernel.SYSCALLS["execve"], *self.pointers)


def _map_at_random(size: int) -> int:
    """Map `size` bytes (a multiple of the page size) at an unpredictable address below 2**46."""
    fixed_noreplace = 0x100000  # MAP_FIXED_NOREPLACE, asm-generic/mman-common.h
    for _ in range(16):
        want = (int.from_bytes(os.urandom(8), "little") % (1 << 46)) & ~4095
        got = _libc.mmap(
            ctypes.c_void_p(want),
            ctypes.c_size_t(size),
            mmap.PROT_READ | mmap.PROT_WRITE,
            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | fixed_noreplace,
            -1,
            ctypes.c_long(0),
        )
        if got == want:
            return want
    raise OSError(errno.ENOMEM, "no random address could be mapped")


def build(
    *,
    once: tuple[int, int, int] | None,
    network: bool,
    changing: bool,
    lookup: bool = False,
    confined: bool = True,
    read_only: bool = False,
    socket_files: bool = False,
    opens_both_ways: bool = False,
    signals_to: int | None = None,
) -> list[tuple[int, int, int, int]]:
    """The BPF program.

    `once` limits exec to the call with these three pointers, `network` opens inet sockets, `lookup` unix
    ones, `changing` lifts CHANGING; without `confined` the process may make any socket and, unless `read_only`,
    do to root's files what root's uid may. `read_only` refuses every way to write to a file system, or to change
    what root owns; with `socket_files` a socket of its own may come and go; with `opens_both_ways` files that are
    there may be opened for reading and writing (lsof does that to /dev/null), as far as the user's rights go.
    `signals_to` is the only process that it may signal, None for any.
    """
    numbers = kernel.SYSCALLS
    bound = confined or read_only
    names = NEVER + (() if changing else CHANGING) + (OWNER if bound else ()) + (WRITING if read_only else ())
    if socket_files:
        names = tuple(name for name in names if name not in _SOCKET_FILES)
    if signals_to is not None:
        names += ("pidfd_send_signal",)
    program = _refusing(names)
    if read_only:
        program += _opens(_OPEN_TO_WRITE & ~(0x2 if opens_both_ways else 0))
    alone = signals_to is not None
    program += _ioctls(owner=not bound, signals=not alone)
    commands = (*((_F_SETLEASE,) if bound else ()), *(_SIGNAL_BY_FILE if alone else ()))
    if commands:
        program += _when(numbers["fcntl"], _only(1, commands, errno.EPERM, allowed=False))
    if bound:
        program += _when(numbers["syslog"], _only(0, _LOG_CHANGES, errno.EPERM, allowed=False))
        for name in SELF:
            program += _when(numbers[name], _only(0, (0,), errno.EPERM))
    if confined:
        program += _sockets(network=network, lookup=lookup)
    if signals_to is not None:
        for name in SIGNALS:
            program += _when(numbers[name], _only(0, (signals_to,), errno.EPERM))
    if once is not None:
        program += [(_JEQ, 0, 1, numbers["execveat"]), _EPERM]
        program += _exec_once(numbers["execve"], once)
    return [*program, (_RET, 0, 0, _ALLOW)]


def _refusing(names: tuple[str, ...]) -> list[tuple[int, int, int, int]]:
    """The beginning: another way into the kernel ends the process, these calls and new namespaces are refused."""
    numbers = kernel.SYSCALLS
    program: list[tuple[int, int, int, int]] = [
        (_LD, 0, 0, _ARCH),
        (_JEQ, 1, 0, numbers["arch"]),
        (_RET, 0, 0, _KILL),
        (_LD, 0, 0, _NR),
        (_JGE, 0, 1, 0x40000000),  # the x32 ABI would be another way in
        (_RET, 0, 0, _KILL),
    ]
    denied = [numbers[n] for n in names if n in numbers]
    for left, number in zip(range(len(denied) - 1, -1, -1), denied, strict=True):
        program.append((_JEQ, left, 0 if left else 1, number))  # to the one refusal behind them all
    program += [_EPERM, (_JEQ, 0, 1, numbers["clone3"]), (_RET, 0, 0, _ERRNO | errno.ENOSYS)]  # its flags are in memory
    return program + _when(numbers["clone"], [(_LD, 0, 0, _ARGS), (_JSET, 0, 1, _CLONE_NEW), _EPERM])


def _opens(refused: int) -> list[tuple[int, int, int, int]]:
    """No open(2) with any of these flags."""
    program: list[tuple[int, int, int, int]] = []
    for name, place in (("open", 1), ("openat", 2)):
        if name in kernel.SYSCALLS:
            body = [(_LD, 0, 0, _ARGS + 8 * place), (_JSET, 0, 1, refused), _EPERM]
            program += _when(kernel.SYSCALLS[name], body)
    return program


def _ioctls(*, owner: bool, signals: bool) -> list[tuple[int, int, int, int]]:
    """Requests that no command makes: to type into a terminal; without `owner` to change a file that is open for
    reading; without `signals` to have one sent to another process."""
    requests = (_TIOCSTI, _TIOCLINUX, *(() if owner else (_FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR)))
    requests += () if signals else _SIGNAL_BY_IOCTL
    body = _only(1, requests, errno.EPERM, allowed=False)
    if not owner:
        families = [kind << 8 for kind in _FILE_IOCTLS]
        left = len(families)
        body += [(_LD, 0, 0, _ARGS + 8), (_JEQ, left + 2, 0, _FS_IOC_GETFLAGS), (_AND, 0, 0, 0xFF00)]
        for family in families:
            left -= 1
            body.append((_JEQ, left, 0 if left else 1, family))
        body.append((_RET, 0, 0, _ERRNO | errno.EPERM))
    return _when(kernel.SYSCALLS["ioctl"], body)


def _sockets(*, network: bool, lookup: bool) -> list[tuple[int, int, int, int]]:
    """Which sockets can be made and connected.

    Landlock does not stand before unix sockets that have a path, and behind those of systemd, D-Bus and
    containers is all that root can do. So there are none, but for commands whose business are users' names.
    Pairs stay, except of datagrams, whose ends can still send elsewhere.
    """
    numbers = kernel.SYSCALLS
    families = (_AF_NETLINK, *((_AF_INET, _AF_INET6, _AF_PACKET) if network else ()), *((_AF_UNIX,) if lookup else ()))
    body = _only(0, families, errno.EACCES)
    if not lookup:  # as on a kernel without them: programs then do without, and tell of no error (dig, host)
        body[1:1] = [(_JEQ, 0, 1, _AF_UNIX), (_RET, 0, 0, _ERRNO | errno.EAFNOSUPPORT)]
    program = _when(numbers["socket"], body)
    if not lookup:
        kinds = [(_LD, 0, 0, _ARGS + 8), (_AND, 0, 0, _SOCK_TYPE)]
        checks = _only(1, (_SOCK_STREAM, _SOCK_SEQPACKET), errno.EACCES)[1:]
        program += _when(numbers["socketpair"], [*kinds, *checks])
    if not (network or lookup):
        program += [(_JEQ, 0, 1, numbers["connect"]), (_RET, 0, 0, _ERRNO | errno.EACCES)]
    return program


def _only(index: int, values: tuple[int, ...], error: int, *, allowed: bool = True) -> list[tuple[int, int, int, int]]:
    """Refuse a call whose argument `index` (its low 32 bits, all that the kernel takes of an int) is none of
    `values`; with `allowed` false, one that is among them."""
    checks = [(_LD, 0, 0, _ARGS + 8 * index)]
    for place, value in enumerate(values):
        left = len(values) - place - 1
        # A match leads behind the refusal (allowed) or to it; otherwise the next value is tried.
        checks.append((_JEQ, left + 1, 0, value) if allowed else (_JEQ, left, 0 if left else 1, value))
    return [*checks, (_RET, 0, 0, _ERRNO | error)]


def _when(number: int, body: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """`body` for system call `number`; falls through with the number loaded again."""
    return [(_JEQ, 0, len(body) + 1, number), *body, (_LD, 0, 0, _NR)]


def _exec_once(number: int, pointers: tuple[int, int, int]) -> list[tuple[int, int, int, int]]:
    """Compare the three pointers, low and high half each; any difference is EACCES."""
    checks: list[tuple[int, int, int, int]] = []
    for index, pointer in enumerate(pointers):
        for half, value in zip((0, 4), _halves(pointer), strict=True):
            checks += [
                (_LD, 0, 0, _ARGS + 8 * index + half),
                (_JEQ, 1, 0, value),
                (_RET, 0, 0, _ERRNO | errno.EACCES),
            ]
    return _when(number, checks)


class Filter:
    """A program in the form that the kernel takes, ready to be loaded."""

    def __init__(self, code: bytes | bytearray) -> None:
        self._steps = (ctypes.c_char * len(code)).from_buffer_copy(code)
        self.code = bytes(code)
        self._header = _Program(len(code) // _STEP.size, ctypes.addressof(self._steps))

    def install(self) -> None:
        """Load it into this process; no_new_privs must be set already."""
        kernel.prctl(kernel.PR_SET_SECCOMP, kernel.SECCOMP_MODE_FILTER, ctypes.addressof(self._header))


def encode(program: list[tuple[int, int, int, int]]) -> bytes:
    """The program as an array of `struct sock_filter` (linux/filter.h)."""
    return b"".join([_STEP.pack(*step) for step in program])


class Blank:
    """A program encoded ahead of time, with blanks for what only the process knows: its pid and its pointers.

    `make(pointers, pid)` is asked once, with values that occur nowhere else in a program.
    """

    def __init__(self, make: Callable[[tuple[int, int, int], int], list[tuple[int, int, int, int]]]) -> None:
        program = make(_MARKED_POINTERS, _MARKED_PID)
        self._code = encode(program)
        marks = [*(half for pointer in _MARKED_POINTERS for half in _halves(pointer)), _MARKED_PID]
        self._blanks = [
            (number * _STEP.size + 4, marks.index(step[3])) for number, step in enumerate(program) if step[3] in marks
        ]

    def fill(self, pointers: tuple[int, int, int], pid: int) -> Filter:
        """The filter of one process."""
        values = [*(half for pointer in pointers for half in _halves(pointer)), pid]
        code = bytearray(self._code)
        for offset, which in self._blanks:
            struct.pack_into("=I", code, offset, values[which])
        return Filter(code)


def _halves(pointer: int) -> tuple[int, int]:
    return pointer & 0xFFFFFFFF, pointer >> 32

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

from pact_agent import kernel

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LD, _JEQ, _JGE, _JSET, _RET, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_NR, _ARCH, _ARGS = 0, 4, 16
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag of clone(2)
_TIOCSTI, _TIOCLINUX, _FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR = 0x5412, 0x541C, 0x40086602, 0x401C5820
_F_SETLEASE = 1024
_AF_INET, _AF_INET6, _AF_UNIX, _AF_NETLINK, _AF_PACKET = 2, 10, 1, 16, 17
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE = 1, 5, 0xF

_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p

# Privileged or dangerous whatever the class; `open_by_handle_at` would walk around the masks.
NEVER = (
    "ptrace", "process_vm_readv", "process_vm_writev", "open_by_handle_at", "name_to_handle_at", "pivot_root",
    "chroot", "setns", "unshare", "kexec_load", "kexec_file_load", "bpf", "perf_event_open", "userfaultfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key", "pidfd_getfd",
    "kcmp", "reboot", "acct", "iopl", "ioperm", "quotactl",
)  # fmt: skip
# What changes the machine: for class `read` never, for `change` the capabilities decide.
CHANGING = (
    "mount", "umount2", "fsopen", "fsmount", "fsconfig", "move_mount", "open_tree", "mount_setattr", "init_module",
    "finit_module", "delete_module", "swapon", "swapoff", "settimeofday", "clock_settime", "sethostname",
    "setdomainname", "listen",
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


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.c_char_p))


class ExecTicket:
    """The one execve that the filter lets pass, laid out at random addresses.

    `path`, `argv` and `environ` are copied into a private page range at an address drawn
    from 2**46 bytes of address space; `pointers` are the three arguments of execve.
    """

    def __init__(self, path: bytes, argv: list[bytes], environ: list[bytes]) -> None:
        strings = [path, *argv, *environ]
        size = sum(len(s) + 1 for s in strings) + 8 * (len(argv) + len(environ) + 2) + 4096
        self._base = _map_at_random(size)
        at = self._base + int.from_bytes(os.urandom(2), "little") % 1024
        places = []
        for text in strings:
            ctypes.memmove(at, text + b"\0", len(text) + 1)
            places.append(at)
            at += len(text) + 1
        at = (at + 15) // 8 * 8 + int.from_bytes(os.urandom(1), "little") * 8
        tables = []
        for group in (places[1 : 1 + len(argv)], places[1 + len(argv) :]):
            array = (ctypes.c_uint64 * (len(group) + 1))(*group, 0)
            ctypes.memmove(at, array, ctypes.sizeof(array))
            tables.append(at)
            at += ctypes.sizeof(array)
        self.pointers = (places[0], tables[0], tables[1])

    def execute(self) -> None:
        """Call execve(2); returns only by raising `OSError`."""
        kernel.syscall(kernel.SYSCALLS["execve"], *self.pointers)


def _map_at_random(size: int) -> int:
    """Map `size` bytes (rounded up, plus slack) at an unpredictable address below 2**46."""
    length = (size + 8192 + 4095) // 4096 * 4096
    fixed_noreplace = 0x100000  # MAP_FIXED_NOREPLACE, asm-generic/mman-common.h
    for _ in range(16):
        want = (int.from_bytes(os.urandom(8), "little") % (1 << 46)) & ~4095
        got = _libc.mmap(
            ctypes.c_void_p(want),
            ctypes.c_size_t(length),
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
    once: ExecTicket | None,
    network: bool,
    changing: bool,
    lookup: bool = False,
    confined: bool = True,
    signals_to: int | None = None,
) -> list[tuple[int, int, int, int]]:
    """The BPF program.

    `once` limits exec to that ticket, `network` opens inet sockets, `lookup` unix ones, `changing` lifts
    CHANGING; without `confined` the process may do to root's files what root's uid may. `signals_to` is
    the only process that it may signal, None for any.
    """
    numbers = kernel.SYSCALLS
    names = NEVER + (() if changing else CHANGING) + (OWNER if confined else ())
    if signals_to is not None:
        names += ("pidfd_send_signal",)
    eperm = (_RET, 0, 0, _ERRNO | errno.EPERM)
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
    program.append(eperm)
    program += [
        (_JEQ, 0, 1, numbers["clone3"]),
        (_RET, 0, 0, _ERRNO | errno.ENOSYS),
    ]  # its flags are in memory
    program += _when(numbers["clone"], [(_LD, 0, 0, _ARGS), (_JSET, 0, 1, _CLONE_NEW), eperm])
    requests = (_TIOCSTI, _TIOCLINUX, *((_FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR) if confined else ()))
    program += _when(numbers["ioctl"], _only(1, requests, errno.EPERM, allowed=False))
    if confined:
        program += _when(numbers["fcntl"], _only(1, (_F_SETLEASE,), errno.EPERM, allowed=False))
        for name in SELF:
            program += _when(numbers[name], _only(0, (0,), errno.EPERM))
        program += _sockets(network=network, lookup=lookup)
    if signals_to is not None:
        for name in SIGNALS:
            program += _when(numbers[name], _only(0, (signals_to,), errno.EPERM))
    if once is not None:
        program += [(_JEQ, 0, 1, numbers["execveat"]), eperm]
        program += _exec_once(numbers["execve"], once)
    return [*program, (_RET, 0, 0, _ALLOW)]


def _sockets(*, network: bool, lookup: bool) -> list[tuple[int, int, int, int]]:
    """Which sockets can be made and connected.

    Landlock does not stand before unix sockets that have a path, and behind those of systemd, D-Bus and
    containers is all that root can do. So there are none, but for commands whose business are users' names.
    Pairs stay, except of datagrams, whose ends can still send elsewhere.
    """
    numbers = kernel.SYSCALLS
    families = (_AF_NETLINK, *((_AF_INET, _AF_INET6, _AF_PACKET) if network else ()), *((_AF_UNIX,) if lookup else ()))
    program = _when(numbers["socket"], _only(0, families, errno.EACCES))
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


def _exec_once(number: int, ticket: ExecTicket) -> list[tuple[int, int, int, int]]:
    """Compare the three pointers, low and high half each; any difference is EACCES."""
    checks: list[tuple[int, int, int, int]] = []
    for index, pointer in enumerate(ticket.pointers):
        for half, value in ((0, pointer & 0xFFFFFFFF), (4, pointer >> 32)):
            checks += [
                (_LD, 0, 0, _ARGS + 8 * index + half),
                (_JEQ, 1, 0, value),
                (_RET, 0, 0, _ERRNO | errno.EACCES),
            ]
    return _when(number, checks)


def install(program: list[tuple[int, int, int, int]]) -> None:
    """Load the filter into this process; no_new_privs must be set already."""
    code = b"".join([_INSTRUCTION.pack(*step) for step in program])
    fprog = _Program(len(program), code)
    kernel.prctl(kernel.PR_SET_SECCOMP, kernel.SECCOMP_MODE_FILTER, ctypes.addressof(fprog))

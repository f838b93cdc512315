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

from pact_agent import kernel

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARGS = 0, 4, 16
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag of clone(2)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_INET, _AF_INET6, _AF_UNIX, _AF_NETLINK = 2, 10, 1, 16

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


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Filter)))


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


def build(*, once: ExecTicket | None, network: bool, changing: bool) -> list[tuple[int, int, int, int]]:
    """The BPF program: `once` limits exec to that ticket, `network` opens inet sockets, `changing` lifts CHANGING."""
    numbers = kernel.SYSCALLS
    denied = [numbers[n] for n in NEVER + (() if changing else CHANGING) if n in numbers]
    eperm = (_RET, 0, 0, _ERRNO | errno.EPERM)
    program: list[tuple[int, int, int, int]] = [
        (_LD, 0, 0, _ARCH),
        (_JEQ, 1, 0, numbers["arch"]),
        (_RET, 0, 0, _KILL),
        (_LD, 0, 0, _NR),
        (_JGE, 0, 1, 0x40000000),  # the x32 ABI would be another way in
        (_RET, 0, 0, _KILL),
    ]
    for number in denied:
        program += [(_JEQ, 0, 1, number), eperm]
    program += [
        (_JEQ, 0, 1, numbers["clone3"]),
        (_RET, 0, 0, _ERRNO | errno.ENOSYS),
    ]  # its flags are in memory
    program += _when(numbers["clone"], [(_LD, 0, 0, _ARGS), (_JSET, 0, 1, _CLONE_NEW), eperm])
    program += _when(
        numbers["ioctl"],
        [(_LD, 0, 0, _ARGS + 8), (_JEQ, 1, 0, _TIOCSTI), (_JEQ, 0, 1, _TIOCLINUX), eperm],
    )
    if not network:
        program += _when(
            numbers["socket"],
            [
                (_LD, 0, 0, _ARGS),
                (_JEQ, 2, 0, _AF_UNIX),
                (_JEQ, 1, 0, _AF_NETLINK),
                (_RET, 0, 0, _ERRNO | errno.EACCES),
            ],
        )
    if once is not None:
        program += [(_JEQ, 0, 1, numbers["execveat"]), eperm]
        program += _exec_once(numbers["execve"], once)
    return [*program, (_RET, 0, 0, _ALLOW)]


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
    array = (_Filter * len(program))(*[_Filter(*step) for step in program])
    fprog = _Program(len(program), array)
    address = ctypes.addressof(fprog)
    kernel.prctl(kernel.PR_SET_SECCOMP, kernel.SECCOMP_MODE_FILTER, address)

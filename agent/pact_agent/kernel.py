"""System calls the standard library does not offer, by number, for the sandbox.

Thin: each function is one call that raises `OSError` on failure. Standard library only,
as the spawner imports it. Sources: landlock(7), seccomp(2), prctl(2), capset(2), setns(2),
and the kernel's `include/uapi` headers named beside each constant.
"""

from __future__ import annotations

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# asm/unistd.h. The Landlock numbers are the same on every architecture.
_SYSCALLS = {
    "x86_64": {
        "arch": 0xC000003E,
        "execve": 59, "execveat": 322, "capset": 126, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "open_by_handle_at": 304, "name_to_handle_at": 303, "mount": 165,
        "umount2": 166, "pivot_root": 155, "chroot": 161, "setns": 308, "unshare": 272, "fsopen": 430,
        "fsmount": 432, "fsconfig": 431, "move_mount": 429, "open_tree": 428, "mount_setattr": 442,
        "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246,
        "kexec_file_load": 320, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "keyctl": 250,
        "add_key": 248, "request_key": 249, "pidfd_getfd": 438, "kcmp": 312, "listen": 50, "socket": 41,
        "ioctl": 16, "reboot": 169, "swapon": 167, "swapoff": 168, "settimeofday": 164,
        "clock_settime": 227, "sethostname": 170, "setdomainname": 171, "acct": 163, "iopl": 172,
        "ioperm": 173, "quotactl": 179, "clone": 56, "clone3": 435, "seccomp": 317,
        "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "lchown": 94, "fchown": 93,
        "fchownat": 260, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280, "setxattr": 188,
        "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199,
        "setxattrat": 463, "removexattrat": 466, "file_setattr": 469, "shmget": 29, "shmat": 30, "shmctl": 31,
        "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220, "msgget": 68, "msgsnd": 69, "msgrcv": 70,
        "msgctl": 71, "mq_open": 240, "mq_unlink": 241, "prlimit64": 302, "sched_setaffinity": 203,
        "sched_setscheduler": 144, "sched_setparam": 142, "sched_setattr": 314, "setpriority": 141,
        "ioprio_set": 251, "kill": 62, "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129,
        "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424, "connect": 42, "socketpair": 53, "fcntl": 72,
        "process_madvise": 440, "move_pages": 279, "migrate_pages": 256, "syslog": 103, "open": 2, "openat": 257,
        "openat2": 437,
        "creat": 85, "rename": 82, "renameat": 264, "renameat2": 316, "unlink": 87, "unlinkat": 263, "rmdir": 84,
        "mkdir": 83, "mkdirat": 258, "mknod": 133, "mknodat": 259, "link": 86, "linkat": 265, "symlink": 88,
        "symlinkat": 266, "truncate": 76, "ftruncate": 77, "fallocate": 285,
    },
    "aarch64": {
        "arch": 0xC00000B7,
        "execve": 221, "execveat": 281, "capset": 91, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "open_by_handle_at": 265, "name_to_handle_at": 264, "mount": 40,
        "umount2": 39, "pivot_root": 41, "chroot": 51, "setns": 268, "unshare": 97, "fsopen": 430,
        "fsmount": 432, "fsconfig": 431, "move_mount": 429, "open_tree": 428, "mount_setattr": 442,
        "init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104,
        "kexec_file_load": 294, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "keyctl": 219,
        "add_key": 217, "request_key": 218, "pidfd_getfd": 438, "kcmp": 272, "listen": 201, "socket": 198,
        "ioctl": 29, "reboot": 142, "swapon": 224, "swapoff": 225, "settimeofday": 170,
        "clock_settime": 112, "sethostname": 161, "setdomainname": 162, "acct": 89, "quotactl": 60,
        "clone": 220, "clone3": 435, "seccomp": 277,
        "fchmod": 52, "fchmodat": 53, "fchmodat2": 452, "fchown": 55, "fchownat": 54, "utimensat": 88,
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
        "setxattrat": 463, "removexattrat": 466, "file_setattr": 469, "shmget": 194, "shmat": 196, "shmctl": 195,
        "semget": 190, "semop": 193, "semctl": 191, "semtimedop": 192, "msgget": 186, "msgsnd": 189, "msgrcv": 188,
        "msgctl": 187, "mq_open": 180, "mq_unlink": 181, "prlimit64": 261, "sched_setaffinity": 122,
        "sched_setscheduler": 119, "sched_setparam": 118, "sched_setattr": 274, "setpriority": 140,
        "ioprio_set": 30, "kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138,
        "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424, "connect": 203, "socketpair": 199, "fcntl": 25,
        "process_madvise": 440, "move_pages": 239, "migrate_pages": 238, "syslog": 116, "openat": 56, "openat2": 437,
        "renameat": 38, "renameat2": 276, "unlinkat": 35, "mkdirat": 34, "mknodat": 33, "linkat": 37, "symlinkat": 36,
        "truncate": 45, "ftruncate": 46, "fallocate": 47,
    },
}  # fmt: skip
MACHINE = platform.machine()
SYSCALLS: dict[str, int] = _SYSCALLS.get(MACHINE, {})

# linux/prctl.h
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = (
    1,
    24,
    22,
    36,
    38,
)
PR_SET_DUMPABLE, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAPBSET_READ = 4, 47, 4, 23
PR_SET_KEEPCAPS, PR_CAP_AMBIENT_RAISE = 8, 2
SECCOMP_MODE_FILTER = 2

# linux/mount.h, sched.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 8, 32, 4096, 16384
MS_PRIVATE, MS_SLAVE = 1 << 18, 1 << 19
CLONE_NEWNS = 0x00020000

# linux/capability.h
CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
# Distributions attach these to program files as permitted and effective (Debian's ping). The kernel executes such
# a file only if the bounding set has them (EPERM otherwise); no_new_privs keeps the file from granting anything.
ON_FILES = frozenset({"net_raw"})


_RESOLVE_NO_SYMLINKS, _AT_FDCWD = 0x04, -100  # openat2(2), open(2)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(number: int, *args: object) -> int:
    """Make system call `number`; integers are passed as 64-bit values."""
    return _check(int(_libc.syscall(ctypes.c_long(number), *[_wide(a) for a in args])))


def _wide(value: object) -> object:
    return ctypes.c_ulong(value & 0xFFFFFFFFFFFFFFFF) if isinstance(value, int) else value


def prctl(option: int, *args: int) -> int:
    """prctl(2)."""
    padded = [*args, 0, 0, 0, 0][:4]
    return _check(int(_libc.prctl(ctypes.c_int(option), *[ctypes.c_ulong(a) for a in padded])))


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    _check(
        int(
            _libc.mount(
                os.fsencode(source),
                os.fsencode(target),
                kind.encode() if kind else None,
                ctypes.c_ulong(flags),
                data.encode() or None,
            )
        )
    )


def detach(target: str) -> None:
    """umount2(2) with MNT_DETACH: out of the tree now, gone when nobody uses it any more."""
    syscall(SYSCALLS["umount2"], ctypes.c_char_p(os.fsencode(target)), 2)


def unshare(flags: int) -> None:
    """unshare(2); os.unshare exists only from Python 3.12."""
    _check(int(_libc.unshare(ctypes.c_int(flags))))


def setns(fd: int, flags: int) -> None:
    """setns(2); os.setns exists only from Python 3.12."""
    _check(int(_libc.setns(ctypes.c_int(fd), ctypes.c_int(flags))))


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def release_capabilities() -> None:
    """Make everything this process holds inheritable, then empty the bounding set, `ON_FILES` aside.

    Afterwards a program gets at execve what `limit_capabilities` leaves inheritable, and nothing
    else, though the uid is 0 (capabilities(7), "Transformation of capabilities during execve").
    """
    held = held_capabilities()
    _capset(held, held, held)
    for number, name in enumerate(CAPABILITIES):
        if held >> number & 1 and name not in ON_FILES:
            prctl(PR_CAPBSET_DROP, number)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)


def bound_capabilities(keep: frozenset[str]) -> None:
    """Empty the bounding set of what `release_capabilities` left, but for `keep`; before a change of identity."""
    for name in ON_FILES - keep:
        try:
            prctl(PR_CAPBSET_DROP, CAPABILITIES.index(name))
        except PermissionError:
            pass  # without CAP_SETPCAP none of them was ever held


def limit_capabilities(keep: frozenset[str]) -> None:
    """Cut permitted, effective and inheritable sets to `keep` (names as in capabilities(7), lower case).

    Capabilities that this process lacks are simply not there afterwards. Root takes them through an exec by
    itself, another user only as ambient ones.
    """
    mask = 0
    if keep:
        mask = sum(1 << n for n, name in enumerate(CAPABILITIES) if name in keep) & held_capabilities()
    _capset(mask, mask, mask)
    if mask and os.geteuid() != 0:
        for number in range(len(CAPABILITIES)):
            if mask >> number & 1:
                prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def _capset(effective: int, permitted: int, inheritable: int) -> None:
    header = _CapHeader(0x20080522, 0)
    halves = [
        _CapData(*(value >> shift & 0xFFFFFFFF for value in (effective, permitted, inheritable))) for shift in (0, 32)
    ]
    data = (_CapData * 2)(*halves)
    syscall(SYSCALLS["capset"], ctypes.byref(header), ctypes.byref(data))


def held_capabilities() -> int:
    """The permitted set of this process as a bit mask."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"CapPrm:"):
                return int(line.split()[1], 16)
    return 0


def open_plainly(path: str) -> int:
    """An O_PATH descriptor of what is there, reached through no link: openat2(2) with RESOLVE_NO_SYMLINKS.

    Raises `OSError`, ELOOP for a link on the way or at the end.
    """
    how = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS)
    name = ctypes.c_char_p(os.fsencode(path))
    return syscall(SYSCALLS["openat2"], _AT_FDCWD, name, ctypes.byref(how), ctypes.sizeof(how))

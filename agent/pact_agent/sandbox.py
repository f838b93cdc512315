"""What a contained process may do, and the steps that bind it, in the child between fork and exec.

`Plan` is made by the executor from the catalog's grants and travels to the spawner as
JSON; `enter` applies it: masked mount namespace, identity, limits, Landlock, capabilities,
no_new_privs, seccomp. Anything that can't be applied and isn't listed as absent in
`Kernel` raises `OSError`, and the command does not run. Standard library only.
"""

from __future__ import annotations

import errno
import functools
import glob
import os
import resource
import struct

from pact_agent import kernel, landlock, seccomp

# Which parts of /dev a command may open without a grant; terminals come with `terminal`.
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_READ_WRITE = landlock.READ_FILE | landlock.WRITE_FILE | landlock.IOCTL_DEV | landlock.TRUNCATE
_CHANGE_EXTRA = landlock.ALL_WRITE | landlock.READ | landlock.IOCTL_DEV


class Plan:
    """Bounds of one process; the fields are those of its JSON form (`to_json`).

    `read`: paths readable with all below; `*` stands for every top-level directory but /dev.
    `write`, `devices`: paths also writable. `execute`: further programs it may exec; empty
    means no second exec at all. `caps`: capabilities kept. `lookup`: unix sockets may be reached.
    `uid`, `gid`: None keeps root's. `read` and `devices` may end in `*`. `trace`: it may look into other processes,
    which no Landlock domain can, so another user's rights and the filter keep it from writing instead.
    `free`: a bypass, bound by nothing but its limits.
    """

    __slots__ = (
        "caps", "changing", "confined", "devices", "execute", "free", "gid", "listing", "lookup", "masked", "memory",
        "network", "open_files", "processes", "read", "signals", "terminal", "trace", "uid", "write",
    )  # fmt: skip

    def __init__(
        self,
        *,
        read: tuple[str, ...] = ("*",),
        write: tuple[str, ...] = (),
        devices: tuple[str, ...] = (),
        execute: tuple[str, ...] = (),
        caps: tuple[str, ...] = (),
        network: bool = False,
        lookup: bool = False,
        changing: bool = False,
        signals: bool = False,
        confined: bool = True,
        masked: bool = True,
        terminal: bool = False,
        listing: bool = False,
        trace: bool = False,
        free: bool = False,
        uid: int | None = None,
        gid: int | None = None,
        open_files: int = 1024,
        processes: int = 512,
        memory: int = 8 << 30,
    ) -> None:
        self.read, self.write, self.devices, self.execute = read, write, devices, execute
        self.caps, self.network, self.changing, self.signals = caps, network, changing, signals
        self.lookup, self.trace, self.free = lookup, trace, free
        self.confined, self.masked, self.terminal, self.listing = confined, masked, terminal, listing
        self.uid, self.gid, self.open_files, self.processes, self.memory = (
            uid,
            gid,
            open_files,
            processes,
            memory,
        )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, raw: dict[str, object]) -> Plan:
        """The inverse of `to_json`; lists become tuples."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})  # type: ignore[arg-type]


class Kernel:
    """What this kernel and these rights can enforce, found once when the spawner starts."""

    def __init__(self) -> None:
        self.landlock = landlock.abi()
        self.seccomp = bool(kernel.SYSCALLS) and _has_seccomp()
        self.masks_fd = -1
        self.home_fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.masked: tuple[str, ...] = ()
        self.masks_error = "not built"
        self.root = os.geteuid() == 0
        self.cgroups = self.bounded = False

    def to_json(self) -> dict[str, object]:
        """Facts for `pact cap` and the journal."""
        return {
            "landlock_abi": self.landlock,
            "seccomp": self.seccomp,
            "masks": len(self.masked) if self.masks_fd >= 0 else 0,
            "masks_error": self.masks_error,
            "capabilities": self.root,
            "cgroups": self.cgroups,
            "bounded": self.bounded,
        }


def _has_seccomp() -> bool:
    """Whether PR_SET_SECCOMP with a filter is compiled in: a null filter gives EFAULT if so, EINVAL if not."""
    try:
        kernel.prctl(kernel.PR_SET_SECCOMP, kernel.SECCOMP_MODE_FILTER, 0)
    except OSError as error:
        return error.errno == 14
    return True


def bound(plan: Plan, features: Kernel) -> None:
    """First half, before the standard descriptors are opened: identity and limits.

    The process is in the masked namespace already; a plan without masks goes back.
    """
    if not plan.masked and features.masks_fd >= 0:
        kernel.setns(features.home_fd, kernel.CLONE_NEWNS)
    for what, value in (
        (resource.RLIMIT_NOFILE, plan.open_files),
        (resource.RLIMIT_NPROC, plan.processes),
        (resource.RLIMIT_AS, plan.memory),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (limit, limit))
    kernel.bound_capabilities(frozenset(plan.caps))
    # A user namespace of one user has nobody else to become, and no leave to drop groups.
    if plan.uid is not None and features.root and plan.uid != os.geteuid() and _is_mapped(plan.uid):
        os.setgroups([])
        gid = plan.gid if plan.gid is not None else plan.uid
        os.setresgid(gid, gid, gid)
        kernel.prctl(kernel.PR_SET_KEEPCAPS, bool(plan.caps))
        os.setresuid(plan.uid, plan.uid, plan.uid)
    os.umask(0o022)


def _is_mapped(uid: int) -> bool:
    """Whether there is such a user in this user namespace (user_namespaces(7))."""
    with open("/proc/self/uid_map", "rb") as file:
        ranges = [[int(word) for word in line.split()] for line in file]
    return any(first <= uid < first + count for first, _, count in ranges)


def confine(
    plan: Plan,
    features: Kernel,
    programs: tuple[str, ...],
    usual: landlock.Ruleset | None = None,
    tty: int | None = None,
) -> None:
    """Second half: no_new_privs, Landlock, capabilities. Files opened after this are checked by the kernel.

    `programs` are the file to execute and what the kernel opens for it (`executables`). `usual` are
    rules of `Prepared`, used when the plan asks for no others. `tty` is open on its terminal.
    """
    if not plan.free:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    rules: landlock.Ruleset | None = None
    if plan.confined and features.landlock and not plan.trace:
        fits = usual is not None and plan.read == ("*",) and not (plan.network or plan.signals or plan.listing)
        rules = usual if fits and usual is not None else _general_rules(plan, features)
        _own_rules(rules, plan, programs, tty)
    kernel.limit_capabilities(frozenset(plan.caps))
    if rules is not None:
        rules.restrict()


class Prepared:
    """What a process has ready for a command that it doesn't know yet: rules, filter and place of its exec.

    They fit a command without grants; for others they are made again. For one process and one exec.
    """

    __slots__ = ("_domains", "_filter", "rules", "ticket")

    def __init__(self, features: Kernel) -> None:
        self.ticket = seccomp.ExecTicket()
        self._domains = bool(features.landlock)
        self.rules = _general_rules(Plan(), features) if features.landlock else None
        self._filter = _usual_filter().fill(self.ticket.pointers, os.getpid()) if features.seccomp else None

    def seal(self, plan: Plan) -> None:
        """The last step before exec: the system call filter, where the kernel has it."""
        if self._filter is None or plan.free:
            return
        if not self._domains or _asks(plan) != _asks(Plan()):
            program = _program(plan, self.ticket.pointers, os.getpid(), domains=self._domains)
            self._filter = seccomp.Filter(seccomp.encode(program))
        self._filter.install()


@functools.cache
def _usual_filter() -> seccomp.Blank:
    """The filter of a command without grants; made once, by the spawner, before it forks."""
    return seccomp.Blank(lambda pointers, pid: _program(Plan(), pointers, pid))


def prepare_spawner() -> None:
    """What is done once for all processes to come: the bounding set, and the filter that most of them load."""
    kernel.release_capabilities()
    if kernel.SYSCALLS:
        _usual_filter()


def _asks(plan: Plan) -> tuple[bool, ...]:
    """What the filter depends on."""
    return (
        plan.network, plan.lookup, plan.changing, plan.confined, plan.signals, bool(plan.execute), plan.trace,
    )  # fmt: skip


def _program(
    plan: Plan, pointers: tuple[int, int, int], pid: int, *, domains: bool = True
) -> list[tuple[int, int, int, int]]:
    """The filter's steps. Without Landlock's `domains` it keeps a reader from writing, as far as a filter can."""
    outside = not plan.confined and not plan.changing  # reads, and makes a socket to ask through (chronyc)
    reader = plan.trace or outside or (not domains and plan.confined and not (plan.changing or plan.write))
    return seccomp.build(
        once=None if plan.execute else pointers,
        network=plan.network,
        lookup=plan.lookup,
        changing=plan.changing,
        confined=plan.confined,
        read_only=reader,
        socket_files=outside,
        opens_both_ways=bool(plan.devices) or (plan.trace and os.geteuid() != 0),
        signals_to=None if plan.signals or plan.execute else pid,
    )


def _general_rules(plan: Plan, features: Kernel) -> landlock.Ruleset:
    """What does not depend on the program: readable places and harmless devices."""
    rules = landlock.Ruleset(features.landlock, connect=plan.network, signals=plan.signals)
    for path in plan.read:
        if path == "*":
            for name in os.listdir("/"):
                if name != "dev":
                    rules.allow(f"/{name}", landlock.READ)
            rules.allow("/", landlock.READ_DIR)  # `ls /`, and nothing else of it
        else:
            for one in _matching(path):
                rules.allow(one, landlock.READ)
    rules.allow("/" if plan.listing else "/dev", landlock.READ_DIR)
    for path in _DEVICES:
        rules.allow(path, _READ_WRITE)
    return rules


def _own_rules(rules: landlock.Ruleset, plan: Plan, programs: tuple[str, ...], tty: int | None) -> None:
    """What this command alone gets: its terminal (nobody else's), granted places, its file and the loader for it."""
    if plan.terminal and tty is not None:
        rules.allow("/dev/tty", _READ_WRITE)
        rules.allow_fd(tty, _READ_WRITE)
    for pattern in plan.devices:
        for path in _matching(pattern):
            rules.allow(path, landlock.READ_FILE | landlock.WRITE_FILE | landlock.IOCTL_DEV)
    for path in plan.write:
        rules.allow(path, _CHANGE_EXTRA, links=False)  # who may make a link there would say where it writes
    for path in (*programs, *(e for p in plan.execute for e in executables(p))):
        rules.allow(path, landlock.EXECUTE | landlock.READ_FILE)


def _matching(pattern: str) -> list[str]:
    """The paths that a granted name stands for; it may end in `*`."""
    return glob.glob(pattern) if pattern.endswith("*") else [pattern]


def executables(program: str) -> tuple[str, ...]:
    """`program`, and the interpreters the kernel opens for it: the `#!` line's and the dynamic loader (elf(5)).

    Raises `OSError` when the system is short of what it takes to look.
    """
    found: list[str] = []
    while program not in found and len(found) < 4:
        found.append(program)
        try:
            with open(program, "rb") as file:
                head = file.read(4096)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
                raise  # says nothing about the program
            break
        if head[:2] == b"#!":
            words = head[2:].split(b"\n", 1)[0].split()
            if not words:
                break
            program = os.fsdecode(words[0])
        else:
            loader = _elf_interpreter(head)
            if loader is None:
                break
            program = loader
    return tuple(found)


def _elf_interpreter(head: bytes) -> str | None:
    """The PT_INTERP of a 64-bit little-endian ELF file, or None."""
    if head[:6] != b"\x7fELF\x02\x01" or len(head) < 64:
        return None
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for index in range(count):
        at = offset + index * size
        if at + 56 > len(head):
            return None
        kind, _, where, _, _, length = struct.unpack_from("<IIQQQQ", head, at)
        if kind == 3 and where + length <= len(head):
            return os.fsdecode(head[where : where + length].rstrip(b"\0"))
    return None

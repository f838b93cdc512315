"""The filter as a value: a small interpreter of classic BPF says which system calls pass it."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

import pytest
from pact_agent import kernel, sandbox, seccomp
from pact_agent.sandbox import Plan
from pact_agent.seccomp import CHANGING, NEVER, OWNER, SELF, SIGNALS, WRITING, ExecTicket, build

pytestmark = pytest.mark.skipif(
    not kernel.SYSCALLS, reason="no system call numbers for this machine: run on x86_64 or aarch64"
)

Program = list[tuple[int, int, int, int]]
NUMBERS = kernel.SYSCALLS
KILL = "kill"
CLONE_NEWUSER, CLONE_VM, CLONE_THREAD = 0x10000000, 0x100, 0x10000
SOCK_CLOEXEC, SOCK_NONBLOCK = 0o2000000, 0o4000
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK = 1, 2, 10, 16, 17, 38, 40
STREAM, DGRAM, SEQPACKET = 1, 2, 5
TIOCSTI, TIOCLINUX, TCGETS, FS_IOC_SETFLAGS = 0x5412, 0x541C, 0x5401, 0x40086602


def verdict(program: Program, number: int, *args: int, arch: int | None = None) -> str | int:
    """What the kernel would do: 0 lets it pass, otherwise an errno or KILL (seccomp(2), bpf(4))."""
    words = [a & (1 << 64) - 1 for a in (*args, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number, NUMBERS["arch"] if arch is None else arch, 0x7F0000000000, *words)
    at = accumulator = 0
    for _ in range(4096):
        code, true, false, k = program[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            accumulator &= k
        elif code == 0x06:
            outcomes: dict[int, str | int] = {0x7FFF0000: 0, 0x80000000: KILL, 0x00050000: k & 0xFFFF}
            return outcomes[k & 0xFFFF0000]
        else:
            met = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
            at += true if met else false
    raise AssertionError("the program does not end")


@pytest.fixture(scope="module")
def ticket() -> ExecTicket:
    return ExecTicket()


def plans(ticket: ExecTicket | None = None) -> dict[str, Program]:
    """The filter of each kind of command."""
    once = ticket.pointers if ticket else None
    return {
        "read": build(once=once, network=False, changing=False, signals_to=77),
        "network": build(once=once, network=True, changing=False, signals_to=77),
        "lookup": build(once=once, network=False, changing=False, lookup=True, signals_to=77),
        "change": build(once=once, network=True, changing=True),
        "unconfined": build(once=None, network=True, changing=True, confined=False),
        "trace": build(once=once, network=False, changing=False, read_only=True, signals_to=77),
        "asking": build(
            once=once, network=True, changing=False, confined=False, read_only=True, socket_files=True, signals_to=77
        ),
    }


def refused(program: Program) -> set[int]:
    """The calls that are refused whatever their arguments, zeros included."""
    return {n for n in range(600) if verdict(program, n) != 0}


def numbers(*names: str) -> set[int]:
    return {NUMBERS[name] for name in names if name in NUMBERS}


def test_what_is_refused_is_what_is_listed_and_nothing_else() -> None:
    always = numbers(*NEVER, "clone3")
    # With zeros: no family, no type of a pair, process 0 is nobody to signal.
    zeros = numbers("socket", "socketpair", "connect")
    found = {name: refused(program) for name, program in plans().items()}
    assert found["unconfined"] == always
    assert found["change"] == always | numbers(*OWNER, "socket", "socketpair")
    signals = numbers(*SIGNALS, "pidfd_send_signal")
    assert found["read"] == always | numbers(*OWNER, *CHANGING) | zeros | signals
    assert found["network"] == found["read"] - numbers("connect")
    assert found["lookup"] == found["read"] - numbers("connect", "socketpair")
    assert found["trace"] == found["read"] | numbers(*WRITING)
    own_socket = numbers("unlink", "unlinkat", "chmod", "fchmod", "fchmodat", "fchmodat2")
    assert found["asking"] == found["trace"] - zeros - own_socket


@pytest.mark.parametrize("plan", ["read", "network", "lookup", "change", "unconfined", "trace", "asking"])
def test_no_command_reaches_into_another_process_or_the_kernel(plan: str) -> None:
    """Written out, so that a name that is lost from the list is missed."""
    assert refused(plans()[plan]) >= {
        NUMBERS[name]
        for name in (
            "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "open_by_handle_at", "setns",
            "unshare", "chroot", "pivot_root", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "kexec_load",
            "keyctl", "reboot", "listen",
        )
    }  # fmt: skip


def test_every_listed_call_has_a_number() -> None:
    """A name without one is left out of the filter: where that is so, the machine has no such call."""
    named = {*NEVER, *CHANGING, *OWNER, *SELF, *SIGNALS, *WRITING}
    obsolete = {"chmod", "chown", "lchown", "utime", "utimes", "futimesat", "iopl", "ioperm", "creat", "rename"}
    obsolete |= {"unlink", "rmdir", "mkdir", "mknod", "link", "symlink"}
    missing = named - NUMBERS.keys()
    assert missing <= (obsolete if kernel.MACHINE == "aarch64" else set())


@pytest.mark.parametrize("plan", ["read", "network", "lookup", "change", "unconfined"])
def test_other_ways_into_the_kernel_end_the_process(plan: str) -> None:
    program = plans()[plan]
    i386, x32 = 0x40000003, 0x40000000
    assert verdict(program, 11, arch=i386) == KILL
    assert verdict(program, x32 + 520) == KILL  # execve of x32
    assert verdict(program, 0xFFFFFFFF) == KILL


@pytest.mark.parametrize("plan", ["read", "network", "lookup", "change", "unconfined"])
def test_threads_and_processes_yes_namespaces_no(plan: str) -> None:
    program = plans()[plan]
    assert verdict(program, NUMBERS["clone"], CLONE_VM | CLONE_THREAD) == 0
    assert verdict(program, NUMBERS["clone"], 17) == 0  # fork
    for bit in (0x00020000, 0x02000000, 0x04000000, 0x08000000, CLONE_NEWUSER, 0x20000000, 0x40000000):
        assert verdict(program, NUMBERS["clone"], bit | 17) == errno.EPERM
    assert verdict(program, NUMBERS["clone3"]) == errno.ENOSYS  # the C library then takes clone


@pytest.mark.parametrize(
    ("plan", "request_", "expected"),
    [
        ("read", TCGETS, 0),
        ("read", TIOCSTI, errno.EPERM),
        ("read", TIOCSTI | 7 << 32, errno.EPERM),  # the kernel looks at 32 bits
        ("read", TIOCLINUX, errno.EPERM),
        ("read", FS_IOC_SETFLAGS, errno.EPERM),
        ("change", TIOCSTI, errno.EPERM),
        ("change", FS_IOC_SETFLAGS, errno.EPERM),
        ("unconfined", TIOCSTI, errno.EPERM),
        ("read", 0x40087602, errno.EPERM),  # FS_IOC_SETVERSION
        ("read", 0x40806685, errno.EPERM),  # FS_IOC_ENABLE_VERITY
        ("read", 0xC0045877, errno.EPERM),  # FIFREEZE
        ("read", 0x40049409, errno.EPERM),  # FICLONE
        ("read", 0x80086601, 0),  # FS_IOC_GETFLAGS
        ("read", 0x8901, errno.EPERM),  # FIOSETOWN
        ("read", 0x8902, errno.EPERM),  # SIOCSPGRP
        ("read", 0x8912, 0),  # SIOCGIFCONF
        ("read", 0xC020462A, 0),  # of NVIDIA's driver
        ("change", 0x40087602, errno.EPERM),
        ("change", 0x8901, 0),
        ("unconfined", 0x40087602, 0),
        ("unconfined", FS_IOC_SETFLAGS, 0),
    ],
)
def test_requests_to_terminals_and_files(plan: str, request_: int, expected: int) -> None:
    assert verdict(plans()[plan], NUMBERS["ioctl"], 0, request_) == expected


@pytest.mark.parametrize(
    ("plan", "families"),
    [
        ("read", {AF_NETLINK}),
        ("network", {AF_NETLINK, AF_INET, AF_INET6, AF_PACKET}),
        ("lookup", {AF_NETLINK, AF_UNIX}),
        ("change", {AF_NETLINK, AF_INET, AF_INET6, AF_PACKET}),
        ("unconfined", set(range(64))),
    ],
)
def test_families_of_sockets(plan: str, families: set[int]) -> None:
    program = plans()[plan]
    passing = {f for f in range(64) if verdict(program, NUMBERS["socket"], f, STREAM) == 0}
    assert passing == families
    assert verdict(program, NUMBERS["socket"], AF_ALG | 1 << 32, STREAM) == (
        0 if plan == "unconfined" else errno.EACCES
    )
    if AF_UNIX not in families:
        assert verdict(program, NUMBERS["socket"], AF_UNIX | 1 << 32, STREAM) == errno.EAFNOSUPPORT


@pytest.mark.parametrize("flags", [0, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC])
def test_pairs_that_cannot_send_elsewhere(flags: int) -> None:
    def of(plan: str, kind: int) -> str | int:
        return verdict(plans()[plan], NUMBERS["socketpair"], AF_UNIX, kind | flags)

    assert [of("read", kind) for kind in (STREAM, SEQPACKET, DGRAM)] == [0, 0, errno.EACCES]
    assert of("lookup", DGRAM) == 0


@pytest.mark.parametrize(
    "flags", [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE, os.O_RDWR | os.O_CLOEXEC]
)
def test_where_landlock_cannot_stand_the_filter_opens_nothing_for_writing(flags: int) -> None:
    program = plans()["trace"]
    for name, place in (("open", 1), ("openat", 2)):
        if name in NUMBERS:
            before = (0,) * place
            assert verdict(program, NUMBERS[name], *before, flags) == errno.EPERM
            assert verdict(program, NUMBERS[name], *before, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW) == 0
            assert verdict(plans()["read"], NUMBERS[name], *before, flags) == 0  # Landlock's business


def test_without_landlock_the_filter_keeps_readers_from_writing() -> None:
    """On a node where policy goes on without it (`containment = "best-effort"`)."""

    def opening(plan: Plan, flags: int) -> str | int:
        program = sandbox._program(plan, (1, 2, 3), 77, domains=False)
        return verdict(program, NUMBERS["openat"], 0, 0, flags)

    assert opening(Plan(), os.O_RDONLY) == 0
    assert [opening(Plan(), f) for f in (os.O_WRONLY, os.O_RDWR, os.O_CREAT)] == [errno.EPERM] * 3
    assert verdict(sandbox._program(Plan(), (1, 2, 3), 77, domains=False), NUMBERS["unlinkat"]) == errno.EPERM
    assert opening(Plan(devices=("/dev/nvidia*",)), os.O_RDWR) == 0
    assert opening(Plan(changing=True, write=("/proc/sys",)), os.O_WRONLY) == 0


@pytest.mark.parametrize("command", [8, 10, 15])  # F_SETOWN, F_SETSIG, F_SETOWN_EX
def test_no_signal_is_sent_by_way_of_a_file(command: int) -> None:
    of = {name: verdict(program, NUMBERS["fcntl"], 3, command) for name, program in plans().items()}
    assert {name for name, found in of.items() if found == 0} == {"change", "unconfined"}
    assert verdict(plans()["read"], NUMBERS["fcntl"], 3, 3) == 0  # F_GETFL


def test_leases_and_other_processes_limits() -> None:
    program = plans()["read"]
    assert verdict(program, NUMBERS["fcntl"], 3, 1024, 1) == errno.EPERM
    assert verdict(program, NUMBERS["fcntl"], 3, 1, 0) == 0
    for name in SELF:
        assert verdict(program, NUMBERS[name], 0) == 0
        assert verdict(program, NUMBERS[name], 1) == errno.EPERM
        assert verdict(plans()["unconfined"], NUMBERS[name], 1) == 0


def test_signals_reach_one_process() -> None:
    program = plans()["read"]
    for name in SIGNALS:
        assert verdict(program, NUMBERS[name], 77, 15) == 0
        for other in (1, 0, -1, -77, 78):
            assert verdict(program, NUMBERS[name], other, 15) == errno.EPERM
        assert verdict(plans()["change"], NUMBERS[name], 1, 15) == 0
    assert verdict(program, NUMBERS["pidfd_send_signal"], 3, 15) == errno.EPERM


@pytest.mark.parametrize("plan", ["read", "network", "lookup", "change"])
def test_the_one_exec_is_the_tickets(plan: str, ticket: ExecTicket) -> None:
    program, execve = plans(ticket)[plan], NUMBERS["execve"]
    assert verdict(program, execve, *ticket.pointers) == 0
    for index in range(3):
        for bit in range(64):
            other = list(ticket.pointers)
            other[index] ^= 1 << bit
            assert verdict(program, execve, *other) == errno.EACCES
    assert verdict(program, execve, 0, 0, 0) == errno.EACCES
    assert verdict(program, NUMBERS["execveat"], *ticket.pointers) == errno.EPERM


def test_a_filter_fits_the_kernels_limits(ticket: ExecTicket) -> None:
    for program in plans(ticket).values():
        assert len(program) <= 4096
        for at, (_code, true, false, k) in enumerate(program):
            assert 0 <= true < 256
            assert 0 <= false < 256
            assert at + 1 + max(true, false) < len(program) or program[at][0] == 0x06
            assert 0 <= k < 1 << 32
        seccomp.Filter(seccomp.encode(program))


def test_a_filter_made_ahead_is_the_one_made_at_once(ticket: ExecTicket) -> None:
    def make(pointers: tuple[int, int, int], pid: int) -> Program:
        return build(once=pointers, network=False, changing=False, signals_to=pid)

    blank = seccomp.Blank(make)
    for pid in (2, 4194304):
        filled = blank.fill(ticket.pointers, pid)
        assert bytes(filled.code) == seccomp.encode(make(ticket.pointers, pid))


def test_a_ticket_holds_what_is_executed(ticket: ExecTicket) -> None:
    ticket.fill(b"/usr/bin/echo", [b"echo", b"a b", b"\xff"], [b"LANG=C", b"A="])
    path, argv, environ = ticket.pointers

    def strings(table: int) -> list[bytes]:
        found: list[bytes] = []
        while (address := ctypes.c_uint64.from_address(table + 8 * len(found)).value) != 0:
            found.append(ctypes.string_at(address))
        return found

    assert ctypes.string_at(path) == b"/usr/bin/echo"
    assert strings(argv) == [b"echo", b"a b", b"\xff"]
    assert strings(environ) == [b"LANG=C", b"A="]


def test_tickets_differ_and_refuse_what_is_too_much(ticket: ExecTicket) -> None:
    assert not set(ticket.pointers) & set(ExecTicket().pointers)
    for argv in ([b"x"] * 140_000, [b"x" * (7 << 20)]):
        with pytest.raises(OSError, match="Argument list too long"):
            ticket.fill(b"/bin/x", argv, [])
    with pytest.raises(OSError, match="Argument list too long"):
        ticket.fill(b"/" + b"x" * 10_000, [b"x"], [])

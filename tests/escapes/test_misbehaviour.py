"""A program that misbehaves in every way its plan is meant to stop, one attempt a system call.

The program is `misbehave.c`, compiled here. Each attempt is first made outside the sandbox, where it has
to succeed; then with the plan of `cat`, where it has to be refused for want of permission and nothing else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pact_agent import kernel
from pact_agent.sandbox import Plan, executables

from tests.escapes.cage import ON_TERMINAL, Cage, Ended, bounds_of, caged, compiled, free, free_typed
from tests.pact_agent.localnode import IS_ROOT

SECRET = "pact-secret-5e1f"
READ = "cat /etc/hostname"
SETS = {"nofile": 7, "nproc": 6, "memlock": 8}
# The last is how the filter refuses unix sockets: a library then does without, and says nothing.
REFUSED = frozenset({errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT})
HELD = kernel.held_capabilities()

pytestmark = [
    pytest.mark.skipif(not IS_ROOT, reason="the sandbox of a root agent is tested: run the tests as root"),
]


class Place(NamedTuple):
    """What the attempts are made with: the program, a directory, and files in it."""

    program: str
    directory: Path
    cage: Cage

    @property
    def victim(self) -> Path:
        return self.directory / "victim"

    @property
    def secret(self) -> Path:
        return self.directory / "safe" / "secret"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("m")
    program = compiled(directory)
    (directory / "safe").mkdir()
    secret = directory / "safe" / "secret"
    secret.write_text(SECRET)
    for cage in caged(directory, (str(secret), str(directory / "later" / "*"))):
        yield Place(program, directory, cage)


def outcome(ended: Ended) -> int:
    """0 when the attempt succeeded, else its error number."""
    if "escaped" in ended.text or SECRET in ended.text or "\ndone" in ended.text:
        return 0
    number = ended.text.rpartition("\nno ")[2].strip()
    assert number.isdecimal(), ended
    return int(number)


def caged_attempt(place: Place, plan: Plan, *words: str) -> int:
    return outcome(place.cage.run((place.program, *words), plan))


def attempt(place: Place, *words: str, plan: Plan | None = None, among: frozenset[int] = REFUSED) -> None:
    """It works outside, and is refused inside with one of the errors `among`."""
    assert outcome(free((place.program, *words))) == 0, "without a sandbox it must work"
    assert caged_attempt(place, plan or bounds_of(READ), *words) in among


# -- files

WRITES = (
    "f_write", "f_append", "f_read_write", "f_creat", "f_creat_old", "f_truncate_open", "f_truncate", "f_tmpfile",
    "f_openat2", "f_mkdir", "f_rmdir", "f_fifo", "f_mknod_regular", "f_mknod_disk", "f_mknod_memory", "f_symlink",
    "f_link", "f_link_descriptor", "f_rename", "f_exchange", "f_unlink", "f_chmod", "f_fchmod", "f_fchmodat2",
    "f_chown", "f_lchown", "f_times", "f_futimens", "f_setxattr", "f_setxattr_trusted", "f_setflags", "f_setproject",
    "f_setversion",
    "f_lease", "f_reopen", "f_reopen_path", "f_through_root", "f_through_child", "f_thread_of_fork",
    "f_bind_name", "f_bind_name_pair", "f_shm_open",
)  # fmt: skip
# Not on every file system or kernel; where one is missing the attempt proves nothing.
SOMETIMES = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EAFNOSUPPORT, errno.ENOPROTOOPT})


def state(directory: Path) -> list[tuple[object, ...]]:
    """All that a write could change there."""
    found: list[tuple[object, ...]] = []
    for path in sorted(directory.rglob("*")):
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        attributes = tuple(os.listxattr(path, follow_symlinks=False))
        found.append((path.name, info.st_mode, info.st_uid, info.st_mtime_ns, info.st_ctime_ns, content, attributes))
    return found


@pytest.mark.parametrize("name", WRITES)
def test_a_reader_changes_no_file(place: Place, tmp_path: Path, name: str) -> None:
    def words() -> tuple[str, ...]:
        shutil.rmtree(tmp_path / "w", ignore_errors=True)
        (tmp_path / "w" / "empty").mkdir(parents=True)
        for file in ("victim", "other"):
            (tmp_path / "w" / file).write_text("kept")
        (tmp_path / "w" / "victim").chmod(0o600)
        os.utime(tmp_path / "w" / "victim", (1000, 1000))
        return (name, *(str(tmp_path / "w" / n) for n in ("victim", ".", "empty", "other")))

    result = outcome(free((place.program, *words())))
    if result in SOMETIMES:
        pytest.skip(f"{name}: {os.strerror(result)} on this machine, also outside the sandbox")
    assert result == 0, "without a sandbox it must work"
    arguments = words()
    before = state(tmp_path / "w")
    assert caged_attempt(place, bounds_of(READ), *arguments) in REFUSED
    assert state(tmp_path / "w") == before


# -- secrets


def test_a_secret_is_not_opened_by_any_of_its_names(place: Place, tmp_path: Path) -> None:
    """Each name is another way to the same file; the mask is on the file's place, where all of them end."""
    secret = place.secret
    (tmp_path / "link").symlink_to(secret)
    (tmp_path / "up").symlink_to(secret.parent)
    chain = secret
    for n in range(10):
        (tmp_path / f"chain{n}").symlink_to(chain)
        chain = tmp_path / f"chain{n}"
    names = (
        str(secret),
        f"{secret.parent}/../{secret.parent.name}/./{secret.name}",
        f"/..//..{secret}",
        str(tmp_path / "link"),
        str(tmp_path / "up" / secret.name),
        str(chain),
        f"/proc/self/root{secret}",
        f"/proc/self/root/proc/self/root{secret}",
        f"/proc/thread-self/root{secret}",
        f"/proc/self/cwd{secret}",
    )
    for way in ("s_read", "s_openat2", "s_path_reopen"):
        for name in names:
            attempt(place, way, name)
    attempt(place, "s_directory", "x", str(secret.parent), secret.name)


def test_nor_through_a_process_that_has_it_open(place: Place) -> None:
    """Everything below /proc/PID that leads to the machine's own view, or to an open descriptor."""
    with place.secret.open() as held:
        fd = held.fileno()
        holder = subprocess.Popen(["/usr/bin/sleep", "300"], pass_fds=(fd,), cwd=place.secret.parent)
    try:
        for name in (
            f"/proc/{holder.pid}/fd/{fd}",
            f"/proc/{holder.pid}/root{place.secret}",
            f"/proc/{holder.pid}/cwd/{place.secret.name}",
            f"/proc/{holder.pid}/task/{holder.pid}/root{place.secret}",
        ):
            attempt(place, "s_read", name)
            attempt(place, "s_path_reopen", name)
    finally:
        holder.kill()
        holder.wait()


def test_nor_by_a_handle_by_unmounting_or_by_another_view(place: Place) -> None:
    secret = str(place.secret)
    attempt(place, "s_handle", secret)
    attempt(place, "s_namespace_first", secret, str(os.getpid()))
    attempt(place, "s_tree_first", "x", "/", secret.removeprefix("/"))
    assert caged_attempt(place, bounds_of(READ), "s_unmount_first", secret) in REFUSED
    kind, data = handle_of(place.secret)
    attempt(place, "s_handle_given", "x", str(kind), data.hex(), "/")


def handle_of(path: Path) -> tuple[int, bytes]:
    """A file handle as name_to_handle_at(2) gives it to whoever may ask."""

    class Handle(ctypes.Structure):
        _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_ubyte * 128))

    handle, mount = Handle(128), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0) == 0
    return handle.kind, bytes(handle.data[: handle.size])


# -- a second program


@pytest.mark.parametrize(
    "name",
    [
        "x_execve", "x_execve_bare", "x_execveat", "x_descriptor", "x_proc_descriptor", "x_memory", "x_fork", "x_vfork",
        "x_spawn", "x_system", "x_popen", "x_itself", "x_personality", "x_own_filter",
    ],
)  # fmt: skip
def test_nothing_else_is_executed(place: Place, name: str) -> None:
    attempt(place, name)


@pytest.mark.parametrize("name", ["x_loader", "x_loader_fork", "x_shell_loader"])
def test_the_loader_starts_nothing_that_may_be_read(place: Place, name: str) -> None:
    """Landlock has to let the loader be executed, and the shell be read: the filter alone is in the way."""
    loader = executables("/bin/sh")[-1]
    assert place.cage.run(("/usr/bin/cmp", "/bin/sh", "/bin/sh"), bounds_of(READ)) == Ended(0, "")
    attempt(place, name, loader)


def test_no_script_is_started(place: Place, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho escaped\n")
    script.chmod(0o755)
    attempt(place, "x_script", str(script))


# -- capabilities


def test_no_capability_is_held_or_comes_back(place: Place) -> None:
    allowed = {"dac_read_search"}
    assert set(bounds_of(READ).caps) == allowed
    for number, name in enumerate(kernel.CAPABILITIES):
        if HELD >> number & 1 and name not in allowed:
            attempt(place, "k_capability", str(number))
    assert caged_attempt(place, bounds_of(READ), "k_capabilities") in REFUSED
    attempt(place, "k_setuid")
    attempt(place, "k_groups")


# -- other processes


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's process, in a group of its own."""
    process = subprocess.Popen(
        ["/usr/bin/sleep", "300"], start_new_session=True, env={"MARK": SECRET}, stdin=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.wait()


def fresh() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/usr/bin/sleep", "300"], start_new_session=True)


SIGNALS = (
    "p_kill", "p_kill_group", "p_tkill", "p_tgkill", "p_queue", "p_pidfd_signal", "p_owner", "p_owner_ex",
    "p_owner_ioctl",
)  # fmt: skip


@pytest.mark.parametrize("name", SIGNALS)
def test_no_other_process_is_signalled(place: Place, other: subprocess.Popen[bytes], name: str) -> None:
    victim = fresh()
    assert outcome(free((place.program, name, str(victim.pid)))) == 0
    assert victim.wait(5) == -signal.SIGKILL, "without a sandbox it must work"
    assert caged_attempt(place, bounds_of(READ), name, str(other.pid)) in REFUSED
    assert other.poll() is None


LOOKS_INTO = ("p_attach", "p_seize", "p_readv", "p_writev", "p_getfd", "p_kcmp")


@pytest.mark.parametrize(
    "name",
    [
        *LOOKS_INTO, "p_memory", "p_limit", "p_affinity", "p_scheduler", "p_priority", "p_io_priority", "p_advise",
        "p_score",
    ],
)  # fmt: skip
def test_no_other_process_is_looked_into_or_slowed_down(
    place: Place, other: subprocess.Popen[bytes], name: str
) -> None:
    attempt(place, name, str(other.pid), *addresses(other.pid))


@pytest.mark.parametrize("line", ["lsof -nP -i :22", "ss -tlnp"])
@pytest.mark.parametrize("name", LOOKS_INTO)
def test_what_sees_all_processes_takes_hold_of_none(
    place: Place, other: subprocess.Popen[bytes], name: str, line: str
) -> None:
    """No Landlock domain binds these, and they may look: the filter alone stands before what is more than that."""
    attempt(place, name, str(other.pid), *addresses(other.pid), plan=bounds_of(line))


def addresses(pid: int) -> tuple[str, str]:
    """Where its program begins, and its stack: an address to read at, one to write at."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="ascii").splitlines()
    stack = next(line for line in maps if line.endswith("[stack]"))
    return maps[0].partition("-")[0], stack.partition("-")[0]


@pytest.mark.parametrize(
    "file", ["environ", "auxv", "maps", "smaps", "mem", "syscall", "stack", "pagemap", "personality", "io", "fdinfo/0"]
)
def test_no_other_process_s_inside_is_read(place: Place, other: subprocess.Popen[bytes], file: str) -> None:
    result = outcome(free((place.program, "p_proc", str(other.pid), "x", file)))
    if file == "mem":
        assert result == errno.EIO, "page 0 is mapped nowhere: opening it is what has to work"
    elif result:
        pytest.skip(f"/proc/PID/{file}: {os.strerror(result)} on this machine, also outside the sandbox")
    assert caged_attempt(place, bounds_of(READ), "p_proc", str(other.pid), "x", file) in REFUSED


@pytest.mark.parametrize("kind", ["mnt", "net", "uts", "ipc", "pid", "cgroup"])
def test_no_other_process_s_namespace_is_entered(place: Place, other: subprocess.Popen[bytes], kind: str) -> None:
    attempt(place, "p_namespace", str(other.pid), "x", kind)


# -- sockets


def test_no_socket_of_the_agent_is_reached(place: Place, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stream, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        stream.bind(str(tmp_path / "a"))
        stream.listen(8)
        notify.bind(str(tmp_path / "n"))
        attempt(place, "n_unix", str(tmp_path / "a"))
        attempt(place, "n_pair", str(tmp_path / "n"))
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0pact-{os.getpid()}")
        abstract.listen(8)
        attempt(place, "n_abstract", f"pact-{os.getpid()}")
        # With unix sockets granted, the abstract ones stay out of reach: Landlock knows these.
        attempt(place, "n_abstract", f"pact-{os.getpid()}", plan=bounds_of("id"))


def test_no_socket_is_inherited(place: Place) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = [place.program, "n_inherited"]
        done = subprocess.run(
            argv, pass_fds=(theirs.fileno(),), capture_output=True, text=True, timeout=20, check=False
        )
        assert "done" in done.stdout, "without a sandbox it must work"
    assert caged_attempt(place, bounds_of(READ), "n_inherited") in REFUSED


@pytest.mark.parametrize(
    "name",
    [
        "n_tcp", "n_udp", "n_udp_send", "n_fast_open", "n_listen", "n_bind", "n_multipath", "n_six", "n_raw",
        "n_packet", "n_crypto", "n_key", "n_audit", "n_link_down",
    ],
)  # fmt: skip
def test_no_network_is_reached(place: Place, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = (name, str(server.getsockname()[1]))
        result = outcome(free((place.program, *words)))
        if result in SOMETIMES:
            pytest.skip(f"{name}: {os.strerror(result)} on this machine, also outside the sandbox")
        assert result == 0, "without a sandbox it must work"
        assert caged_attempt(place, bounds_of(READ), *words) in REFUSED


@pytest.mark.parametrize("name", ["n_listen", "n_bind", "n_multipath", "n_raw", "n_packet", "n_link_down"])
def test_with_the_network_no_port_is_opened_and_nothing_listened_to(place: Place, name: str) -> None:
    attempt(place, name, "0", plan=bounds_of("ip addr"))


# -- the kernel


@pytest.mark.parametrize(
    "flag", ["20000", "2000000", "4000000", "8000000", "10000000", "20000000", "40000000"],
)  # fmt: skip
def test_no_namespace_is_made(place: Place, flag: str) -> None:
    """CLONE_NEW*: with a user namespace of its own a process would be root again."""
    attempt(place, "k_unshare", flag)
    attempt(place, "k_clone", flag)
    attempt(place, "k_clone3", flag, among=frozenset({errno.ENOSYS}))  # its flags lie where no filter looks


@pytest.mark.parametrize(
    "name",
    ["k_mount", "k_bind", "k_remount", "k_fsopen", "k_fspick", "k_open_tree", "k_open_tree_attr", "k_mount_setattr"],
)
def test_no_mount_is_made_or_changed(place: Place, tmp_path: Path, name: str) -> None:
    argv = (place.program, name, str(tmp_path))
    result = outcome(free(argv, within=("unshare", "--mount")))
    if result == errno.ENOSYS:
        pytest.skip(f"{name}: not known to this kernel: run on Linux 6.15 or later")
    assert result == 0, "without a sandbox it must work"
    assert caged_attempt(place, bounds_of(READ), name, str(tmp_path)) in REFUSED | {errno.ENOSYS}


KERNEL = (
    ("k_chroot", "/"),
    ("k_io_uring",),
    ("k_bpf",),
    ("k_key",),
    ("k_keyring",),
    ("k_perf",),
    ("k_userfaultfd",),
    ("k_ports",),
    ("k_hostname",),
    ("k_core",),
    ("k_modprobe",),
    ("k_sysrq",),
    ("k_device", "/dev/mem", "0"),
    ("k_device", "/dev/kmsg", "1"),
    ("k_device", "/dev/console", "1"),
    ("k_device", "/dev/ptmx", "2"),
    ("k_device", "/dev/fuse", "2"),
    ("k_device", "/dev/userfaultfd", "0"),
    ("k_device", "/proc/kcore", "0"),
    ("k_device", "/proc/self/mem", "2"),
    ("k_device", "/proc/self/uid_map", "1"),
    ("k_device", "/proc/sys/vm/drop_caches", "1"),
    ("k_device", "/sys/power/state", "1"),
    ("k_cgroup", "/sys/fs/cgroup/cgroup.procs"),
    ("k_score",),
    ("k_fanotify",),
    ("k_shm",),
    ("k_queue",),
    ("k_syslog",),
    ("k_module",),
    ("k_real_time",),
    ("k_nice",),
    ("f_quota",),
    ("k_i386",),
)


@pytest.mark.parametrize("words", KERNEL, ids=" ".join)
def test_nothing_of_the_kernel_is_changed(place: Place, words: tuple[str, ...]) -> None:
    result = outcome(free((place.program, *words)))
    if result in SOMETIMES | {errno.ENOENT, errno.ENXIO, errno.ENODEV}:
        pytest.skip(f"{' '.join(words)}: {os.strerror(result)} on this machine, also outside the sandbox")
    assert result == 0, "without a sandbox it must work"
    ended = place.cage.run((place.program, *words), bounds_of(READ))
    assert ended.status == 128 + signal.SIGSYS or outcome(ended) in REFUSED


@pytest.mark.parametrize(("name", "limit"), SETS.items())
def test_no_limit_is_raised(place: Place, name: str, limit: int) -> None:
    if not HELD >> kernel.CAPABILITIES.index("sys_resource") & 1:
        pytest.skip("the limits can't be raised outside either: needs CAP_SYS_RESOURCE")
    lowered = ("prlimit", f"--{name}=64:64", "--")
    assert outcome(free((place.program, "k_limit", str(limit)), within=lowered)) == 0
    plan = bounds_of(READ)
    assert caged_attempt(place, plan, "k_limit", str(limit)) in REFUSED


def test_memory_and_descriptors_end_somewhere(place: Place) -> None:
    plan = bounds_of(READ)
    attempt(place, "k_memory", str((plan.memory >> 20) + 64), among=frozenset({errno.ENOMEM}))
    assert caged_attempt(place, plan, "k_memory", str(plan.memory >> 21)) == 0
    assert caged_attempt(place, plan, "k_files", str(plan.open_files + 1)) == errno.EMFILE


@pytest.mark.parametrize("name", ["k_tty_type", "k_tty_discipline", "k_tty_console"])
def test_nothing_is_typed_into_its_terminal(place: Place, name: str) -> None:
    result = outcome(free_typed((place.program, name), ()))
    if result in SOMETIMES | {errno.EINVAL, errno.EBUSY}:
        pytest.skip(f"{name}: {os.strerror(result)} on this machine, also outside the sandbox")
    assert result == 0, "without a sandbox it must work"
    assert outcome(place.cage.typed((place.program, name), bounds_of(READ, ON_TERMINAL), ())) in REFUSED

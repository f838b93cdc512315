"""The root file system of a node: this machine's, with every change kept in memory.

Runs in a mount namespace of its own. The node sees this machine's files through
overlays whose upper layer is a tmpfs; /proc, /sys, /dev, /run and /tmp are the node's
own; kernel settings under /proc/sys are a copy, because the kernel has only one set of
them. The directory of the dev system is hidden but for the node's own part, as it holds
the keys of the certificate authority. Nothing here is undone on failure: the namespace
goes with its last process.

An overlay over `/` is not allowed in a user namespace, where other mounts are locked
beneath it; there each top-level directory gets one, and where that fails, a read-only view.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pactsh.dev import linux
from pactsh.dev.mounts import NOT_DATA, is_below, nearest_below, parse_mountinfo

Report = Callable[[str, OSError], None]

OWN = ("/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108  mount points, not files
ENTRIES_LIMIT = 512
UNUSUAL_ID = 2**32 - 2  # mapped in the first user namespace, and hardly in any other
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kmsg")
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
# What runc hides or makes read-only for the same reason: these reach the one kernel.
READ_ONLY_PROC = ("bus", "fs", "irq", "sysrq-trigger", "acpi", "scsi", "driver")
LIVE_SYSCTL = ("net", "kernel/random", "kernel/ns_last_pid")


@dataclass(slots=True)
class Root:
    """Builds the root of one node and enters it.

    `system` is the directory of the dev system, `node` the node's own part of it (shown
    read-write), `shared` the parts that all nodes may read, `code` the directories that
    programs are loaded from. `report` hears what could not be done.
    """

    system: str
    node: str
    shared: tuple[str, ...]
    code: tuple[str, ...]
    own_pids: bool
    report: Report
    _new: str = ""
    _upper: str = ""
    _layers: int = 0
    _mounts: tuple[str, ...] = ()
    _all: list[str] = field(default_factory=list)

    def enter(self, hostname: str) -> None:
        """Build the root and make it this process's; raises `OSError` when even a plain view fails."""
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = parse_mountinfo(file.read())
        self._all = [m.path for m in mounts]
        hidden = (*OWN, self.system)
        shown = tuple(
            m
            for m in mounts
            if m.kind not in NOT_DATA and m.path not in hidden and not any(is_below(m.path, h) for h in hidden)
        )
        self._mounts = tuple(m.path for m in shown)
        scratch = os.path.join(self.node, "root")
        os.makedirs(scratch, exist_ok=True)
        linux.mount("pact-dev", scratch, "tmpfs", linux.MS_NODEV, "mode=0755")
        self._new, self._upper = os.path.join(scratch, "new"), os.path.join(scratch, "layers")
        os.mkdir(self._new)
        os.mkdir(self._upper)
        self._base()
        self._own_directories()
        self._own_files()
        linux.pivot_root(self._new)
        self._sysctl()
        self._name(hostname)

    def _base(self) -> None:
        # pivot_root wants a mount, and a directory tree put together by hand is none yet.
        linux.bind(self._new, self._new)
        try:
            self._show("/")
        except OSError as error:
            self.report("overlay", error)
            linux.umount(self._new)
            linux.bind("/", self._new, recursive=True)
            linux.set_read_only(self._new)

    def _show(self, path: str) -> None:
        """Make what this machine has at `path` visible at the same place of the new root."""
        try:
            self._overlay(path)
        except OSError:
            if any(is_below(m, path) for m in self._all) and os.path.isdir(path):
                self._skeleton(path)
            else:
                self._bind_read_only(path)
            return
        for below in nearest_below(self._mounts, path):
            self._try_show(below)

    def _try_show(self, path: str) -> None:
        try:
            self._show(path)
        except OSError as error:
            # A directory that this user may not enter, a file system without the means:
            # the node then lacks it, which is safer than having it writable.
            if error.errno not in {errno.EACCES, errno.EPERM, errno.ENOENT}:
                self.report(f"view of {path}", error)

    def _overlay(self, path: str) -> None:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        self._layers += 1
        upper = os.path.join(self._upper, f"u{self._layers}")
        work = os.path.join(self._upper, f"w{self._layers}")
        os.mkdir(upper)
        os.mkdir(work)
        os.chmod(upper, stat.S_IMODE(os.stat(path).st_mode))
        options = f"lowerdir={_escaped(path)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
        if not linux.is_mapped("uid", UNUSUAL_ID):
            options += ",userxattr"  # trusted.* attributes are for the first user namespace alone
        linux.mount("overlay", self._new + path.rstrip("/"), "overlay", 0, options)

    def _skeleton(self, path: str) -> None:
        """A directory put together entry by entry, for one with mounts inside that are locked to it."""
        with os.scandir(path) as scan:
            entries = list(scan)
        if len(entries) > ENTRIES_LIMIT:
            self._bind_read_only(path)
            return
        for entry in entries:
            target = self._new + entry.path
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), target)
            elif entry.is_dir():
                os.mkdir(target)
                if entry.path not in OWN:
                    self._try_show(entry.path)
            elif entry.is_file():
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
                self._try_show(entry.path)
        os.chmod(self._new + path.rstrip("/"), stat.S_IMODE(os.stat(path).st_mode) | stat.S_IRWXU)

    def _bind_read_only(self, path: str) -> None:
        target = self._new + path
        linux.bind(path, target, recursive=True)
        linux.set_read_only(target)

    def _own_directories(self) -> None:
        new = self._new
        self._proc()
        self._attempt("own /sys", self._sys)
        for path, mode in (("/run", "0755"), ("/tmp", "1777")):  # noqa: S108  mount points, not files
            linux.mount("tmpfs", new + path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"mode={mode}")
        os.mkdir(f"{new}/run/lock")
        os.mkdir(f"{new}/run/pact")
        self._dev()

    def _proc(self) -> None:
        flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
        try:
            if not self.own_pids:
                raise OSError(errno.ENOTSUP, "no process namespace")
            linux.mount("proc", f"{self._new}/proc", "proc", flags)
        except OSError as error:
            if self.own_pids:
                self.report("own /proc", error)
            linux.bind("/proc", f"{self._new}/proc", recursive=True)

    def _sys(self) -> None:
        flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
        try:
            linux.mount("sysfs", f"{self._new}/sys", "sysfs", flags | linux.MS_RDONLY)
        except OSError:
            linux.bind("/sys", f"{self._new}/sys", recursive=True)
            linux.set_read_only(f"{self._new}/sys")
            raise

    def _dev(self) -> None:
        dev = f"{self._new}/dev"
        linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID, "mode=0755")
        for name in DEVICES:
            # Bound, not made: mknod is refused in a user namespace.
            if os.path.exists(f"/dev/{name}"):
                os.close(os.open(f"{dev}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
                linux.bind(f"/dev/{name}", f"{dev}/{name}")
        for name, to in LINKS.items():
            os.symlink(to, f"{dev}/{name}")
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(f"{dev}/{name}")
        self._attempt("terminals of its own", self._pts)
        linux.mount("tmpfs", f"{dev}/shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
        self._attempt("message queues", lambda: linux.mount("mqueue", f"{dev}/mqueue", "mqueue"))

    def _pts(self) -> None:
        pts = f"{self._new}/dev/pts"
        # The group tty, unless the user namespace has none.
        group = ",gid=5" if linux.is_mapped("gid", 5) else ""
        options = f"newinstance,ptmxmode=0666,mode=0620{group}"
        try:
            linux.mount("devpts", pts, "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, options)
        except OSError:
            linux.bind("/dev/pts", pts)
            raise

    def _own_files(self) -> None:
        """The dev system's directory, and code that the node's own directories would cover."""
        new = self._new
        os.makedirs(new + self.system, mode=0o755, exist_ok=True)
        code = [c for c in self.code if is_below(c, self.system)]
        linux.mount("tmpfs", new + self.system, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0711")
        os.makedirs(new + self.node)
        linux.bind(self.node, new + self.node)
        linux.bind(os.path.join(self.node, "run"), f"{new}/run/pact")
        covered = [c for c in self.code if any(is_below(c, o) for o in OWN)]
        for path in (*self.shared, *code, *covered):
            os.makedirs(new + path, exist_ok=True)
            linux.bind(path, new + path, recursive=True)
            linux.set_read_only(new + path)

    def _sysctl(self) -> None:
        """Replace /proc/sys by a copy, but for what belongs to this network namespace anyway."""
        real = "/run/.sysctl"
        os.mkdir(real)
        linux.bind("/proc/sys", real)
        linux.mount("sysctl", "/proc/sys", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, "mode=0555")
        copy_settings(real, "/proc/sys", skip=LIVE_SYSCTL)
        for name in LIVE_SYSCTL:
            source, target = f"{real}/{name}", f"/proc/sys/{name}"
            if not os.path.exists(source):
                continue
            if os.path.isdir(source):
                os.makedirs(target, exist_ok=True)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
            linux.bind(source, target)
            if name != "net":
                linux.set_read_only(target)
        linux.umount(real)
        os.rmdir(real)
        for name in READ_ONLY_PROC:
            if os.path.exists(f"/proc/{name}"):
                linux.bind(f"/proc/{name}", f"/proc/{name}")
                linux.set_read_only(f"/proc/{name}")

    def _name(self, hostname: str) -> None:
        hosts = f"127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        for path, text in (("/etc/hostname", f"{hostname}\n"), ("/etc/hosts", hosts)):
            try:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            except OSError:
                # In a user namespace the file is someone else's; one of our own covers it.
                self._attempt(path, partial(_cover, path, text))

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            self.report(what, error)


def copy_settings(source: str, target: str, *, skip: tuple[str, ...]) -> None:
    """Copy a tree of small files as /proc/sys is one; unreadable ones become empty, `skip` is left out."""
    left_out = {f"{source}/{name}" for name in skip}
    pending = [(source, target)]
    while pending:
        here, there = pending.pop()
        with os.scandir(here) as scan:
            for entry in scan:
                path, copy = entry.path, f"{there}/{entry.name}"
                if path in left_out:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    os.mkdir(copy, 0o755)
                    pending.append((path, copy))
                else:
                    _copy_file(path, copy, stat.S_IMODE(entry.stat().st_mode))


def _copy_file(source: str, target: str, mode: int) -> None:
    data = b""
    if mode & stat.S_IRUSR:
        try:
            file = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            file = -1
        if file >= 0:
            try:
                data = os.read(file, 1 << 16)
            except OSError:
                data = b""  # some answer only when a device is there
            finally:
                os.close(file)
    copy = os.open(target, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(copy, data)
        os.fchmod(copy, mode)
    finally:
        os.close(copy)


def _cover(path: str, text: str) -> None:
    own = f"/run/.{os.path.basename(path)}"
    with open(own, "w", encoding="utf-8") as file:
        file.write(text)
    linux.bind(own, path)
    os.unlink(own)


def _escaped(path: str) -> str:
    r"""A path inside overlayfs options, where `\`, `,` and `:` separate; mount(8)."""
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")

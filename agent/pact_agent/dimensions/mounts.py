"""What is mounted where. The kernel's list of mounts says when it changes (proc_pid_mountinfo(5)).

Keys are mount points, values `type=T source=S options=O`; what shows only a part of a file system has `root=R` as
well. Of several mounts on one place the last counts, as for whoever looks there. Nothing here looks at a mounted
directory: its server may be gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import re
import select
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator

from pact_agent import kernel
from pact_agent.aliases import Mount, parse_mounts
from pact_agent.dimensions import ApplyError, Holder, binding

_UMOUNT_NOFOLLOW = 8
_MOST_HOLDERS = 20
_VALUE = re.compile(r"type=(\S+) source=(\S*) options=(\S*)(?: root=(/\S+))?")
_KIND = re.compile(r"[a-z][a-z0-9_]*")
_MOUNT = ("/usr/bin/mount", "/bin/mount")

_libc = ctypes.CDLL(None, use_errno=True)


class Mounts:
    """The dimension; `proc` is where the kernel shows processes, this one's mounts among them."""

    name = "mounts"
    interval_s = 0.0
    lasting = False

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc

    def snapshot(self) -> dict[str, str]:
        """Every mount point but the root's, and what is mounted there.

        Not what users mount themselves (fuse): they say what its source is called, and mount(8) would run a helper
        on that, as root.
        """
        return {line.point: _value(line) for line in self._lines() if line.point != "/" and not _is_users(line.kind)}

    def _lines(self) -> tuple[Mount, ...]:
        with open(f"{self._proc}/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return parse_mounts(file.read())

    def apply(self, key: str, value: str | None) -> None:
        """Unmount, mount, or mount with other options. Raises `ApplyError`, with who holds a mount that is busy."""
        there = [line for line in self._lines() if line.point == key]
        if value is None:
            for _ in there:
                self._unmount(key)
            return
        wanted = _VALUE.fullmatch(value)
        if wanted is None:
            raise ApplyError(f"{key}: what is wanted there can't be read: {value[:200]}")
        kind, source, options, root = (_plain(part) for part in wanted.groups(""))
        if _is_users(kind) or not _KIND.fullmatch(kind):
            raise ApplyError(f"{key}: a file system of type {kind} is not mounted by pact")
        beneath = [_same_source(line, kind, source, root or "/") for line in there]
        while any(beneath) and not beneath[-1]:  # what was mounted over it goes; it stays, with what is in it
            self._unmount(key)
            beneath.pop()
            there.pop()
        is_it = any(beneath)
        if is_it and not root:
            _run("-o", f"remount,{options}", "--", key)
            return
        if not is_it:
            for _ in there:
                self._unmount(key)
        if not root:
            self._mount(kind, source, options, key)
            return
        if not is_it:
            binding.bind(self._lines(), kind, source, root, key)
        binding.reflag(options, key)

    def _mount(self, kind: str, source: str, options: str, key: str) -> None:
        """Mount at the place of that name and nowhere else, though somebody turns a directory above it into a link. A
        place that is not there is made, as systemd.mount(5) makes it."""
        try:
            _make_place(key)
            os.close(kernel.open_plainly(key))
        except OSError as error:
            why = "leads through a link" if error.errno == errno.ELOOP else os.strerror(error.errno or 0)
            raise ApplyError(f"{key}: {why}") from error
        before = Counter(line.point for line in self._lines())
        _run("-t", kind, "-o", options, "--", source, key)
        stray = [*(Counter(line.point for line in self._lines()) - before)]
        for point in stray:
            if point != key and not point.startswith(f"{key}/"):
                self._unmount(point)
                raise ApplyError(f"{key}: was mounted at {point} instead, which is undone")

    def _unmount(self, key: str) -> None:
        if _libc.umount2(os.fsencode(key), _UMOUNT_NOFOLLOW) == 0:
            return
        error = ctypes.get_errno()
        if error == errno.EBUSY:
            raise ApplyError(f"{key} is in use", tuple(self._holders(key)))
        if error not in {errno.EINVAL, errno.ENOENT}:  # it has gone meanwhile
            raise ApplyError(f"{key}: {os.strerror(error)}")

    def _holders(self, key: str) -> Iterator[Holder]:
        """Processes that stand in the mount, run from it or have something open there, and what is mounted below."""
        below = f"{key}/"
        found = 0
        for line in self._lines():
            if line.point.startswith(below):
                yield Holder(0, "a mount", line.point)
        for entry in sorted(name for name in os.listdir(self._proc) if name.isdecimal()):
            path = next((p for p in self._links(entry) if p == key or p.startswith(below)), None)
            if path is None:
                continue
            yield Holder(int(entry), self._command(entry), path)
            found += 1
            if found >= _MOST_HOLDERS:
                return

    def _links(self, entry: str) -> Iterator[str]:
        """Where a process stands and what it has open: the kernel's own words, which ask no file system."""
        places = [f"{self._proc}/{entry}/{name}" for name in ("cwd", "root", "exe")]
        with contextlib.suppress(OSError):
            places += [f"{self._proc}/{entry}/fd/{fd}" for fd in os.listdir(f"{self._proc}/{entry}/fd")]
        for place in places:
            with contextlib.suppress(OSError):
                yield os.readlink(place)
        with contextlib.suppress(OSError), open(f"{self._proc}/{entry}/maps", errors="replace") as maps:
            for line in maps:
                yield line.rstrip("\n")[73:]

    def _command(self, entry: str) -> str:
        with contextlib.suppress(OSError), open(f"{self._proc}/{entry}/comm", errors="replace") as file:
            return file.read().strip()
        return "?"

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Wake when the list changes."""
        loop = asyncio.get_running_loop()
        listed = os.open(f"{self._proc}/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        changed = select.epoll()
        changed.register(listed, select.EPOLLPRI | select.EPOLLERR)
        changed.poll(0)  # the first answer is about the time before

        def told() -> None:
            changed.poll(0)  # mostly nothing any more: that we were called is the news, and asking takes it back
            wake()

        def end() -> None:
            loop.remove_reader(changed.fileno())
            changed.close()
            os.close(listed)

        loop.add_reader(changed.fileno(), told)
        return end


def _make_place(path: str) -> None:
    """The directory, and those above it, where they are not there. Raises `OSError`."""
    try:
        os.close(kernel.open_plainly(path))
    except FileNotFoundError:
        above, _, name = path.rpartition("/")
        if not name:
            raise
        _make_place(above or "/")
        parent = kernel.open_plainly(above or "/")
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        finally:
            os.close(parent)


def _is_users(kind: str) -> bool:
    return kind.startswith("fuse")


def _value(line: Mount) -> str:
    root = "" if line.root == "/" else f" root={_escaped(line.root)}"
    own = [option for option in line.options.split(",") if option not in {"rw", "ro", ""}]
    options = ",".join([line.flags, *own])
    return f"type={line.kind} source={_escaped(line.source)} options={_escaped(options)}{root}"


def _escaped(text: str) -> str:
    r"""A word without blanks, as the kernel writes it in its list.

    >>> _escaped("a b")
    'a\\040b'
    """
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _same_source(line: Mount, kind: str, source: str, root: str) -> bool:
    return (_agreed(line.kind), line.source, line.root) == (_agreed(kind), source, root)


def _agreed(kind: str) -> str:
    """The kernel says nfs4 of what was mounted as nfs, once both sides have agreed on that version (nfs(5))."""
    return "nfs" if kind == "nfs4" else kind


def _run(*words: str) -> None:
    """mount(8), as network file systems need its helpers. Raises `ApplyError` with what it says."""
    program = next((path for path in _MOUNT if os.access(path, os.X_OK)), _MOUNT[0])
    try:
        done = subprocess.run(
            (program, "-n", *words), capture_output=True, timeout=45, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApplyError(f"mount: {error}") from error
    if done.returncode:
        raise ApplyError(done.stderr.decode(errors="replace").strip() or f"mount ended with {done.returncode}")

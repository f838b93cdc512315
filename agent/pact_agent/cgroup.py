"""A control group for each job, so that nothing a command starts gets away from its end.

A process leaves its process group, its session and its terminal as it likes; its control group it
leaves only by writing to a file that no contained process can open. cgroup.kill (cgroups(7), Linux
5.14) ends all of them at once. Only the second version's hierarchy is used, and no controller of it.
Where there is none to be had, `Groups` does nothing and the spawner goes by parents and process
groups alone. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time

_WAIT_S = 0.5


class Groups:
    """The groups of one spawner, below the group it runs in. `key` tells it from others on this machine."""

    def __init__(self, key: str, root: str | None = None) -> None:
        self._base = _base(f"pact-{hashlib.sha256(key.encode()).hexdigest()[:12]}", root)
        self._prefix = f"job-{os.getpid()}-"
        self._made = 0
        self._ending: list[str] = []

    @property
    def available(self) -> bool:
        """Whether jobs get groups here."""
        return bool(self._base)

    def make(self) -> str:
        """A new, empty group; "" where there are none. One that can't be made is no reason to run nothing."""
        if not self._base:
            return ""
        self._made += 1
        path = f"{self._base}/{self._prefix}{self._made}"
        try:
            os.mkdir(path, 0o700)
        except OSError:
            return ""
        return path

    def reclaim(self) -> None:
        """End what an earlier agent left behind when it was killed. Only for who holds this node's state: the
        groups of an agent that lives bear the same key."""
        for name in _directories(self._base):
            if not name.startswith(self._prefix):
                self.end(f"{self._base}/{name}")

    def kill(self, path: str) -> None:
        """Kill everything in the group."""
        if not path:
            return
        try:
            _write(f"{path}/cgroup.kill", b"1")
        except FileNotFoundError:
            for pid in _members(path):  # a kernel before 5.14: what forks meanwhile is found the next time
                _kill(pid)
        except OSError:
            pass

    def end(self, path: str) -> None:
        """Kill everything in the group and remove it, now or as soon as its last process is gone."""
        if path:
            self._ending.append(path)
        self.tidy()

    def tidy(self) -> None:
        """Remove the ended groups that are empty, as most are; kill what is in the others."""
        still: list[str] = []
        for path in self._ending:
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass
            except OSError:
                self.kill(path)
                still.append(path)
        self._ending = still

    def close(self) -> None:
        """End all groups of this spawner, and wait a moment for the kernel to let go of them."""
        if not self._base:
            return
        for name in _directories(self._base):
            if name.startswith(self._prefix):
                self.end(f"{self._base}/{name}")
        deadline = time.monotonic() + _WAIT_S
        while self._ending and time.monotonic() < deadline:
            time.sleep(0.005)
            self.tidy()
        try:
            os.rmdir(self._base)
        except OSError:
            pass  # someone is still in there: the next agent ends it


def enter(path: str) -> None:
    """Move this process into the group; raises `OSError`."""
    if path:
        _write(f"{path}/cgroup.procs", b"0")


def _base(name: str, root: str | None) -> str:
    """The directory for the groups, made below this process's own group; "" where that can't be."""
    place = root or _own()
    if not place:
        return ""
    path = f"{place}/{name}"
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        # Only where processes may be moved is it of use: a read-only mount says so here.
        os.close(os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return ""
    return path


def _own() -> str:
    """This process's group in the mounted hierarchy of version 2; "" without one."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            mine = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                if after.split(" ")[0] == "cgroup2":
                    root, mounted = before.split(" ")[3:5]
                    below = mine if root == "/" else mine.removeprefix(root)
                    return (mounted + below).rstrip("/") if mine else ""
    except OSError:
        pass
    return ""


def _directories(path: str) -> list[str]:
    if not path:
        return []
    try:
        return [entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _members(path: str) -> list[int]:
    try:
        with open(f"{path}/cgroup.procs", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)

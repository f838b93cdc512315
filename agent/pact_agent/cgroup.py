"""Control groups for each job: nothing that a command starts gets away from its end, or has the machine to itself.

A process leaves its process group, its session and its terminal as it likes; its control group it
leaves only by writing to a file that no contained process can open. cgroup.kill (cgroups(7), Linux
5.14) ends all of them at once. Root's uid is not bound by RLIMIT_NPROC, so the number of processes,
and where the kernel counts it the memory of all together, are bounded here. The second version's hierarchy is
used, and for the number of processes the first one's where that still has the controller. Where
there is none to be had, `Groups` does nothing and the spawner goes by parents and process groups
alone. Standard library only.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import time
from collections.abc import Iterator

from pact_agent.aliases import Mount, parse_mounts

PROCESSES, MEMORY = 512, 8 << 30
_WAIT_S = 0.5
# What systemd puts on the group of a unit with Delegate=yes (systemd.resource-control(5)): ours to divide.
_DELEGATED = ("user.delegate", "trusted.delegate")

Group = tuple[str, ...]
"""A job's directories, one in each hierarchy; empty where there is none."""


class Groups:
    """The groups of one spawner, below the group it runs in. `key` tells it from others on this machine."""

    def __init__(self, key: str, places: tuple[str, ...] | None = None) -> None:
        name = f"pact-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        own = _own() if places is None else places
        self._bases = tuple(base for base in (_base(place, name) for place in own) if base)
        self._prefix = f"job-{os.urandom(4).hex()}-"  # not the pid: the next agent may have the same
        self._made = 0
        self._ending: list[str] = []

    @property
    def available(self) -> bool:
        """Whether jobs get groups here."""
        return bool(self._bases)

    @property
    def bases(self) -> tuple[str, ...]:
        """The directories that the groups are made in, one in each hierarchy."""
        return self._bases

    @property
    def bounded(self) -> bool:
        """Whether the number of a job's processes is bounded."""
        return any(os.path.exists(f"{base}/pids.max") for base in self._bases)

    def make(self) -> Group:
        """A new, empty group with the usual limits. One that can't be made is no reason to run nothing."""
        self._made += 1
        made: list[str] = []
        for base in self._bases:
            path = f"{base}/{self._prefix}{self._made}"
            try:
                os.mkdir(path, 0o700)
            except OSError:
                continue  # the memory or the number of groups is used up; the other hierarchy may have room
            made.append(path)
        self.limit(tuple(made), PROCESSES, MEMORY)
        return tuple(made)

    def limit(self, group: Group, processes: int, memory: int) -> None:
        """Bound what is in the group; where the kernel doesn't count it there, it isn't."""
        for path in group:
            for name, value in (("pids.max", processes), ("memory.max", memory), ("memory.swap.max", 0)):
                try:
                    _write(f"{path}/{name}", b"%d" % value)
                except OSError:
                    pass  # that controller is not in this hierarchy

    def reclaim(self) -> None:
        """End what an earlier agent left behind when it was killed. Only for who holds this node's state: the
        groups of an agent that lives bear the same key."""
        for path in self._jobs():
            if not os.path.basename(path).startswith(self._prefix):
                self.end((path,))

    def kill(self, group: Group) -> None:
        """Kill everything in the group."""
        for path in group:
            try:
                _write(f"{path}/cgroup.kill", b"1")
            except FileNotFoundError:
                for pid in _members(path):  # an older kernel or hierarchy: what forks meanwhile is found the next time
                    _kill(pid)
            except OSError:
                pass

    def end(self, group: Group) -> None:
        """Kill everything in the group and remove it, now or as soon as its last process is gone."""
        self._ending += group
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
                self.kill((path,))
                still.append(path)
        self._ending = still

    def close(self) -> None:
        """End all groups of this spawner, and wait a moment for the kernel to let go of them."""
        for path in self._jobs():
            if os.path.basename(path).startswith(self._prefix):
                self.end((path,))
        deadline = time.monotonic() + _WAIT_S
        while self._ending and time.monotonic() < deadline:
            time.sleep(0.005)
            self.tidy()
        for base in self._bases:
            try:
                os.rmdir(base)
            except OSError:
                pass  # someone is still in there: the next agent ends it

    def _jobs(self) -> Iterator[str]:
        for base in self._bases:
            try:
                names = [entry.name for entry in os.scandir(base) if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            yield from (f"{base}/{name}" for name in names)


def enter(group: Group) -> None:
    """Move this process into the group; raises `OSError`."""
    for path in group:
        _write(f"{path}/cgroup.procs", b"0")


def _base(place: str, name: str) -> str:
    """The directory for the groups, made below this process's own group `place`; "" where that can't be."""
    path = f"{place}/{name}"
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        # Only where processes may be moved is it of use: a read-only mount says so here.
        os.close(os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return ""
    _divide(place, path)
    return path


def _divide(place: str, base: str) -> None:
    """Have the second version's controllers count for our groups, where `place` is ours to divide.

    A group that is divided holds no processes of its own (cgroups(7), "no internal processes"), so the agent and
    this process move into one beside the jobs'.
    """
    try:
        with open(f"{place}/cgroup.controllers", encoding="ascii") as file:
            wanted = [f"+{name}" for name in ("pids", "memory") if name in file.read().split()]
    except OSError:
        return  # the first version's
    if not wanted or not _is_delegated(place):
        return
    try:
        try:
            _write(f"{place}/cgroup.subtree_control", " ".join(wanted).encode())
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            os.makedirs(f"{place}/pact-agent", 0o755, exist_ok=True)
            for pid in (os.getppid(), os.getpid()):
                _write(f"{place}/pact-agent/cgroup.procs", b"%d" % pid)
            _write(f"{place}/cgroup.subtree_control", " ".join(wanted).encode())
        _write(f"{base}/cgroup.subtree_control", " ".join(wanted).encode())
    except OSError:
        pass  # then nothing is counted, as `pact cap` says


def _is_delegated(place: str) -> bool:
    for name in _DELEGATED:
        try:
            if os.getxattr(place, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _own() -> tuple[str, ...]:
    """This process's groups: in the second version's hierarchy, and in the first one's that counts processes."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            mine = [line.rstrip("\n").split(":", 2) for line in file]
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            mounts = parse_mounts(file.read())
    except OSError:
        return ()
    second = next((path for _, kinds, path in mine if not kinds), "")
    first = next((path for _, kinds, path in mine if "pids" in kinds.split(",")), "")
    found = [
        _shown([mount for mount in mounts if mount.kind == "cgroup2"], second),
        _shown([mount for mount in mounts if mount.kind == "cgroup" and "pids" in mount.options.split(",")], first),
    ]
    return tuple(place for place in found if place)


def _shown(mounts: list[Mount], group: str) -> str:
    """Where `group` of a hierarchy is seen; "" if it isn't mounted."""
    for mount in mounts:
        if group == mount.root or group.startswith(mount.root.rstrip("/") + "/"):
            return mount.point + group[len(mount.root.rstrip("/")) :].rstrip("/")
    return ""


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

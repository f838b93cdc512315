"""The holder of one service: a small process that starts it, keeps what it says, and tells how it ended.

It has nothing to do with the agent once the service runs, so that the agent may end, crash and be replaced without the
service noticing. It is single-threaded, takes in every process that the service leaves behind, and ends after the last
of them. Run as a program with the service's directory as its argument and a `Spec` (JSON) on its input; it says
`started` or `failed WHY` on its output. SIGTERM has it stop the service. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any

from pact_agent import kernel

STATE, LOCK, LOG = "state.json", "lock", "log"
_CHUNK_BYTES, _LONGEST_LINE = 64 << 10, 16 << 10
_MOST_CHUNKS = 16
_AGAIN_S = 0.05  # what was killed and is not gone yet
_REST_S = 2.0  # for what the service leaves behind, before it is killed
Spec = dict[str, Any]


class Log:
    """What the service says: each line with its time, in `files` files of `most` bytes; the newest has no number."""

    def __init__(self, path: str, most: int, files: int) -> None:
        self._path, self._most, self._files = path, most, files
        self._rest = b""
        self._fd, self._size = -1, 0
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(OSError):  # a full disk costs lines, and not the service
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._size = os.fstat(self._fd).st_size

    def write(self, data: bytes) -> None:
        """Take what was read."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]
        if not lines:
            return
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ ").encode()
        stamped = [stamp + line + b"\n" for line in lines]
        whole = sum(map(len, stamped))
        for piece in [b"".join(stamped)] if self._size + whole <= self._most else stamped:
            self._append(piece)

    def close(self) -> None:
        """Write what had no end of its own."""
        if self._rest:
            self.write(b"\n")

    def _append(self, line: bytes) -> None:
        if self._size and self._size + len(line) > self._most:
            self._rotate()
        if self._fd < 0:
            self._open()
        with contextlib.suppress(OSError):
            self._size += os.write(self._fd, line)

    def _rotate(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size = -1, 0
        with contextlib.suppress(OSError):
            if self._files == 1:
                os.unlink(self._path)
            for number in range(self._files - 1, 0, -1):
                newer = self._path if number == 1 else f"{self._path}.{number - 1}"
                if os.path.exists(newer):
                    os.replace(newer, f"{self._path}.{number}")
        self._open()


class Holder:
    """One run of a service."""

    def __init__(self, directory: str, spec: Spec) -> None:
        self._directory, self._spec = directory, spec
        self._main = 0
        self._status: int | None = None  # a wait status
        self._asked = self._killing = False
        self._kill_at = float("inf")
        self._state: dict[str, Any] = {}

    def run(self) -> int:
        """Start it and see it through."""
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is something to stop
        said, saying = os.pipe2(os.O_CLOEXEC)
        log = Log(f"{self._directory}/{LOG}", self._spec["max_bytes"], self._spec["files"])
        if problem := self._start(saying):
            self._take_groups_away()
            _tell(f"failed {problem}")
            return 1
        os.close(saying)
        os.set_blocking(said, False)
        self._keep()
        _tell("started")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self._serve(said, wake, log)
        log.close()
        self._end()
        return 0

    # -- the service's own process

    def _start(self, saying: int) -> str:
        """Fork and execute it; gives what went wrong."""
        failed, failing = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self._main = os.fork()
        if self._main == 0:
            try:
                self._become(saying, parent)
            except OSError as error:
                os.write(failing, f"{error.filename or self._spec['command'][0]}: {error.strerror}".encode())
            finally:
                os._exit(127)
        os.close(failing)
        problem = b""
        while data := os.read(failed, 4096):
            problem += data
        os.close(failed)
        if problem:
            os.waitpid(self._main, 0)
        return problem.decode("utf-8", "replace")

    def _become(self, saying: int, parent: int) -> None:
        spec = self._spec
        os.setsid()
        for path in spec["groups"]:
            with contextlib.suppress(OSError), open(f"{path}/cgroup.procs", "wb", buffering=0) as file:
                file.write(b"0")
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"0")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(saying, 1)
        os.dup2(saying, 2)
        os.umask(0o022)
        if spec["gids"] is not None:
            os.setgroups(spec["gids"])
            os.setresgid(spec["gid"], spec["gid"], spec["gid"])
            os.setresuid(spec["uid"], spec["uid"], spec["uid"])
        # After the change of identity, which clears it: what holds it is what it ends with.
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)
        os.chdir(spec["directory"])
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(spec["command"][0], spec["command"], spec["environment"])  # noqa: S606  argv, no shell

    # -- while it runs

    def _serve(self, said: int, wake: int, log: Log) -> None:
        poller = select.poll()
        poller.register(said, select.POLLIN)
        poller.register(wake, select.POLLIN)
        while True:
            for fd, _ in poller.poll(self._wait_ms()):
                if fd == wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 4096)
                elif not _drain(said, log):
                    poller.unregister(said)
            if not self._reap():
                _drain(said, log)
                return
            if time.monotonic() >= self._kill_at:
                self._kill_all()

    def _wait_ms(self) -> float | None:
        if self._kill_at == float("inf"):
            return None
        return max(1.0, (self._kill_at - time.monotonic()) * 1000)

    def _reap(self) -> bool:
        """Take in what has ended; false once nothing is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._main:
                self._status = status
                if not self._killing:  # what it leaves behind is asked to end, then killed
                    for child in descendants(os.getpid()):
                        _signal(child, signal.SIGTERM)
                    self._kill_at = min(self._kill_at, time.monotonic() + _REST_S)

    def _stop(self, *_: object) -> None:
        if self._asked:
            return
        self._asked = True
        self._kill_at = min(self._kill_at, time.monotonic() + self._spec["stop_timeout_s"])
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._main, self._spec["stop_signal"])

    def _kill_all(self) -> None:
        """Kill all that is left, and look again: what forks meanwhile is found the next time."""
        self._killing = True
        for path in self._spec["groups"]:
            with contextlib.suppress(OSError), open(f"{path}/cgroup.kill", "wb", buffering=0) as file:
                file.write(b"1")
        for child in descendants(os.getpid()):
            _signal(child, signal.SIGKILL)
        self._kill_at = time.monotonic() + _AGAIN_S

    # -- on disk

    def _keep(self) -> None:
        """Write down what the next agent has to know."""
        pid = os.getpid()
        self._state = {
            "holder": pid, "holder_began": began(pid), "pid": self._main, "began": began(self._main),
            "digest": self._spec["digest"], "boot": self._spec["boot"], "groups": self._spec["groups"],
            "restarts": self._spec["restarts"], "monotonic": time.monotonic(), "ended": None,
        }  # fmt: skip
        self._write()

    def _end(self) -> None:
        code = os.waitstatus_to_exitcode(self._status or 0)
        ended = {"status": code if code >= 0 else None, "signal": -code if code < 0 else None, "asked": self._asked}
        self._state["ended"] = {**ended, "lasted_s": time.monotonic() - self._state["monotonic"]}
        self._write()
        self._take_groups_away()

    def _take_groups_away(self) -> None:
        for path in self._spec["groups"]:
            with contextlib.suppress(OSError):
                os.rmdir(path)

    def _write(self) -> None:
        path = f"{self._directory}/{STATE}"
        with contextlib.suppress(OSError):  # a full disk: the agent goes by what it sees
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                json.dump(self._state, file)
            os.replace(f"{path}.new", path)


def began(pid: int) -> int:
    """When a process began, in ticks since the boot: with its number, what tells it from any other. 0: not there."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def descendants(pid: int) -> list[int]:
    """All processes that come from `pid` and are not dead, children first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))) and fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    left = [pid]
    while left:
        own = children.get(left.pop(), [])
        found += own
        left += own
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5)); none when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _drain(said: int, log: Log) -> bool:
    """Read what there is; false at the end of it."""
    for _ in range(_MOST_CHUNKS):  # there is more to do than to listen to one that says a lot
        try:
            data = os.read(said, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        log.write(data)
    return True


def _tell(text: str) -> None:
    """Say it to who started us, who then hears no more of us."""
    with contextlib.suppress(OSError):
        os.write(1, text.encode("utf-8", "replace") + b"\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1):
        os.dup2(nothing, target)


def main() -> int:
    """Hold one service: argv[1] is its directory."""
    directory = sys.argv[1]
    spec: Spec = json.loads(sys.stdin.buffer.read())
    lock = os.open(f"{directory}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        _tell("failed it is held already" if error.errno == errno.EWOULDBLOCK else f"failed {error.strerror}")
        return 1
    return Holder(directory, spec).run()

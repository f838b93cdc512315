"""The spawner: a small single-threaded process that forks, sandboxes and execs (DESIGN.md section 3).

Run as a program with a connected socket as descriptor 3. It imports nothing but the
standard library, all of it at the start (a child may no longer see the interpreter's
files), holds no state but its children, and ends, killing them, when the agent's end of
the socket closes. Protocol: docs/internals.md section 4.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
from typing import Any

from pact_agent import cgroup, kernel, masks, sandbox
from pact_agent.child import HELD, exit_status, receive, send_request, serve
from pact_agent.sandbox import Kernel, executables

_MAX_FRAME = 4 << 20
_WARM = 2
_SHORTAGE_PAUSE_MS = 500


class Warm:
    """A child that waits for a job: what was true when it was forked, and the ways to it."""

    __slots__ = ("group", "link", "pid", "report", "view")

    def __init__(self, pid: int, link: socket.socket, report: int, view: tuple[int, int], group: cgroup.Group) -> None:
        self.pid, self.link, self.report, self.view, self.group = pid, link, report, view, group


class Job:
    """A running job: its first process, which leads its process group, and its control group."""

    __slots__ = ("group", "number", "pid", "report")

    def __init__(self, number: int, pid: int, report: int, group: cgroup.Group) -> None:
        self.number, self.pid, self.report, self.group = number, pid, report, group


class Spawner:
    """The main loop: requests from the agent, children's ends."""

    def __init__(self, link: socket.socket, scratch: str, secrets: tuple[str, ...]) -> None:
        self._link = link
        self._scratch, self._secrets = scratch, masks.SecretPaths(secrets)
        self._pid = os.getpid()
        self._tried = -1
        self._generation = 0
        self._warm: list[Warm] = []
        self._programs: dict[str, tuple[tuple[int, int, int], tuple[str, ...]]] = {}
        self._mounts = select.poll()
        self._mounts.register(os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC), select.POLLPRI)
        self._groups = cgroup.Groups(scratch)
        self._features = Kernel()
        self._features.cgroups, self._features.bounded = self._groups.available, self._groups.bounded
        self._jobs: dict[int, Job] = {}
        self._buffer = b""
        self._fds: list[int] = []

    def run(self) -> None:
        """Serve until the agent goes away."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        self._refresh_masks()
        self._send({"ev": "ready", "kernel": self._features.to_json()})
        poller = select.poll()
        poller.register(self._link, select.POLLIN)
        poller.register(wake_read, select.POLLIN)
        pause_ms = 0
        while True:
            ready = poller.poll(pause_ms if len(self._warm) < _WARM else None)
            if not ready:
                pause_ms = 0 if self._stock() else _SHORTAGE_PAUSE_MS
            for fd, _ in ready:
                if fd == wake_read:
                    _drain(wake_read)
                elif not self._receive():
                    self._kill_all()
                    return
            self._reap()

    # -- the agent's side

    def _receive(self) -> bool:
        try:
            data, fds = receive(self._link)
        except ConnectionResetError:
            return False
        if not data:
            return False
        self._buffer += data
        self._fds += fds
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">I", self._buffer)
            if length > _MAX_FRAME:
                return False
            if len(self._buffer) < 4 + length:
                break
            request = json.loads(self._buffer[4 : 4 + length])
            self._buffer = self._buffer[4 + length :]
            count = int(request.get("fds", 0))
            mine, self._fds = self._fds[:count], self._fds[count:]
            try:
                self._handle(request, mine)
            finally:
                for fd in mine:
                    os.close(fd)
        return True

    def _handle(self, request: dict[str, Any], fds: list[int]) -> None:
        number = int(request["id"])
        if request["op"] == "kill":
            job = self._jobs.get(number)
            if job is not None:
                _kill(job.pid, getattr(signal, "SIG" + str(request["sig"])))
                if request["sig"] == "KILL":
                    self._groups.kill(job.group)
        elif request["op"] == "reclaim":
            self._groups.reclaim()
        elif request["op"] == "spawn":
            try:
                self._refresh_masks()
                self._spawn(number, request, fds)
            except OSError as error:
                self._send({"ev": "failed", "id": number, "error": str(error)})

    def _send(self, event: dict[str, Any]) -> None:
        data = json.dumps(event).encode()
        try:
            self._link.sendall(struct.pack(">I", len(data)) + data)
        except OSError:
            self._kill_all()
            os._exit(1)

    def _refresh_masks(self) -> None:
        """Build the masked namespace, and again when a secret has appeared since."""
        features, secrets = self._features, self._secrets.current()
        if not features.root or self._secrets.generation == self._tried:
            return
        self._tried = self._secrets.generation
        try:
            fd = masks.build(secrets, self._scratch)
        except OSError as error:
            features.masks_error = str(error)
            if features.masks_fd >= 0:  # masks work here, so a secret without one is no state to run commands in
                self._tried = -1
                raise
            return
        if features.masks_fd >= 0:
            os.close(features.masks_fd)
        features.masks_fd, features.masked, features.masks_error = fd, secrets, ""
        self._generation += 1

    def _view(self) -> tuple[int, int]:
        """What a warm child's preparation depends on: the masks, the mounts and the top directory."""
        if self._mounts.poll(0):
            with open("/proc/self/mountinfo", "rb") as file:
                file.read()
            self._generation += 1
        return self._generation, os.stat("/").st_mtime_ns

    # -- children

    def _stock(self) -> bool:
        """Fork one child to wait; False when the system has no process or descriptor to spare just now."""
        try:
            self._warm.append(self._fork())
        except OSError:
            return False
        return True

    def _fork(self) -> Warm:
        view, group = self._view(), self._groups.make()
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._groups.end, group)
            report_read, report_write = os.pipe()
            cleanup.callback(os.close, report_read)
            cleanup.callback(os.close, report_write)
            ours, theirs = (cleanup.enter_context(end) for end in socket.socketpair())
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
            try:
                pid = os.fork()
            finally:
                if os.getpid() == self._pid:
                    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            cleanup.pop_all()
        if pid == 0:
            self._link.close()
            ours.close()
            os.close(report_read)
            for other in self._warm:
                other.link.close()
            serve(theirs, report_write, self._features, group)
        theirs.close()
        os.close(report_write)
        return Warm(pid, ours, report_read, view, group)

    def _executables(self, path: str) -> tuple[str, ...]:
        """`sandbox.executables`, remembered for as long as the file stays the same."""
        try:
            info = os.stat(path)
        except OSError:
            return (path,)
        key = (info.st_dev, info.st_ino, info.st_mtime_ns)
        known = self._programs.get(path)
        if known is None or known[0] != key:
            known = self._programs[path] = (key, executables(path))
        return known[1]

    def _spawn(self, number: int, request: dict[str, Any], fds: list[int]) -> None:
        """Hand the job to a warm child whose preparation still holds, or to a fresh one."""
        for stage in request["stages"]:
            stage["programs"] = self._executables(stage["path"])
        view, data = self._view(), json.dumps(request).encode()
        while True:
            warm = self._warm.pop(0) if self._warm else None
            child = warm or self._fork()
            try:
                if warm is not None and warm.view != view:
                    raise BrokenPipeError
                send_request(child.link, data, fds)
            except (BrokenPipeError, ConnectionResetError):
                self._discard(child)
                if warm is None:
                    raise
                continue
            child.link.close()
            self._limit(child.group, request["stages"])
            self._jobs[number] = Job(number, child.pid, child.report, child.group)
            self._send({"ev": "started", "id": number, "pid": child.pid})
            return

    def _limit(self, group: cgroup.Group, stages: list[dict[str, Any]]) -> None:
        """The limits of a job's plans, where they are not those that its group has already."""
        processes = max(stage["plan"]["processes"] for stage in stages)
        memory = max(stage["plan"]["memory"] for stage in stages)
        if (processes, memory) != (cgroup.PROCESSES, cgroup.MEMORY):
            self._groups.limit(group, processes, memory)

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            job = next((j for j in self._jobs.values() if j.pid == ended.si_pid), None)
            if job is not None:
                _kill(job.pid, signal.SIGKILL)  # what it left behind in its group, before its id can be reused
            _, status, usage = os.wait4(ended.si_pid, 0)
            if job is not None:
                self._finish(job, status, usage)
            elif all(warm.pid != ended.si_pid for warm in self._warm):
                self._kill_orphans()  # it was one, and its own children have come here now

    def _finish(self, job: Job, status: int, usage: resource.struct_rusage) -> None:
        del self._jobs[job.number]
        self._groups.end(job.group)
        self._kill_orphans()
        os.set_blocking(job.report, False)
        try:
            text = os.read(job.report, 65536).decode(errors="replace")
        except BlockingIOError:
            text = ""
        os.close(job.report)
        errors = [line[1:] for line in text.splitlines() if line.startswith("E")]
        statuses = [int(line[1:]) for line in text.splitlines() if line.startswith("S")] or [exit_status(status)]
        used = {"user_s": usage.ru_utime, "system_s": usage.ru_stime, "max_rss_kb": usage.ru_maxrss}
        self._send({"ev": "exited", "id": job.number, "statuses": statuses, "errors": errors, "rusage": used})

    def _kill_orphans(self) -> None:
        """Children that no request asked for are what a command left behind in a session of its own: a
        command outlives nothing. They were reparented to this process, the subreaper (prctl(2))."""
        leaders = {job.pid for job in self._jobs.values()} | {warm.pid for warm in self._warm}
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
                children = {int(word) for word in file.read().split()}
        except OSError:
            return  # a kernel without CONFIG_PROC_CHILDREN: the group kill has to do
        for pid in children - leaders:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _kill_all(self) -> None:
        for job in self._jobs.values():
            _kill(job.pid, signal.SIGKILL)
        self._groups.close()

    def _discard(self, child: Warm) -> None:
        """A warm child ends by itself when its link closes; it is reaped like any other."""
        child.link.close()
        os.close(child.report)
        self._groups.end(child.group)


def _drain(fd: int) -> None:
    try:
        os.read(fd, 4096)
    except BlockingIOError:
        pass


def _kill(leader: int, number: int) -> None:
    """Signal a job that has not been waited for; before it has called setsid(2) there is no group yet."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        os.kill(leader, number)


def main() -> None:
    """Entry point: `spawner.py SCRATCH [SECRET …]` with the agent's socket on descriptor 3."""
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))  # whatever the agent's own parent left open is no command's business
    link = socket.socket(fileno=3)
    link.set_inheritable(False)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    sandbox.prepare_spawner()
    gc.disable()  # there are no cycles here, and each collection would cost the children page copies
    gc.freeze()
    Spawner(link, sys.argv[1], tuple(sys.argv[2:])).run()


if __name__ == "__main__":
    main()

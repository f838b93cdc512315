"""The spawner: a small single-threaded process that forks, sandboxes and execs (DESIGN.md section 3).

Run as a program with a connected socket as descriptor 3. It imports nothing but the
standard library, all of it at the start (a child may no longer see the interpreter's
files), holds no state but its children, and ends, killing them, when the agent's end of
the socket closes. Protocol: docs/internals.md section 4.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import termios
import time
from typing import Any

from pact_agent import kernel, masks, sandbox, seccomp
from pact_agent.sandbox import Kernel, Plan

_MAX_FRAME = 4 << 20
_MASKS_CHECK_S = 1.0
_RESET = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGCHLD,
    signal.SIGXFSZ,
)
NULL, PIPE = -2, -1


class Job:
    """A running job: its process group and, for a single stage, when it began."""

    __slots__ = ("number", "pid", "report")

    def __init__(self, number: int, pid: int, report: int) -> None:
        self.number, self.pid, self.report = number, pid, report


class Spawner:
    """The main loop: requests from the agent, children's ends."""

    def __init__(self, link: socket.socket, scratch: str, secrets: tuple[str, ...]) -> None:
        self._link = link
        self._scratch, self._secrets = scratch, secrets
        self._features = Kernel()
        self._jobs: dict[int, Job] = {}
        self._buffer = b""
        self._fds: list[int] = []
        self._masks_checked = 0.0

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
        while True:
            for fd, _ in poller.poll():
                if fd == wake_read:
                    try:
                        os.read(wake_read, 4096)
                    except BlockingIOError:
                        pass
                elif not self._receive():
                    self._kill_all()
                    return
            self._reap()

    # -- the agent's side

    def _receive(self) -> bool:
        try:
            data, fds, _, _ = socket.recv_fds(self._link, 1 << 16, 64, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return False
        if not data:
            return False
        self._buffer += data
        self._fds += fds
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">I", self._buffer)
            if length > _MAX_FRAME or len(self._buffer) < 4 + length:
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
        elif request["op"] == "spawn":
            self._refresh_masks()
            try:
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
        now = time.monotonic()
        if now - self._masks_checked < _MASKS_CHECK_S:
            return
        self._masks_checked = now
        features, secrets = self._features, masks.present(self._secrets)
        if not features.root or (features.masks_fd >= 0 and secrets == features.masked):
            return
        try:
            fd = masks.build(secrets, self._scratch)
        except OSError as error:
            features.masks_error = str(error)
            return
        if features.masks_fd >= 0:
            os.close(features.masks_fd)
        features.masks_fd, features.masked, features.masks_error = fd, secrets, ""

    # -- children

    def _spawn(self, number: int, request: dict[str, Any], fds: list[int]) -> None:
        report_read, report_write = os.pipe()
        stages = request["stages"]
        pid = os.fork()
        if pid == 0:
            status = 126
            try:
                os.close(report_read)
                self._link.close()
                _become_leader(request, fds)
                if len(stages) == 1:
                    _run_stage(stages[0], fds, self._features, report_write)
                else:
                    status = _lead(stages, fds, self._features, report_write)
            except Exception as error:  # noqa: BLE001  top of a process: say it, never return into the loop
                _report_failure(report_write, error)
            finally:
                os._exit(status)
        os.close(report_write)
        self._jobs[number] = Job(number, pid, report_read)
        self._send({"ev": "started", "id": number, "pid": pid})

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

    def _finish(self, job: Job, status: int, usage: resource.struct_rusage) -> None:
        del self._jobs[job.number]
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
        leaders = {job.pid for job in self._jobs.values()}
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


def _report_failure(report: int, error: Exception) -> None:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    line = f"{where.tb_frame.f_code.co_name}:{where.tb_lineno}" if where is not None else "?"
    os.write(report, f"E{type(error).__name__} in {line}: {error}\n".encode())


def exit_status(status: int) -> int:
    """A wait status as a shell tells it: the exit code, or 128 plus the signal's number."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _kill(leader: int, number: int) -> None:
    """Signal a job that has not been waited for; before it has called setsid(2) there is no group yet."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        os.kill(leader, number)


def _become_leader(request: dict[str, Any], fds: list[int]) -> None:
    """A session and process group of its own; the terminal, if any, becomes its controlling one."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    tty = request.get("tty")
    if tty is not None:
        fcntl.ioctl(fds[int(tty)], termios.TIOCSCTTY, 0)


def _lead(stages: list[dict[str, Any]], fds: list[int], features: Kernel, report: int) -> int:
    """Run the stages of a pipeline, wait for all, report each status; this process only waits."""
    pids: list[int] = []
    before = -1
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    for index, stage in enumerate(stages):
        last = index == len(stages) - 1
        read_end, write_end = (-1, -1) if last else os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                if read_end >= 0:
                    os.close(read_end)
                _run_stage(stage, fds, features, report, before, write_end)
            except Exception as error:  # noqa: BLE001  top of a process, as in `_spawn`
                _report_failure(report, error)
            finally:
                os._exit(126)
        pids.append(pid)
        for fd in (before, write_end):
            if fd >= 0:
                os.close(fd)
        before = read_end
    for fd in {*fds, 0, 1, 2} - {report}:
        try:
            os.close(fd)
        except OSError:
            pass
    statuses: dict[int, int] = {}
    while len(statuses) < len(pids):
        pid, status = os.wait()
        if pid in pids:
            statuses[pid] = exit_status(status)
    for pid in pids:
        os.write(report, f"S{statuses[pid]}\n".encode())
    return 0


def _run_stage(
    stage: dict[str, Any], fds: list[int], features: Kernel, report: int, before: int = -1, after: int = -1
) -> None:
    """In the stage's own process: descriptors, sandbox, exec. Returns only by raising `OSError`."""
    for number in _RESET:
        signal.signal(number, signal.SIG_DFL)
    plan = Plan.from_json(stage["plan"])
    sandbox.bound(plan, features)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of identity has cleared it
    _standard(stage["stdio"], fds, before, after)
    keep = {int(target): fds[index] for target, index in stage.get("keep", {}).items()}
    report = _above(report, 64)
    for target, fd in keep.items():
        os.dup2(fd, target, inheritable=True)
    _fresh_process()
    sandbox.confine(plan, features, stage["path"])
    try:
        os.chdir(stage["cwd"])
        for step in stage.get("redirects", ()):
            _redirect(step)
    except OSError as error:
        where = step_name(stage, error)
        os.write(2, os.fsencode(f"pact: {where}: {error.strerror}\n"))
        os._exit(1)
    if stage.get("text") is not None:
        _emit(base64.b64decode(stage["text"]), base64.b64decode(stage["error"]), int(stage["status"]))
    argv = [os.fsencode(a) for a in stage["argv"]]
    environ = [os.fsencode(f"{k}={v}") for k, v in stage["env"].items()]
    ticket = seccomp.ExecTicket(os.fsencode(stage["path"]), argv, environ)
    os.set_inheritable(report, False)
    sandbox.seal(plan, features, ticket)
    try:
        ticket.execute()
    except OSError as error:
        os.write(2, f"pact: {stage['path']}: {error.strerror}\n".encode())
        os._exit(127 if error.errno == errno.ENOENT else 126)


def step_name(stage: dict[str, Any], error: OSError) -> str:
    """The path an error is about, for the message on the command's own stderr."""
    name = error.filename if error.filename is not None else stage["cwd"]
    return os.fsdecode(name)


def _standard(stdio: list[int], fds: list[int], before: int, after: int) -> None:
    """Put the stage's stdin, stdout and stderr in place: an index into `fds`, PIPE or NULL."""
    sources: list[int] = []
    for target, index in enumerate(stdio):
        if index == PIPE:
            source = before if target == 0 else after
        elif index == NULL:
            source = os.open("/dev/null", os.O_RDWR)
        else:
            source = fds[index]
        sources.append(_above(source, 32))
    for target, source in enumerate(sources):
        os.dup2(source, target, inheritable=True)
        os.close(source)


def _above(fd: int, lowest: int) -> int:
    """A close-on-exec duplicate of `fd` at or above `lowest`, out of the way of the standard ones."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)


def _redirect(step: list[Any]) -> None:
    kind = step[0]
    if kind == "open":
        fd = os.open(os.fsencode(step[2]), os.O_RDONLY | os.O_NOCTTY)
        os.dup2(fd, int(step[1]))
        os.close(fd)
    elif kind == "dup":
        os.dup2(int(step[2]), int(step[1]))
    elif kind == "null":
        fd = os.open("/dev/null", os.O_RDWR)
        os.dup2(fd, int(step[1]))
        os.close(fd)


def _emit(text: bytes, error: bytes, status: int) -> None:
    """A builtin's output: written by a process of its own, so that a full pipe stalls nobody else."""
    try:
        for fd, data in ((1, text), (2, error)):
            while data:
                data = data[os.write(fd, data) :]  # noqa: PLW2901  what is left to write
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE
    except OSError:
        status = 1
    os._exit(status)


def _fresh_process() -> None:
    """Nothing of the agent's scheduling is inherited (FIELD: an unkillable user process)."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"0")
    except OSError:
        pass  # lowering it needs a right that an unprivileged agent lacks; it then never raised it either
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except OSError:
        pass  # as above


def main() -> None:
    """Entry point: `spawner.py SCRATCH [SECRET …]` with the agent's socket on descriptor 3."""
    link = socket.socket(fileno=3)
    link.set_inheritable(False)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    Spawner(link, sys.argv[1], tuple(sys.argv[2:])).run()


if __name__ == "__main__":
    main()

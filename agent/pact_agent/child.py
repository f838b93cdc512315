"""The spawner's children: from a fresh fork to the program, bound on the way.

A child is forked before it is needed (`warm`): it has its session, its masked mount
namespace and the usual Landlock rules by then, and waits for its job on a socket; what is
left costs a millisecond. A pipeline's first child leads: it forks the stages and waits.
Standard library only, nothing imported late: a child may not see the interpreter's files.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import termios
from typing import Any

from pact_agent import cgroup, feeding, kernel, sandbox
from pact_agent.sandbox import Kernel, Plan

NULL, PIPE = -2, -1
_FAILED = 126
_ENVIRONMENT = {"PATH": "/usr/bin", "LANG": "C.UTF-8", "TERM": "dumb"}  # as good as any to rehearse with
_RESET = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGCHLD,
    signal.SIGXFSZ,
)
# Blocked around a fork, so that none is lost on a child that has not taken its own actions yet.
HELD = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP})


def send_request(link: socket.socket, request: bytes, fds: list[int]) -> None:
    """Hand a job (JSON) and its descriptors to a waiting child.

    Raises `BrokenPipeError` or `ConnectionResetError` only while the child can't have all of it, so that the
    job may be given to another: nothing is sent after the last byte, as the child hangs up then.
    """
    data = struct.pack(">I", len(request)) + request
    sent = socket.send_fds(link, [data], fds) if fds else 0
    if sent < len(data):
        link.sendall(data[sent:])


def receive(link: socket.socket) -> tuple[bytes, list[int]]:
    """Bytes and close-on-exec descriptors. `socket.recv_fds` leaves its flags out, and
    what it returns would be inherited by every command of the line."""
    data, ancillary, _, _ = link.recvmsg(1 << 16, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += struct.unpack(f"{len(payload) // 4}i", payload[: len(payload) // 4 * 4])
    return data, fds


def _receive_request(link: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for the job; ends the process when the spawner goes away or has no use for it."""
    data, fds = receive(link)
    while len(data) < 4 or len(data) < 4 + struct.unpack_from(">I", data)[0]:
        more = link.recv(1 << 16)
        if not more:
            os._exit(0)
        data += more
    return json.loads(data[4:]), fds


def serve(link: socket.socket, report: int, features: Kernel, group: cgroup.Group) -> None:
    """The whole life of a child: prepare, wait, run. Never returns."""
    status = _FAILED
    try:
        prepared = _warm_up(features, group)
        request, fds = _receive_request(link)
        link.close()
        tty = request.get("tty")
        terminal = None if tty is None else fds[int(tty)]
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        stages = request["stages"]
        if len(stages) == 1:
            _run_stage(stages[0], fds, features, report, prepared=prepared, tty=terminal)
        else:
            status = _lead(stages, fds, features, report, terminal)
    except Exception as error:  # noqa: BLE001  top of a process: say it, never return into the loop
        _report_failure(report, error)
    finally:
        os._exit(status)


def _warm_up(features: Kernel, group: cgroup.Group) -> sandbox.Prepared:
    """What every job needs: groups and a session of its own, clean signals, the masked view, the usual rules."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    cgroup.enter(group)
    os.setsid()
    signal.set_wakeup_fd(-1)
    _clean_signals()
    _fresh_process()
    if features.masks_fd >= 0:
        kernel.setns(features.masks_fd, kernel.CLONE_NEWNS)
    prepared = sandbox.Prepared(features)
    _rehearse(prepared)
    return prepared


def _clean_signals() -> None:
    """Default actions, then nothing blocked: a signal that came since the fork (`HELD`) acts now."""
    for number in _RESET:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _rehearse(prepared: sandbox.Prepared) -> None:
    """Go through the motions of a job, without effect, while nobody waits.

    After fork a page is copied when it is first written to, and Python writes to whatever it looks at
    (reference counts): those copies were half of what a waiting command paid for its sandbox.
    """
    Plan.from_json(json.loads(json.dumps(Plan().to_json())))
    prepared.ticket.fill(b"/", [b"rehearsal"], [os.fsencode(f"{k}={v}") for k, v in _ENVIRONMENT.items()])


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


def _lead(stages: list[dict[str, Any]], fds: list[int], features: Kernel, report: int, tty: int | None) -> int:
    """Run the stages of a pipeline, wait for all, report each status; this process only waits."""
    pids: list[int] = []
    before = -1
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    for index, stage in enumerate(stages):
        last = index == len(stages) - 1
        read_end, write_end = (-1, -1) if last else os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                _clean_signals()
                if read_end >= 0:
                    os.close(read_end)
                _run_stage(stage, fds, features, report, before=before, after=write_end, tty=tty)
            except Exception as error:  # noqa: BLE001  top of a process, as in `_spawn`
                _report_failure(report, error)
            finally:
                os._exit(_FAILED)
        pids.append(pid)
        for fd in (before, write_end):
            if fd >= 0:
                os.close(fd)
        before = read_end
    _ignore_held()
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


def _ignore_held() -> None:
    """From now on signals are the stages' business; one that came before all of them were there is sent again."""
    for number in signal.sigpending() & HELD:
        os.killpg(0, number)
    for number in HELD:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


def _run_stage(
    stage: dict[str, Any],
    fds: list[int],
    features: Kernel,
    report: int,
    *,
    before: int = -1,
    after: int = -1,
    prepared: sandbox.Prepared | None = None,
    tty: int | None = None,
) -> None:
    """In the stage's own process: descriptors, sandbox, exec. Returns only by raising `OSError`."""
    plan = Plan.from_json(stage["plan"])
    prepared = prepared or sandbox.Prepared(features)
    sandbox.bound(plan, features)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of identity has cleared it
    tty = None if tty is None else _above(tty, 64)
    _standard(stage["stdio"], fds, before, after)
    keep = {int(target): fds[index] for target, index in stage.get("keep", {}).items()}
    report = _above(report, 64)
    for target, fd in keep.items():
        os.dup2(fd, target, inheritable=True)
    sandbox.confine(plan, features, tuple(stage["programs"]), prepared.rules, tty)
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
    os.set_inheritable(report, False)
    try:
        if stage.get("feed") is not None:
            prepared.seal(plan)
            os._exit(feeding.run(stage["feed"], os.fsencode(stage["path"]), argv, environ, prepared.ticket))
        prepared.ticket.fill(os.fsencode(stage["path"]), argv, environ)
        prepared.seal(plan)
        prepared.ticket.execute()
    except OSError as error:
        os.write(2, f"pact: {stage['path']}: {error.strerror}\n".encode())
        os._exit(127 if error.errno == errno.ENOENT else _FAILED)


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

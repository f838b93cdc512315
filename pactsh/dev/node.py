"""The first process of a node: makes its namespaces, then starts and outlives its agent.

Started by the supervisor as `python -m pactsh.dev.node SPEC.json EVENTS LISTEN`, with an
inherited socket pair for events and the inherited SSH listener. It says `prepared` with
what is missing, waits for `go` (the configuration is written in between), and starts the
agent. As pid 1 it reaps what the node leaves behind and passes signals on; an agent that was
ready (`keep`) and dies is started again, as systemd would do, while the node lives on.
Standard library only, and single-threaded: it forks.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from pactsh.dev import linux
from pactsh.dev.root import Root

# What would reach the one kernel behind all namespaces; <linux/capability.h>. A node that
# root starts has real capabilities, so these go: modules, raw I/O, reboot, clock, device
# nodes, mandatory access control, wake alarms, audit control, perf and bpf.
NOT_HERE = (16, 17, 22, 25, 27, 30, 32, 33, 35, 36, 37, 38, 39)
NAMESPACES = (
    ("mount", linux.CLONE_NEWNS),
    ("hostname", linux.CLONE_NEWUTS),
    ("ipc", linux.CLONE_NEWIPC),
    ("network", linux.CLONE_NEWNET),
    ("process", linux.CLONE_NEWPID),
)
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
NOBODY = 65534
RESTART_DELAY_S = 0.2
GIVE_UP_AFTER = 5
GIVE_UP_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What the supervisor wants: see `pactsh.dev.supervisor`."""

    name: str
    system: str
    node: str
    shared: tuple[str, ...]
    code: tuple[str, ...]
    argv: tuple[str, ...]
    env: dict[str, str]
    log: str

    @classmethod
    def load(cls, path: str) -> Spec:
        """Read what `Spec` was written as by the supervisor."""
        with open(path, encoding="utf-8") as file:
            raw: dict[str, Any] = json.load(file)
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        return cls(**fields)


class Events:
    """The socket to the supervisor; messages carry the sender's credentials, so that pids translate."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def send(self, **fields: object) -> None:
        """Say something; a supervisor that is gone is no reason to stop the node."""
        try:
            self._socket.send(json.dumps(fields).encode())
        except OSError:
            pass

    def wait_go(self) -> bool:
        """Wait for leave to start the agent; false when the supervisor is gone."""
        try:
            return self._socket.recv(64) == b"go"
        except OSError:
            return False

    def was_told_to_keep(self) -> bool:
        """Whether the agent was ready once, so that its end is an accident and not a failed start."""
        try:
            return self._socket.recv(64, socket.MSG_DONTWAIT) == b"keep"
        except OSError:
            return False


def make_namespaces(missing: Callable[[str, OSError], None]) -> frozenset[str]:
    """Enter as many namespaces as this machine allows; returns the names of those entered."""
    done: set[str] = set()
    uid, gid = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.CLONE_NEWNS)
        done.add("mount")
    except PermissionError:
        try:
            _try_user_namespace(uid, gid)
            _enter_user_namespace(uid, gid)
            done.add("user")
        except OSError as error:
            missing("user namespace", error)
    for name, flag in NAMESPACES:
        if name in done:
            continue
        try:
            if name == "process" and "mount" not in done:
                raise OSError(errno.ENOTSUP, "it needs a mount namespace")  # for its own /proc
            linux.unshare(flag)
            done.add(name)
        except OSError as error:
            missing(f"{name} namespace", error)
    return frozenset(done)


def _try_user_namespace(uid: int, gid: int) -> None:
    """Raise what entering a user namespace would: there is no way back out of half of it.

    AppArmor may allow the namespace and forbid everything in it (Ubuntu since 23.10).
    """
    child = os.fork()
    if child == 0:
        status = errno.EPERM
        try:
            _enter_user_namespace(uid, gid)
            linux.unshare(linux.CLONE_NEWNS)
            status = 0
        except OSError as error:
            status = error.errno or status
        finally:
            os._exit(min(status, 255))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(abs(status), os.strerror(abs(status)))


def _enter_user_namespace(uid: int, gid: int) -> None:
    """user_namespaces(7): one user, who is root inside."""
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def main() -> int:
    """Set up, fork pid 1 when there is a process namespace, wait for it."""
    spec, listen = Spec.load(sys.argv[1]), int(sys.argv[3])
    events = Events(int(sys.argv[2]))
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    os.umask(0o022)
    lacking: list[str] = []

    def missing(what: str, error: OSError) -> None:
        lacking.append(f"{what} ({error.strerror})")

    entered = make_namespaces(missing)
    if "process" in entered:
        child = os.fork()
        if child:
            return _outer(child)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    _furnish(spec, entered, missing)
    has_nobody = linux.is_mapped("uid", NOBODY)
    events.send(ev="prepared", missing=lacking, uid=os.geteuid(), has_nobody=has_nobody)
    if not events.wait_go():
        return 0
    return Init(spec, events, listen, alone="process" in entered).run()


def _furnish(spec: Spec, entered: frozenset[str], missing: Callable[[str, OSError], None]) -> None:
    try:
        linux.ask_kernel_log()
    except OSError as error:
        missing("kernel messages for dmesg", error)
    if "hostname" in entered:
        socket.sethostname(spec.name)
    if "network" in entered:
        try:
            linux.loopback_up()
        except OSError as error:
            missing("loopback interface", error)
    if "mount" in entered:
        root = Root(spec.system, spec.node, spec.shared, spec.code, "process" in entered, missing)
        try:
            root.enter(spec.name)
        except OSError as error:
            missing(f"root of its own at {error.filename}", error)
    if "mount" in entered and "user" not in entered:
        linux.drop_bounding(NOT_HERE)


def _outer(child: int) -> int:
    """The process that the supervisor knows: passes signals on and ends as pid 1 does."""

    def forward(number: int, _frame: FrameType | None) -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass

    for number in HANDLED[:3]:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    _, status = os.waitpid(child, 0)
    return _exit_status(status)


def _exit_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class Init:
    """pid 1 of a node, or its stand-in where there is no process namespace."""

    def __init__(self, spec: Spec, events: Events, listen: int, *, alone: bool) -> None:
        self._spec = spec
        self._events = events
        self._listen = listen
        self._alone = alone
        self._agent = 0
        self._stopping = False
        self._keep = False
        self._deaths: list[float] = []

    def run(self) -> int:
        """Start the agent and stay until told to stop; returns the exit status of the node."""
        self._start_agent()
        status = 0
        while self._agent:
            number = signal.sigwait(HANDLED)
            if number == signal.SIGCHLD:
                status = self._reap(status)
            else:
                self._stopping = True
                os.kill(self._agent, number)
        if not self._alone:
            _kill_children()
        return 0 if self._stopping else status

    def _reap(self, status: int) -> int:
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return status
            if not pid:
                return status
            if pid == self._agent:
                self._agent = 0
                status = _exit_status(raw)
                self._after_agent(status)

    def _after_agent(self, status: int) -> None:
        if self._stopping:
            return
        now = time.monotonic()
        self._deaths = [t for t in self._deaths if now - t < GIVE_UP_WITHIN_S] + [now]
        self._keep = self._keep or self._events.was_told_to_keep()
        again = self._keep and len(self._deaths) < GIVE_UP_AFTER
        self._events.send(ev="died", status=status, again=again)
        if again:
            time.sleep(RESTART_DELAY_S * (len(self._deaths) - 1))
            self._start_agent()

    def _start_agent(self) -> None:
        pid = os.fork()
        if pid:
            self._agent = pid
            return
        try:
            self._events.send(ev="started")  # from the child: the credentials then name its pid
            self._exec_agent()
        except OSError as error:
            self._events.send(ev="failed", why=str(error))
        finally:
            os._exit(127)

    def _exec_agent(self) -> None:
        """systemd's protocol for inherited sockets, sd_listen_fds(3): the listener is descriptor 3."""
        log = os.open(self._spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open("/dev/null", os.O_RDWR)
        listen = os.dup(self._listen)
        for source, target in ((null, 0), (log, 1), (log, 2), (listen, 3)):
            os.dup2(source, target, inheritable=True)
        os.closerange(4, 256)
        env = self._spec.env | {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "ssh"}
        for number in (*HANDLED, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.setsid()
        os.chdir("/")
        os.execve(self._spec.argv[0], self._spec.argv, env)  # noqa: S606  no shell is the point


def _kill_children() -> None:
    """End what the agent left behind where no kernel does it for us; this process is their reaper."""
    me = str(os.getpid())
    while True:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and _parent(entry) == me:
                os.kill(int(entry), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _parent(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[1].decode()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())

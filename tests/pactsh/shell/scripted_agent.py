"""A small agent for tests of the client: a real socket, real frames, real processes and pseudo-terminals.

It speaks docs/internals.md section 3 and runs what a test allows it to run; it authorises by a
fixed list of names and journals nothing. `ScriptedAgent.runs` keeps the lines it was asked for.
"""

from __future__ import annotations

import array
import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pactsh import language

ALLOWED = {"echo", "cat", "sleep", "true", "false", "sh", "python3", "head", "seq", "stty", "ls", "uname"}
BUILTINS = {"exit", "cd", "pwd"}
_OPS = {"session", "run", "signal", "resize", "check", "state", "history", "call", "bye"}


class _Listing:
    def entries(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(path)


class ScriptedAgent:
    """Listens at `path` until closed; every attribute may be changed by the test while it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: dict[str, Any] | None = None
        self.history: list[str] = []
        self.refuse_rest = ""
        self.whitelist: dict[str, Any] = {"class": "change", "overlay": {}}
        self.state: dict[str, Any] = {
            "who": "alice@org",
            "role": "pact-ops",
            "state": "COMMITTED",
            "drift": 0,
            "window_s": None,
            "journal": True,
            "emergency": False,
            "degraded": False,
            "node": "node042",
            "vcluster": "ml-training",
        }
        self.frames: list[dict[str, Any]] = []
        self.clients: list[_Client] = []
        self._serving: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def runs(self) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["op"] == "run"]

    def ops(self) -> list[str]:
        return [frame["op"] for frame in self.frames]

    def ops_at_end(self) -> list[str]:
        """The same when all that was sent by clients that have gone is read."""
        for thread in self._serving:
            thread.join(30)
        return self.ops()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            client = _Client(self, sock)
            self.clients.append(client)
            thread = threading.Thread(target=client.serve, daemon=True)
            self._serving.append(thread)
            thread.start()

    def notify(self, text: str, level: str = "notice") -> None:
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.send({"op": "notice", "text": text, "level": level})

    def close(self) -> None:
        """Stop as a killed agent does: the listener and every connection are gone."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for client in self.clients:
            client.close()
        self._thread.join(10)


class _Client:
    def __init__(self, agent: ScriptedAgent, sock: socket.socket) -> None:
        self.agent = agent
        self.sock = sock
        self.cwd = "/"
        self.status = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._slave = -1
        self._line: threading.Thread | None = None

    def is_running(self) -> bool:
        return self._process is not None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def send(self, fields: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        body = json.dumps(fields).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self._lock:
            self.sock.sendmsg([struct.pack(">I", len(body)) + body], rights)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        data, fds, _, _ = socket.recv_fds(self.sock, 4, 3)
        if len(data) < 4:
            raise EOFError
        (length,) = struct.unpack(">I", data)
        body = b""
        while len(body) < length:
            body += (piece := self.sock.recv(length - len(body)))
            if not piece:
                raise EOFError
        return json.loads(body), list(fds)

    def serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                frame, fds = self._receive()
                self.agent.frames.append(frame)
                if self.agent.error is not None:
                    self.send({"op": "error", **self.agent.error})
                    for fd in fds:
                        os.close(fd)
                    break
                if frame["op"] == "bye":
                    break
                self._answer(frame, fds)
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGHUP)
        self.sock.close()

    def _answer(self, frame: dict[str, Any], fds: list[int]) -> None:
        state = self.agent.state
        match frame["op"]:
            case "session":
                self.send(
                    {"op": "session", "id": "s1", "node": state["node"], "vcluster": state["vcluster"]}
                    | {"principal": state["who"], "roles": [state["role"]], "cwd": self.cwd}
                )
            case "run":
                self._line = threading.Thread(target=self._run, args=(frame, fds), daemon=True)
                self._line.start()
            case "signal":
                if self._process is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(self._process.pid, getattr(signal, "SIG" + frame["name"]))
            case "resize":
                if self._slave >= 0:
                    _set_size(self._slave, frame)
            case "state":
                self.send({"op": "state", **state})
            case "history":
                self.send({"op": "history", "lines": self.agent.history})
            case "call":
                assert frame["method"] == "whitelist"
                self.send({"op": "item", "value": self.agent.whitelist})
                self.send({"op": "done"})
            case "check":
                self.send({"op": "decision", **self._decision(frame["line"])})

    def _decision(self, line: str) -> dict[str, Any]:
        refusal = self._refusal(line)
        if refusal:
            return {"verdict": "refuse", "rule": "test", "stages": [], **refusal}
        return {
            "verdict": "allow",
            "status": 0,
            "code": "",
            "rule": "",
            "reason": "",
            "hint": "",
            "span": None,
            "stages": [],
        }

    def _refusal(self, text: str) -> dict[str, Any] | None:
        try:
            line = language.parse(text)
        except language.LineError as error:
            code = error.code if isinstance(error, language.Refused) else "malformed"
            return {
                "status": error.status,
                "code": code,
                "reason": error.reason,
                "hint": error.hint,
                "span": error.span,
            }
        for item in line.items:
            for stage in item.pipeline.stages:
                name = text[slice(*stage.words[0].span)]
                if name not in ALLOWED | BUILTINS:
                    return {
                        "status": 6,
                        "code": "command",
                        "reason": f"{name} is not whitelisted",
                        "hint": "help lists what is",
                        "span": list(stage.words[0].span),
                    }
        return None

    def _run(self, frame: dict[str, Any], fds: list[int]) -> None:
        try:
            refusal = self._refusal(frame["line"])
            if refusal:
                self.status = refusal["status"]
                self.send({"op": "refused", **refusal})
                return
            end, unread = False, b""
            for item in language.parse(frame["line"]).items:
                if (item.op == "&&" and self.status) or (item.op == "||" and not self.status):
                    continue
                variables = {"?": str(self.status), "HOME": "/", "USER": "alice"}
                argvs = [
                    [word.value for word in language.expand_stage(stage, variables, _Listing())]
                    for stage in item.pipeline.stages
                ]
                if self.agent.refuse_rest and self.agent.refuse_rest in argvs[0]:
                    self.status = 6
                    late = {"status": 6, "code": "late", "reason": "late", "hint": "", "span": None, "rest": True}
                    self.send({"op": "refused", **late})
                    break
                if argvs[0][0] in BUILTINS:
                    end = self._builtin(argvs[0], fds[1])
                else:
                    unread += self._pipeline(argvs[0], frame, fds)
            answer = {"op": "exit", "status": self.status, "duration_ms": 1, "end": end, "cwd": self.cwd}
            self.send(answer | {"unread": base64.b64encode(unread).decode()})
        except OSError:
            pass  # the client has gone
        finally:
            for fd in fds:
                os.close(fd)

    def _builtin(self, argv: list[str], out: int) -> bool:
        if argv[0] == "exit":
            self.status = int(argv[1]) if len(argv) > 1 else self.status
            return True
        self.status = 0
        if argv[0] == "cd":
            self.cwd = os.path.join(self.cwd, argv[1])
        else:
            os.write(out, self.cwd.encode() + b"\n")
        return False

    def _pipeline(self, argv: list[str], frame: dict[str, Any], fds: list[int]) -> bytes:
        program = shutil.which(argv[0])
        assert program is not None
        if not os.isatty(fds[1]):
            self._process = subprocess.Popen(
                argv, executable=program, stdin=fds[0], stdout=fds[1], stderr=fds[2], start_new_session=True
            )
            self.send({"op": "started", "pty": False})
            self._wait()
            return b""
        master, slave = os.openpty()
        self._slave = slave
        _set_size(slave, frame)
        stdio = [slave if os.isatty(fd) else fd for fd in fds]

        def control() -> None:
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self._process = subprocess.Popen(
            argv,
            executable=program,
            stdin=stdio[0],
            stdout=stdio[1],
            stderr=stdio[2],
            preexec_fn=control,  # noqa: PLW1509  only the child of a test
        )
        self.send({"op": "started", "pty": True, "fds": 1}, (master,))
        os.close(master)
        self._wait()
        self._slave = -1
        return _unread(slave)

    def _wait(self) -> None:
        assert self._process is not None
        code = self._process.wait()
        self._process = None
        self.status = 128 - code if code < 0 else code


def _set_size(slave: int, frame: dict[str, Any]) -> None:
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", frame["rows"], frame["cols"], 0, 0))


def _unread(slave: int) -> bytes:
    try:
        mode = termios.tcgetattr(slave)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 0, 0
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        return os.read(slave, 65536)
    except termios.error:  # the client has gone
        return b""
    finally:
        os.close(slave)


@contextlib.contextmanager
def scripted_agent(directory: Path) -> Iterator[ScriptedAgent]:
    """An agent at `directory`/agent.sock for the length of a test."""
    agent = ScriptedAgent(directory / "agent.sock")
    try:
        yield agent
    finally:
        agent.close()

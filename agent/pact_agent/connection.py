"""One connection on the local socket: what its frames ask for, and the answers (docs/internals.md section 3).

Whose connection it is has been settled by `broker`; what may be done is settled by the executor
and by `calls`. A connection is also the `Sink` of the lines it runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable
from contextlib import aclosing

import msgspec

from pact_agent.calls import Calls
from pact_agent.console import Console
from pact_agent.deciding import Action
from pact_agent.executor import Executor
from pact_agent.frames import Channel, Frame
from pact_agent.io import Io, Refusal, Terminal, encode_unread, parse_lang
from pact_agent.linerecording import LineRecording
from pact_agent.recording import Recording
from pact_agent.session import Session, Sessions
from pact_agent.shellhost import ShellHost, Visitor
from pactsh.errors import PactError, UsageError
from pactsh.model.identity import Identity
from pactsh.policy.decision import Decision

_log = logging.getLogger(__name__)

KINDS = ("interactive", "login", "script")
_HANG_UP_GRACE_S = 2.0
_SIGNALS = ("INT", "QUIT", "TERM", "HUP")


class Services(msgspec.Struct, frozen=True):
    """What a connection works with. `state` gives the toolbar's facts for a session."""

    sessions: Sessions
    executor: Executor
    calls: Calls
    state: Callable[[Session | None], dict[str, object]]
    host: ShellHost


def error_fields(error: PactError) -> dict[str, object]:
    """An error as the fields of an `error` frame."""
    return {"code": error.code, "kind": error.kind, "message": error.message, "hint": error.hint}


class Connection:
    """One peer: at most one session, one line at a time. Also the `Sink` of its lines."""

    def __init__(
        self,
        services: Services,
        channel: Channel,
        identity: Identity,
        peer: str,
        session: Session | None,
        reached: float,
        recording: Recording | None = None,
    ) -> None:
        self._reached, self._recording = reached, recording
        self._console: Console | None = None
        self._lines = LineRecording(services.host.recordings, self._not_recorded)
        self._services, self._channel, self._identity, self._peer = services, channel, identity, peer
        self._session, self._borrowed = session, session is not None
        self._notices: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._status, self._reason = 0, "disconnected"
        self._left = False
        self._call_task: asyncio.Task[None] | None = None
        channel.urgent = {"signal": self._signal, "resize": self._resize}
        channel.on_end = self._gone

    async def serve(self) -> None:
        """Answer frames until the peer leaves or is told to."""
        try:
            while (frame := await self._channel.receive()) is not None:
                try:
                    if not await self._handle(frame):
                        break
                finally:
                    frame.close()
        except UsageError as error:
            self._reason = error.message
            await self._channel.send({"op": "error", **error_fields(error)})
            await self._channel.part()
            raise
        finally:
            await self._leave()

    async def _leave(self) -> None:
        for task in (*self._notices, *self._closing):
            task.cancel()
        await self._lines.end()
        if self._session is not None and not self._borrowed:
            session, self._session = self._session, None
            await asyncio.shield(self._services.sessions.close(session, status=self._status, reason=self._reason))

    async def _handle(self, frame: Frame) -> bool:
        """Answer one frame; False ends the connection."""
        try:
            match frame.op:
                case "session":
                    return await self._open(frame)
                case "run":
                    return await self._run(frame)
                case "check":
                    await self._channel.send(await self._decision(frame.text("line")))
                case "state":
                    await self._channel.send({"op": "state", **self._services.state(self._session)})
                case "history":
                    lines = self._session.history if self._session else []
                    await self._channel.send({"op": "history", "lines": lines[-1000:]})
                case "call":
                    await self._call(frame)
                case "bye":
                    if self._left:
                        return False  # it was ended from here, for a reason that is known
                    status = frame.fields.get("status", 0)
                    known = isinstance(status, int) and 0 <= status < 256  # it ends up in an entry
                    self._status, self._reason = int(status) if known else 1, "left"
                    return False
                case _:
                    raise UsageError(f"protocol: unknown request {frame.op[:32]!r}")
        except PactError as error:
            called = frame.op == "call"
            if isinstance(error, UsageError) and not called:
                raise  # of the protocol, not of what somebody asked for
            await self._channel.send({"op": "error", **error_fields(error)})
            return called
        return True

    async def _open(self, frame: Frame) -> bool:
        """Open a session; False when it was one of its own on the agent's terminal, and is over."""
        if self._session is not None:
            raise UsageError("protocol: this connection has its session")
        kind = frame.fields.get("kind")
        if kind not in KINDS:
            raise UsageError(f"protocol: a session's kind is one of {', '.join(KINDS)}")
        if kind != "script" and self._recording is None and self._services.host.recordings.required():
            await self._host(frame, kind)
            return False
        self._session = session = await self._services.sessions.open(
            self._identity,
            kind=kind,
            source=self._identity.source,
            peer=self._peer,
            term=str(frame.fields.get("term")),
            reached=self._reached,
            recording=self._recording,
        )
        session.notify = self.notice
        session.hang_up = self.end
        state = self._services.state(session)
        await self._channel.send(
            {
                "op": "session",
                "id": session.id,
                "node": state["node"],
                "vcluster": state["vcluster"],
                "principal": session.identity.principal,
                "roles": list(session.identity.roles),
                "cwd": session.cwd,
            }
        )
        return True

    async def _host(self, frame: Frame, kind: str) -> None:
        """Have a `pactsh` of the agent's own record what they see; theirs relays as it does for a line."""
        fields = frame.fields
        self._console = console = Console(self._services.host, lambda text: self.notice(text, "warning"))
        visitor = Visitor(self._identity, self._peer, self._reached)
        self._channel.busy = True

        async def hand_over(fd: int) -> None:
            await self._channel.send({"op": "started", "pty": True, "fds": 1}, (fd,))

        terminal = Terminal.of(fields.get("term"), fields.get("rows"), fields.get("cols"))
        status = await console.run(visitor, terminal, kind, hand_over)
        if self._notices:
            await asyncio.wait({*self._notices}, timeout=_HANG_UP_GRACE_S)
        await self._channel.send(
            {"op": "exit", "status": status, "duration_ms": 0, "end": True, "unread": "", "cwd": ""}
        )

    async def _run(self, frame: Frame) -> bool:
        if len(frame.fds) != 3:
            raise UsageError("protocol: run needs three descriptors")
        if self._borrowed:
            raise UsageError("protocol: lines are typed at the prompt; a session's pact runs none")
        if self._left:
            return False  # nobody is there any more who could stop it, or see what it says
        line = frame.text("line")
        io, kind = _io_of(frame), "exec" if self._session is None else self._session.kind
        action: Action = "exec" if self._session is None else "shell"
        await self._lines.need(self._identity, io.terminal, kind=kind, peer=self._peer, session=self._session)
        if self._session is None:
            self._session = await self._services.sessions.open(
                self._identity,
                kind="exec",
                source=self._identity.source,
                peer=self._peer,
                reached=self._reached,
                recording=self._lines.recording,
            )
        session = self._session
        if not self._borrowed and session.kind in {"interactive", "login"}:
            session.remember(line)
        self._channel.busy = True
        try:
            outcome = await self._services.executor.run(session, line, io, self, action=action)
            await self._lines.finish()
        finally:
            self._channel.busy = False
        if outcome.refused:
            return True
        if self._notices:  # what was to be told of the line, before its end
            await asyncio.wait({*self._notices}, timeout=_HANG_UP_GRACE_S)
        await self._channel.send(
            {
                "op": "exit",
                "status": outcome.status,
                "duration_ms": outcome.duration_ms,
                "end": outcome.end,
                "unread": encode_unread(outcome.unread),
                "cwd": session.cwd,
            }
        )
        if outcome.end:
            self._status, self._reason = outcome.status, "left"
        return not outcome.end

    async def _call(self, frame: Frame) -> None:
        """Answer a call in a task of its own, so that one that never ends (`log --follow`) ends with its peer."""
        if self._left:
            return
        self._call_task = task = asyncio.get_running_loop().create_task(self._answer(frame))
        try:
            await task
        except asyncio.CancelledError:
            if not self._left or (current := asyncio.current_task()) is None or current.cancelling():
                task.cancel()
                raise
        finally:
            self._call_task = None

    async def _answer(self, frame: Frame) -> None:
        params = frame.fields.get("params")
        answer = self._services.calls.answer(
            self._identity,
            frame.text("method"),
            params if isinstance(params, dict) else {},
            self._session.id if self._session is not None else "",
            self._reached,
        )
        async with aclosing(answer) as items:  # who hangs up ends it at once
            async for item in items:
                await self._channel.send({"op": "item", "value": item})
        await self._channel.send({"op": "done"})

    async def _decision(self, line: str) -> dict[str, object]:
        session = self._session or Session("check", self._identity, kind="exec", source="uid", peer="", began=0.0)
        answer = await self._services.executor.decider.explain(session, line)
        stages = answer.stages if isinstance(answer, Decision) else ()
        return {
            "op": "decision",
            "verdict": answer.verdict if isinstance(answer, Decision) else "refuse",
            "status": answer.status,
            "code": answer.code,
            "rule": answer.rule,
            "reason": answer.reason,
            "hint": answer.hint,
            "span": list(answer.span) if answer.span else None,
            "stages": [{"name": s.name, "class": s.class_} for s in stages],
        }

    # -- urgent frames, handled while a line runs

    def _signal(self, frame: Frame) -> None:
        name = frame.fields.get("name")
        if self._session is not None and self._session.running is not None and name in _SIGNALS:
            self._session.running.signal(name)
        elif self._console is not None and name in _SIGNALS:
            self._console.signal(name)

    def _resize(self, frame: Frame) -> None:
        if self._session is not None and self._session.running is not None:
            terminal = Terminal.of("dumb", frame.fields.get("rows"), frame.fields.get("cols"))
            self._session.running.resize(terminal.rows, terminal.cols)
            self._lines.resized(terminal.rows, terminal.cols)
        elif self._console is not None:
            terminal = Terminal.of("dumb", frame.fields.get("rows"), frame.fields.get("cols"))
            self._console.resize(terminal.rows, terminal.cols)

    def _gone(self) -> None:
        """The peer has hung up: what it runs gets SIGHUP, and SIGKILL if that isn't enough."""
        if self._left:
            return
        self._left = True
        if self._call_task is not None:
            self._call_task.cancel()
        if self._console is not None:
            self._console.hang_up()
        asyncio.get_running_loop().call_later(_HANG_UP_GRACE_S, self._lines.give_up)
        session = self._session
        if session is not None and not self._borrowed and session.running is not None:
            running = session.running
            running.signal("HUP")
            asyncio.get_running_loop().call_later(_HANG_UP_GRACE_S, running.signal, "KILL")

    def _not_recorded(self, problem: str) -> None:
        self.notice(f"this session ends: {problem}", "warning")
        self.end(problem)

    def end(self, reason: str) -> None:
        """End this connection as if its peer had hung up, once what was to be told it has been sent."""
        self._reason = reason
        self._gone()
        task = asyncio.get_running_loop().create_task(self._close_after(tuple(self._notices)))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_after(self, notices: tuple[asyncio.Task[None], ...]) -> None:
        if notices:
            await asyncio.wait(notices, timeout=_HANG_UP_GRACE_S)
        self._channel.stop()

    # -- Sink

    async def refused(self, refusal: Refusal) -> None:
        """Tell why the line did not run."""
        await self._channel.send(
            {
                "op": "refused",
                "status": refusal.status,
                "code": refusal.code,
                "rule": refusal.rule,
                "reason": refusal.reason,
                "hint": refusal.hint,
                "span": list(refusal.span) if refusal.span else None,
                "rest": refusal.rest,
            }
        )

    async def started(self, master: int | None) -> None:
        """Hand over the pipeline's terminal."""
        await self._lines.finish()
        if master is None:
            await self._channel.send({"op": "started", "pty": False})
            return
        fd = self._lines.carry(master)
        try:
            await self._channel.send({"op": "started", "pty": True, "fds": 1}, (master if fd is None else fd,))
        finally:
            os.close(master if fd is None else fd)
        self._lines.handed_over()

    def notice(self, text: str, level: str) -> None:
        """Show something above the prompt, or below what runs."""
        task = asyncio.get_running_loop().create_task(self._notice(text, level))
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    async def _notice(self, text: str, level: str) -> None:
        try:
            await self._channel.send({"op": "notice", "text": text, "level": level})
        except ConnectionError as error:
            _log.info("notice to %s not delivered: %s", self._peer, error)


def _io_of(frame: Frame) -> Io:
    """Where the line's input and output are. Only a terminal on stdout means a pseudo-terminal."""
    terminal = Terminal.of(frame.fields.get("term"), frame.fields.get("rows"), frame.fields.get("cols"))
    stdin, stdout, stderr = frame.fds
    if any(_is_datagram_socket(fd) for fd in frame.fds):
        raise UsageError("protocol: a datagram socket can't be a command's stdin, stdout or stderr")
    lang = parse_lang(frame.fields.get("lang"))
    if not os.isatty(stdout):
        return Io(stdin, stdout, stderr, None, terminal.term, lang)
    ends = [None if os.isatty(fd) else fd for fd in (stdin, stdout, stderr)]
    return Io(ends[0], ends[1], ends[2], terminal, terminal.term, lang)


def _is_datagram_socket(fd: int) -> bool:
    """Such a descriptor reaches any address its holder names, and the command would name it as root."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) not in {socket.SOCK_STREAM, socket.SOCK_SEQPACKET}

"""One session channel: an exec request is one line for the executor, a shell request is a `pactsh`.

Also the `Sink` of its line. When the client goes, what runs gets SIGHUP, and SIGKILL if that isn't enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from pact_agent.io import Io, Pty, Refusal, Terminal
from pact_agent.recording import Recording
from pact_agent.session import Session, Sessions
from pact_agent.shellhost import ANNOUNCED, NOT_RECORDED, ShellHost, Visitor
from pact_agent.spawnclient import Running
from pact_agent.sshchannel import Channel
from pact_agent.sshrelay import Input, Output
from pactsh.errors import PactError
from pactsh.model.identity import Identity
from pactsh.rpc.ssh import asyncssh

if TYPE_CHECKING:
    from pact_agent.executor import Executor

log = logging.getLogger(__name__)

_GRACE_S = 2.0
_STALLED_S = 2.0
_SIGNALS = frozenset({"INT", "QUIT", "TERM", "HUP", "KILL"})
_FILE_TRANSFER = frozenset({"scp", "sftp-server", "internal-sftp", "rsync"})
NOT_WHITELISTED = 6


class Services(msgspec.Struct, frozen=True):
    """What a channel needs of the agent."""

    sessions: Sessions
    executor: Executor
    host: ShellHost


class Host(Protocol):
    """The connection that a channel belongs to (`sshd.Peer`)."""

    identity: Identity | None
    peer: str
    reached: float

    def refuse(self, what: str, reason: str) -> None:
        """Record that something was refused."""

    def start(self, work: Awaitable[None]) -> None:
        """Run a task and keep it."""

    def closed(self, session: SshSession) -> None:
        """The channel is gone."""


class SshSession(asyncssh.SSHServerSession[bytes]):
    """What asyncssh calls as things arrive on the channel."""

    def __init__(self, host: Host, services: Services) -> None:
        self._host, self._services = host, services
        self._channel: Channel | None = None
        self._terminal: Terminal | None = None
        self._request: tuple[str, str] = ("", "")
        self._input: Input | None = None
        self._outputs: list[Output] = []
        self._blocked: set[str] = set()
        self._session: Session | None = None
        self._shell: tuple[Running, Pty | None] | None = None
        self._recording: Recording | None = None
        self._gone = False
        self.serving = False

    # -- asyncssh's side

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = cast("Channel", chan)
        self._input = Input(self._hold)

    def _hold(self, held: bool) -> None:
        if self._channel is not None and not self._gone:
            (self._channel.pause_reading if held else self._channel.resume_reading)()

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], _modes: object) -> bool:
        """Note the wanted terminal. One that comes after what is to be shown on it would not be recorded."""
        if self.serving:
            return False
        self._terminal = Terminal.of(term_type, term_size[1], term_size[0])
        return True

    def exec_requested(self, command: str) -> bool:
        """Note the line."""
        self._request = ("exec", command)
        return True

    def shell_requested(self) -> bool:
        """Note that a shell is wanted."""
        self._request = ("shell", "")
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Accepted only to be able to say why not."""
        self._request = ("subsystem", subsystem)
        return True

    def session_started(self) -> None:
        """Everything has been asked for: do it."""
        self.serving = True
        self._host.start(self._serve())

    def data_received(self, data: bytes, _datatype: int | None = None) -> None:
        """Input for the command."""
        if self._input is not None:
            self._input.feed(data)

    def eof_received(self) -> bool:
        """The end of input; output goes on."""
        if self._input is not None:
            self._input.end()
        return True

    def terminal_size_changed(self, width: int, height: int, _pixwidth: int, _pixheight: int) -> None:
        """Pass the window's size on."""
        terminal = Terminal.of("dumb", height, width)
        if self._session is not None and self._session.running is not None:
            self._session.running.resize(terminal.rows, terminal.cols)
        if self._shell is not None and self._shell[1] is not None:
            self._shell[1].resize(terminal.rows, terminal.cols)
        if self._recording is not None:
            self._recording.resized(terminal.cols, terminal.rows)

    def signal_received(self, signal: str) -> None:
        """Pass a signal on."""
        if signal in _SIGNALS:
            self._signal(signal)

    def pause_writing(self) -> None:
        """The channel's window is used up."""
        self.block("window", True)

    def resume_writing(self) -> None:
        """There is room again."""
        self.block("window", False)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client has closed the channel, or is gone."""
        self._gone = True
        for output in self._outputs:
            output.close()
        if self._input is not None:
            self._input.detach()
        self._signal("HUP")
        asyncio.get_running_loop().call_later(_GRACE_S, self._signal, "KILL")
        self._host.closed(self)

    # -- ours

    def block(self, reason: str, blocked: bool) -> None:
        """Stop reading from the command while there is a reason to."""
        (self._blocked.add if blocked else self._blocked.discard)(reason)
        for output in self._outputs:
            output.pause(bool(self._blocked))

    def notice(self, text: str, level: str) -> None:
        """Tell the client something on its stderr."""
        del level
        self._say(f"pact: {text}")

    def _say(self, text: str) -> None:
        if self._channel is not None and not self._gone:
            for line in map(_visible, text.splitlines()):
                if self._recording is not None:
                    self._recording.shown(line.encode("utf-8", "replace") + b"\r\n")
                self._channel.say(line)

    def _signal(self, name: str) -> None:
        if self._session is not None and self._session.running is not None:
            self._session.running.signal(name)
        if self._shell is not None:
            self._shell[0].kill(name)

    async def _serve(self) -> None:
        """Do what was asked for and send its exit status. The top of the channel's task."""
        kind, text = self._request
        status = 1
        try:
            if kind == "subsystem" or (kind == "exec" and _is_file_transfer(text)):
                status = self._refuse_transfer(text)
            elif kind == "exec":
                status = await self._exec(text)
            else:
                status = await self._run_shell()
        except PactError as error:
            self._say(f"pact: {error.message}")
            if error.hint:
                self._say(f"hint: {error.hint}")
            status = error.code
        except Exception:  # the top of a channel: whatever it was, the client gets an end
            log.exception("ssh: %s for %s", kind, self._host.peer)
            self._say("pact: internal error of the agent; its log says more")
        finally:
            if self._channel is not None and not self._gone:
                self._channel.exit(status)

    def _refuse_transfer(self, name: str) -> int:
        what = name.split(maxsplit=1)[0].rpartition("/")[2] if name.split() else "subsystem"
        self._host.refuse(what[:64], "files are not copied over pact's SSH")
        self._say(f"pact: {what[:64]}: copying files is refused")
        self._say("hint: commit configuration through the journal; read a file with: pact exec NODE -- cat FILE")
        return NOT_WHITELISTED

    async def _exec(self, line: str) -> int:
        identity = self._identity()
        sessions, recording = self._services.sessions, await self._record(identity, "exec")
        try:
            self._session = session = await sessions.open(
                identity,
                kind="exec",
                source="ssh",
                peer=self._host.peer,
                reached=self._host.reached,
                recording=recording,
            )
        except BaseException:
            await self._all_shown()
            raise
        status, reason = 1, "left"
        try:
            with contextlib.ExitStack() as ends:
                io = self._pipes(ends) if self._terminal is None else Io(None, None, None, self._terminal)
                outcome = await self._services.executor.run(session, line, io, self, action="exec")
                status = outcome.status
            await self._drained()
        finally:
            reason = "disconnected" if self._gone else reason
            await self._all_shown()
            await asyncio.shield(sessions.close(session, status=status, reason=reason))
        return NOT_RECORDED if recording is not None and recording.problem else status

    # -- recording

    async def _record(self, identity: Identity, kind: str) -> Recording | None:
        """Record what is shown on the client's terminal from now on, where it has one and the policy wants that. Raises
        `PolicyError` where it can't be done."""
        recordings = self._services.host.recordings
        if self._terminal is None or not recordings.required():
            return None
        recording = await recordings.begin(identity, self._terminal, kind=kind, source="ssh", peer=self._host.peer)
        recording.on_problem = self._not_recorded
        recording.on_lag = lambda lagging: self.block("recording", lagging)
        self._recording = recording
        self._show(ANNOUNCED)
        return recording

    def _show(self, data: bytes) -> None:
        """Give the client's terminal what has been recorded, and nothing else."""
        assert self._channel is not None
        if self._recording is None or self._recording.shown(data):
            self._channel.write(data, None)

    def _not_recorded(self, problem: str) -> None:
        self._say(f"pact: this session ends: {problem}")
        self._signal("HUP")
        asyncio.get_running_loop().call_later(_GRACE_S, self._signal, "KILL")

    async def _all_shown(self) -> None:
        """Let the session's end seal its recording; where no session has come of it, nothing is kept."""
        if self._recording is not None and self._recording.is_used:
            self._recording.ended.set()
        elif self._recording is not None:
            await self._recording.discard()

    # -- pipes and terminals

    def _identity(self) -> Identity:
        if self._host.identity is None:
            raise PactError("this connection is not authenticated")
        return self._host.identity

    def _pipes(self, ends: contextlib.ExitStack) -> Io:
        """Pipes to and from the channel. Our ends are closed by their relays, the command's with `ends`."""
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        read_err, write_err = os.pipe()
        for fd in (read_in, write_out, write_err):
            ends.callback(os.close, fd)
        assert self._input is not None
        ends.callback(self._input.detach)
        self._relay(read_out, None)
        self._relay(read_err, asyncssh.EXTENDED_DATA_STDERR)
        self._input.attach(write_in, terminal=False)
        return Io(read_in, write_out, write_err)

    def _relay(self, fd: int, datatype: int | None) -> None:
        channel = self._channel
        assert channel is not None
        shown = datatype is None and self._terminal is not None
        output = Output(fd, self._show if shown else lambda data: channel.write(data, datatype))
        self._outputs.append(output)
        if self._gone:
            output.close()
        output.pause(bool(self._blocked))

    async def _drained(self) -> None:
        """Wait until all that the command wrote has been given to the channel."""
        for output in self._outputs:
            await output.drain(_STALLED_S)
        self._outputs.clear()

    # -- shell

    async def _run_shell(self) -> int:
        """Start `pactsh` with an authenticated socket, on a terminal of its own or on pipes."""
        identity = self._identity()
        recording = await self._record(identity, "interactive")
        try:
            status = await self._shell_of(Visitor(identity, self._host.peer, self._host.reached, recording))
            await self._drained()
        finally:
            await self._all_shown()
        return NOT_RECORDED if recording is not None and recording.problem else status

    async def _shell_of(self, visitor: Visitor) -> int:
        with contextlib.ExitStack() as ends:
            pty = Pty(self._terminal) if self._terminal is not None else None
            try:
                if pty is None:
                    io = self._pipes(ends)
                    fds = tuple(fd for fd in (io.stdin, io.stdout, io.stderr) if fd is not None)
                else:
                    io = Io(None, None, None, self._terminal)
                    fds = (pty.slave,) * 3
                    self._attach_terminal(pty.master)
                running = await self._services.host.start(visitor, io, fds)
                self._shell = (running, pty)
                if self._gone:
                    self._signal("HUP")
                ended = await running.wait()
            finally:
                if pty is not None:
                    pty.close()
        for error in ended.errors:
            log.error("ssh: pactsh for %s: %s", self._host.peer, error)
            what = "the shell here has ended" if ended.statuses[-1] > 128 else "can't start the shell here"
            self._say(f"pact: {what}: {error}")
        return ended.statuses[-1]

    def _attach_terminal(self, master: int) -> None:
        """Relay a terminal's other end, both ways; each way has and closes a descriptor of its own."""
        assert self._input is not None
        self._relay(master, None)
        self._input.attach(os.dup(master), terminal=True)

    # -- Sink

    async def refused(self, refusal: Refusal) -> None:
        """Say why the line did not run."""
        self._say(f"pact: refused: {refusal.reason}")
        if refusal.hint:
            self._say(f"hint: {refusal.hint}")

    async def started(self, master: int | None) -> None:
        """A pipeline begins, on its own terminal when one was asked for."""
        if self._gone:
            self._signal("HUP")
        if master is None:
            return
        await self._drained()
        self._attach_terminal(master)


def _is_file_transfer(line: str) -> bool:
    """Whether a line is what scp, sftp or rsync ask a server to run: theirs is a refusal of its own kind."""
    words = line.split()
    return bool(words) and words[0].rpartition("/")[2] in _FILE_TRANSFER


def _visible(line: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in line)

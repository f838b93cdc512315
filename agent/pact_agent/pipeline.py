"""Runs one decided pipeline: its descriptors, terminal, processes, signals and time limit."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence

import msgspec

from pact_agent.aside import aside
from pact_agent.builtins import Effect, Scene, run_builtin
from pact_agent.config import Limits
from pact_agent.io import Io, Pty, Sink
from pact_agent.prepare import Prepared, PreparedStage
from pact_agent.sandbox import Plan
from pact_agent.session import Session
from pact_agent.spawnclient import Ended, Job, Running, Spawner, StageSpec
from pact_agent.stages import environment, stage_spec, stdio_of
from pact_agent.tools import Tools
from pactsh.catalog import Catalog
from pactsh.errors import NotFoundError, PactError
from pactsh.model.identity import Identity
from pactsh.policy.decision import StageDecision

_log = logging.getLogger(__name__)

_GRACE_S = 2.0
_BUILTIN_TIMEOUT_S = 10.0
NOT_STARTED, NOT_INSTALLED = 126, 127


class Ran(msgspec.Struct, frozen=True):
    """How far a line has come: the last status, and what its end needs."""

    status: int
    statuses: tuple[int, ...] = ()
    reason: str = ""
    end: bool = False
    unread: bytes = b""


class LineRun:
    """A line that is being run: where signals and window sizes go."""

    def __init__(self) -> None:
        self.job: Running | None = None
        self.pty: Pty | None = None
        self.stopped: str | None = None
        self.ended = asyncio.Event()  # set with `stopped`

    def signal(self, name: str) -> None:
        """Pass a signal to the pipeline's process group; HUP, TERM and KILL end the rest of the line too, and
        so does any while no process runs: it came early, or between two pipelines."""
        if name in {"HUP", "TERM", "KILL"} or self.job is None:
            self.stopped = name
            self.ended.set()
        if self.job is not None:
            self.job.kill(name)

    def resize(self, rows: int, cols: int) -> None:
        """Set the window size of the pipeline's terminal."""
        if self.pty is not None:
            self.pty.resize(rows, cols)


class Pipelines:
    """Starts pipelines. `whitelist` is what someone may run here; `connect` makes a session's authenticated
    socket for our own `pact`."""

    def __init__(
        self,
        spawner: Spawner,
        tools: Tools,
        limits: Limits,
        whitelist: Callable[[Identity], Catalog],
        secrets: Callable[[], tuple[str, ...]],
        connect: Callable[[Session], socket.socket],
    ) -> None:
        self._spawner, self._tools, self._limits, self._whitelist = spawner, tools, limits, whitelist
        self._secrets, self._connect = secrets, connect

    async def run(
        self,
        session: Session,
        action: str,
        prepared: Prepared,
        decided: Sequence[StageDecision],
        io: Io,
        sink: Sink,
        current: LineRun,
        before: Ran,
    ) -> Ran:
        """Start one pipeline and wait for its end, within the command timeout."""
        pty: Pty | None = None
        try:
            with contextlib.ExitStack() as cleanup:
                try:
                    pty = Pty(io.terminal) if io.terminal is not None else None
                    job, effect = await self._job(session, prepared, decided, io, pty, cleanup)
                except (NotFoundError, OSError) as error:
                    return _not_started(error, pty, sink, before)
                except BaseException:
                    _close_master(pty)
                    raise
                await sink.started(pty.master if pty is not None else None)
                if current.stopped is not None:
                    return stopped(current.stopped, before)
                current.job, current.pty = await self.spawn(job), pty
            ended, reason = await self.wait(current, action)
            for problem in ended.errors:
                _log.error("spawner: %s", problem)
                sink.notice(f"this command could not run as it should: {problem}", "error")
        finally:
            current.job = current.pty = None
            unread = pty.close() if pty is not None else b""
        over = effect is not None and effect.end is not None
        if effect is not None and effect.cwd is not None:
            session.before, session.cwd = session.cwd, effect.cwd
        return Ran(ended.statuses[-1], ended.statuses, reason, over, before.unread + unread)

    async def _job(
        self,
        session: Session,
        prepared: Prepared,
        decided: Sequence[StageDecision],
        io: Io,
        pty: Pty | None,
        cleanup: contextlib.ExitStack,
    ) -> tuple[Job, Effect | None]:
        """The processes of a pipeline; a builtin's effect counts only when it stands alone, as in bash."""
        fds = [pty.slave if fd is None and pty is not None else fd for fd in (io.stdin, io.stdout, io.stderr)]
        assert None not in fds
        slots = [fd for fd in fds if fd is not None]
        stages: list[StageSpec] = []
        effect: Effect | None = None
        for index, (stage, decision) in enumerate(zip(prepared.stages, decided, strict=True)):
            stdio = stdio_of(index, len(decided), (0, 1, 2))
            if not decision.builtin:
                stages.append(stage_spec(stage, decision, cwd=prepared.cwd, io=io, stdio=stdio, limits=self._limits))
            elif decision.name == "pact":
                theirs = cleanup.enter_context(self._connect(session))
                slots.append(theirs.fileno())
                stages.append(self._pact(stage, io, stdio, len(slots) - 1))
            else:
                scene = Scene(session, self._whitelist(session.identity), self._secrets(), session.before)
                effect = await _effect(stage.argv, scene)
                stages.append(_text_stage(stage, effect, io, stdio, prepared.cwd))
        tty = next((n for n, fd in enumerate(slots) if pty is not None and fd == pty.slave), None)
        job = Job(stages=tuple(stages), fds=tuple(slots), tty=tty)
        return job, effect if len(stages) == 1 else None

    def _pact(self, stage: PreparedStage, io: Io, stdio: tuple[int, int, int], session_index: int) -> StageSpec:
        spec = self._tools.stage(
            "pactsh.cli.main",
            stage.argv[1:],
            stdio=stdio,
            session_index=session_index,
            env=environment(io),
            terminal=io.terminal,
        )
        return msgspec.structs.replace(spec, redirects=stage.redirects)

    async def spawn(self, job: Job) -> Running:
        """Start a job as it is; `run` makes one of a decided pipeline."""
        return await self._spawner.spawn(job)

    async def wait(self, current: LineRun, action: str) -> tuple[Ended, str]:
        """Wait for the end of `current`'s job, which comes at the latest with the time limit; how, and why."""
        job = current.job
        assert job is not None
        limit = self._limits.exec_timeout_s if action == "exec" else self._limits.command_timeout_s
        try:
            async with asyncio.timeout(limit):
                return await job.wait(), current.stopped or ""
        except TimeoutError:
            job.kill("TERM")
            try:
                async with asyncio.timeout(_GRACE_S):
                    ended = await job.wait()
            except TimeoutError:
                job.kill("KILL")
                ended = await job.wait()
            return ended, "timeout"


async def _effect(argv: Sequence[str], scene: Scene) -> Effect:
    """A builtin's effect; `cd` looks at the file system, which may hang."""
    if argv[0] != "cd":
        return run_builtin(argv, scene)
    try:
        return await aside(_BUILTIN_TIMEOUT_S, "looking at the directory", lambda: run_builtin(argv, scene))
    except PactError as error:
        return Effect(error=f"cd: {error.message}", status=1)


def _not_started(error: NotFoundError | OSError, pty: Pty | None, sink: Sink, before: Ran) -> Ran:
    """Say why nothing was started: no such program, or no more terminals or descriptors."""
    _close_master(pty)
    if isinstance(error, NotFoundError):
        sink.notice(error.message + (f" ({error.hint})" if error.hint else ""), "error")
        return Ran(NOT_INSTALLED, (NOT_INSTALLED,), "not installed", unread=before.unread)
    sink.notice(f"this command could not be started: {error.strerror}", "error")
    return Ran(NOT_STARTED, (NOT_STARTED,), f"not started: {error.strerror}", unread=before.unread)


def _close_master(pty: Pty | None) -> None:
    if pty is not None:
        os.close(pty.master)


def stopped(name: str, before: Ran) -> Ran:
    """How a line ends that a signal reached while none of its processes ran."""
    return Ran(128 + getattr(signal, f"SIG{name}"), (), name, unread=before.unread)


def _text_stage(stage: PreparedStage, effect: Effect, io: Io, stdio: tuple[int, int, int], cwd: str) -> StageSpec:
    """A process that writes what a builtin says."""
    return StageSpec(
        path="",
        argv=stage.argv,
        env=environment(io),
        cwd=cwd,
        plan=Plan(terminal=io.terminal is not None),
        stdio=stdio,
        redirects=stage.redirects,
        text=base64.b64encode(os.fsencode(effect.text)).decode(),
        error=base64.b64encode(os.fsencode(f"pact: {effect.error}\n" if effect.error else "")).decode(),
        status=effect.status,
    )

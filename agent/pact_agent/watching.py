"""`watch`: a reading line, repeated by the agent, each run contained like any other.

No program of that name is started: it would need a shell, and a sandbox with a second exec in it. One
process holds the terminal and shows what comes down a pipe; ^C ends it, and with it the watch. The line is
decided once, and again before each run, so that a policy that changes meanwhile ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

from pact_agent.clock import Clock
from pact_agent.io import Io, Pty, Refusal, Sink
from pact_agent.pipeline import NOT_STARTED, LineRun, Pipelines, Ran, stopped
from pact_agent.prepare import Prepared
from pact_agent.sandbox import Plan
from pact_agent.screen import Screen
from pact_agent.session import Session
from pact_agent.spawnclient import Job, StageSpec
from pact_agent.stages import environment, resolve_program
from pactsh.catalog import Grants
from pactsh.catalog.watchargs import WatchOptions, watch_options
from pactsh.errors import NotFoundError
from pactsh.policy.decision import Program, StageDecision

_MOST_OUTPUT = 64 << 10
_CAT = Program(("/usr/bin/cat", "/bin/cat"), Grants())


class _Silent:
    """The sink of a run whose output is captured."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    async def refused(self, refusal: Refusal) -> None:
        """Not called: the line was decided before."""

    async def started(self, master: int | None) -> None:
        """There is no terminal to hand over."""
        assert master is None

    def notice(self, text: str, level: str) -> None:  # noqa: ARG002  the screen has one style
        """Shown below the output."""
        self.notices.append(text)


class Watch:
    """One `watch` on its way. `objection` says why it may not go on, or None."""

    def __init__(
        self,
        pipelines: Pipelines,
        session: Session,
        action: str,
        decision: StageDecision,
        inner: tuple[Prepared, ...],
        io: Io,
        clock: Clock,
        objection: Callable[[], Awaitable[Refusal | None]],
    ) -> None:
        self._pipelines, self._session, self._action, self._io = pipelines, session, action, io
        self._decided, self._inner = decision.inner, inner
        self._clock, self._objection = clock, objection
        self._options: WatchOptions = watch_options(decision.argv)
        self._title = " ".join(f"{p.op} {_typed(p)}".strip() for p in inner).replace(" ;", ";")
        self._run = LineRun()
        self._pty: Pty | None = None

    async def run(self, sink: Sink, current: LineRun, before: Ran) -> Ran:
        """Repeat until ^C, a hang-up, the time limit, or what the options name. Keys typed meanwhile are dropped."""
        pty: Pty | None = None
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            try:
                if self._io.terminal is not None:
                    pty = self._pty = Pty(self._io.terminal)
                    ours.callback(pty.close)
                    pty.be_quiet()
                read, write = os.pipe()
                theirs.callback(os.close, read)
                feed = ours.enter_context(contextlib.ExitStack())
                feed.callback(os.close, write)
                job = self._painter(read, pty)
            except (NotFoundError, OSError) as error:
                if pty is not None:
                    os.close(pty.master)
                sink.notice(f"watch could not be started: {error}", "error")
                return Ran(NOT_STARTED, (NOT_STARTED,), "not started", unread=before.unread)
            await sink.started(pty.master if pty is not None else None)
            if current.stopped is not None:
                return stopped(current.stopped, before)
            current.job, current.pty = await self._pipelines.spawn(job), pty
            theirs.close()
            os.set_blocking(write, False)
            repeating = asyncio.get_running_loop().create_task(
                self._repeat(self._screen(pty), write, sink), name="watch"
            )
            repeating.add_done_callback(lambda _: feed.close())  # what shows it ends with its input
            try:
                ended, reason = await self._pipelines.wait(current, self._action)
            finally:
                self._run.signal("KILL")
                repeating.cancel()
                await asyncio.wait({repeating})
                current.job = current.pty = None
            status = ended.statuses[-1] if repeating.cancelled() else repeating.result()
            return Ran(status, (status,), reason, unread=before.unread)

    def _screen(self, pty: Pty | None) -> Screen:
        host = os.uname().nodename
        return Screen(self._options, self._title, host, self._io.terminal, lambda: pty.size() if pty else (0, 0))

    def _painter(self, read: int, pty: Pty | None) -> Job:
        """The process that has the terminal: it copies what comes down the pipe, and dies of ^C."""
        io = self._io
        fds = [read, *(pty.slave if fd is None and pty is not None else fd for fd in (io.stdout, io.stderr))]
        spec = StageSpec(
            path=resolve_program("cat", _CAT),
            argv=("cat",),
            env=environment(io),
            cwd="/",
            plan=Plan(terminal=io.terminal is not None),
            stdio=(0, 1, 2),
        )
        tty = None if pty is None else next((n for n, fd in enumerate(fds) if fd == pty.slave), None)
        return Job(stages=(spec,), fds=tuple(fd for fd in fds if fd is not None), tty=tty)

    async def _repeat(self, screen: Screen, write: int, sink: Sink) -> int:
        """Run, show, wait; the status to end with when an option says that it is time."""
        options, same, last = self._options, 0, None
        while True:
            objection = await self._objection()
            if objection is not None:
                sink.notice(f"watch ends: {objection.reason}", "warning")
                return objection.status
            began = self._clock.monotonic()
            try:
                output, status = await self._once()
            except OSError as error:
                sink.notice(f"watch ends: {error.strerror}", "error")
                return NOT_STARTED
            now = self._clock.now().astimezone().strftime("%a %b %e %H:%M:%S %Y")
            await _write(write, await asyncio.to_thread(screen.frame, output, status, now))
            same = same + 1 if output == last else 0
            if options.until_failure and status:
                return status
            if (options.until_change and last is not None and output != last) or 0 < options.same_runs <= same:
                return 0
            last = output
            spent = self._clock.monotonic() - began if options.precise else 0.0
            await asyncio.sleep(max(0.0, options.interval_s - spent))

    async def _once(self) -> tuple[bytes, int]:
        """Run the line once; what it printed, as far as it is kept, and its status."""
        loop, reader, silent = asyncio.get_running_loop(), asyncio.StreamReader(), _Silent()
        with contextlib.ExitStack() as ours:
            with contextlib.ExitStack() as theirs:
                null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
                theirs.callback(os.close, null)
                read, write = os.pipe()
                theirs.callback(os.close, write)
                protocol = asyncio.StreamReaderProtocol(reader)
                transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(read, "rb", 0))
                ours.callback(transport.close)
                collecting = loop.create_task(_collect(reader), name="watch: output")
                ours.callback(collecting.cancel)
                io = Io(null, write, write, None, self._io.term, self._io.lang, columns=self._columns())
                status = await self._items(io, silent)
            output = await collecting
        return output + "".join(f"\npact: {text}" for text in silent.notices).encode(), status

    async def _items(self, io: Io, silent: _Silent) -> int:
        ran, at = Ran(0), 0
        for item in self._inner:
            decided = self._decided[at : at + len(item.stages)]
            at += len(item.stages)
            if (item.op == "&&" and ran.status != 0) or (item.op == "||" and ran.status == 0):
                continue
            ran = await self._pipelines.run(self._session, self._action, item, decided, io, silent, self._run, ran)
        return ran.status

    def _columns(self) -> int:
        return self._pty.size()[1] if self._pty is not None else 0


def _typed(pipeline: Prepared) -> str:
    return " | ".join(" ".join(stage.argv) for stage in pipeline.stages)


async def _collect(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end; more than is kept is read and dropped, so that nobody waits."""
    kept = bytearray()
    while data := await reader.read(65536):
        kept += data[: _MOST_OUTPUT - len(kept)]
    return bytes(kept)


async def _write(fd: int, data: bytes) -> None:
    """Write all of it as fast as the reader takes it; a reader that is gone is noticed by who waits for it."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            ready = asyncio.Event()
            loop.add_writer(fd, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_writer(fd)
        except BrokenPipeError:
            await asyncio.Event().wait()  # the painter has ended: its end is being waited for, and ends this

"""One line on many nodes at a time: bounded, with limits for each node and for all, results as they come.

A place in the fan-out is for a node that answers. One that accepts a connection and then says nothing gives its place
back after a moment, and waits for its own time limit beside the others. What is asked to stop stops on the nodes too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pactsh.errors import AuthError, NotFoundError, PactError, UnreachableError

if TYPE_CHECKING:
    import asyncssh

CHUNK_BYTES = 65536
INTERRUPTED = 130
_PATIENCE_S = 0.5  # in which a node that is well has answered
_STOP_GRACE_S = 3.0
_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout_s` is for each node, from when it has the line, `total_s` for all together (0: none), `connect_s` for
    reaching a node; `max_output` is in bytes and for each node, of both its streams."""

    fanout: int = 64
    timeout_s: float = 300.0
    total_s: float = 0.0
    connect_s: float = 15.0
    max_output: int = 10 << 20


@dataclass(frozen=True, slots=True)
class Ended:
    """How the line ended on one node.

    `result`: `ran` (`status` is the command's own), or what kept it from running to its end: `timeout`, `truncated`,
    `interrupted`, `not-started` (after an interrupt, or with no time left), `unreachable`, `refused` (the node or its
    certificate), `unknown` (no such node), `failed`; of the last four `kind` is that of the error.
    """

    node: str
    result: str
    status: int
    message: str = ""
    hint: str = ""
    kind: str = ""


class Sink(Protocol):
    """Where the output of one node goes."""

    async def write(self, fd: int, data: bytes) -> None:
        """Take output of stdout (1) or stderr (2); the node waits meanwhile."""


class Dialer(Protocol):
    """The way to nodes (`sshclient.Gate`)."""

    async def connect(self, node: str, timeout_s: float) -> asyncssh.SSHClientConnection:
        """An authenticated connection; raises `PactError`."""


Feed = Callable[["asyncssh.SSHClientProcess[bytes]"], "asyncio.Future[None]"]


class Fanout:
    """The line on its way to nodes. `feed` passes our own standard input on, to a node that is alone."""

    def __init__(self, dialer: Dialer, line: str, limits: Limits, *, feed: Feed | None = None) -> None:
        self._dialer, self._line, self._limits, self._feed = dialer, line, limits, feed
        self._stopped = asyncio.Event()
        self._why = ""
        self._room = asyncio.Semaphore(limits.fanout)

    def interrupt(self) -> None:
        """Begin nothing more, and stop what runs on the nodes."""
        self._stop("interrupted")

    def _stop(self, why: str) -> None:
        self._why = self._why or why
        self._stopped.set()

    async def results(self, nodes: Sequence[str], sink_of: Callable[[str], Sink]) -> AsyncIterator[Ended]:
        """Run it, and yield each node when it has ended, in that order. Nothing is raised for a node, but what a sink
        raises is: when nobody reads our output any more, nothing need go on."""
        ended: asyncio.Queue[Ended | None] = asyncio.Queue()
        conductor = asyncio.create_task(self._conduct(nodes, sink_of, ended), name="fan-out")
        conductor.add_done_callback(lambda _: ended.put_nowait(None))
        try:
            while (one := await ended.get()) is not None:
                yield one
            await conductor
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            conductor.cancel()
            await asyncio.gather(conductor, return_exceptions=True)

    async def _conduct(
        self, nodes: Sequence[str], sink_of: Callable[[str], Sink], ended: asyncio.Queue[Ended | None]
    ) -> None:
        loop = asyncio.get_running_loop()
        out_of_time = loop.call_later(self._limits.total_s, self._stop, "timeout") if self._limits.total_s else None

        async def work(node: str) -> None:
            ended.put_nowait(await self._node(node, sink_of(node)))

        async with asyncio.TaskGroup() as group:
            for node in nodes:
                await self._room.acquire()
                if self._stopped.is_set():
                    self._room.release()
                    ended.put_nowait(self._not_started(node))
                else:
                    group.create_task(work(node), name=f"node {node}")
        if out_of_time is not None:
            out_of_time.cancel()

    def _not_started(self, node: str) -> Ended:
        if self._why == "timeout":
            return Ended(node, "not-started", UnreachableError.code, f"no time left of {self._limits.total_s:g} s")
        return Ended(node, "not-started", INTERRUPTED)

    async def _node(self, node: str, sink: Sink) -> Ended:
        """Everything about one node, whose place in the fan-out is taken."""
        place = _Place(self._room)
        try:
            connection = await self._connected(node, place)
            if connection is None:
                return self._not_started(node)
            try:
                return await self._ran(node, connection, sink)
            finally:
                place.leave()  # saying good-bye is no work
                connection.close()
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(connection.wait_closed(), _CLOSE_S)
        except PactError as error:
            return _failure(node, error)
        finally:
            place.leave()

    async def _connected(self, node: str, place: _Place) -> asyncssh.SSHClientConnection | None:
        """A connection; None when everything was stopped meanwhile."""
        dialling = asyncio.ensure_future(self._dialer.connect(node, self._limits.connect_s))
        stopping = asyncio.ensure_future(self._stopped.wait())
        both = (dialling, stopping)
        try:
            done, _ = await asyncio.wait(both, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                place.leave()
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                await place.retake()
            if dialling.done() or not self._stopped.is_set():
                return await dialling
            return None
        finally:
            stopping.cancel()
            if not dialling.done():
                dialling.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _ran(self, node: str, connection: asyncssh.SSHClientConnection, sink: Sink) -> Ended:
        import asyncssh

        limits = self._limits
        try:
            async with asyncio.timeout(limits.connect_s):
                process = await connection.create_process(self._line, encoding=None, term_type=None)
        except TimeoutError:
            raise UnreachableError(f"{node}: it let us in and says nothing any more") from None
        except (asyncssh.Error, ConnectionResetError) as error:
            raise _lost(node) from error
        feeding = self._feed(process) if self._feed is not None else None
        if feeding is None:
            process.stdin.write_eof()
        try:
            async with asyncio.timeout(limits.timeout_s or None):
                return await self._watch(node, process, sink)
        except TimeoutError:
            await _stop(process)
            text = f"no end within {limits.timeout_s:g} s, the command was stopped"
            return Ended(node, "timeout", UnreachableError.code, text, "--timeout SECONDS gives it longer")
        finally:
            if feeding is not None:
                feeding.cancel()

    async def _watch(self, node: str, process: asyncssh.SSHClientProcess[bytes], sink: Sink) -> Ended:
        import asyncssh

        limit = self._limits.max_output
        taken = 0
        full = asyncio.Event()

        async def drain(reader: asyncssh.SSHReader[bytes], fd: int) -> None:
            nonlocal taken
            while data := await reader.read(CHUNK_BYTES):
                room = limit - taken
                taken += len(data)
                if room > 0:
                    await sink.write(fd, data[:room])
                if len(data) > room:
                    full.set()
                    return

        reading = asyncio.gather(drain(process.stdout, 1), drain(process.stderr, 2))
        ends = [asyncio.ensure_future(e) for e in (reading, full.wait(), self._stopped.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if full.is_set():
                await _stop(process, grace_s=0)  # it would not end before what it has printed is read
                text = f"output over {limit} bytes, the command was stopped"
                return Ended(node, "truncated", 1, text, "--max-output BYTES allows more")
            if not reading.done():
                await _stop(process, "INT")
                return self._stopped_at(node)
            await reading
            await process.wait_closed()
        except (asyncssh.Error, ConnectionResetError) as error:
            raise _lost(node) from error
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        status = process.returncode
        if status is None:
            raise _lost(node)
        return Ended(node, "ran", 128 - status if status < 0 else status)

    def _stopped_at(self, node: str) -> Ended:
        if self._why == "timeout":
            text = f"not over within {self._limits.total_s:g} s for all nodes, the command was stopped"
            return Ended(node, "timeout", UnreachableError.code, text, "--total-timeout SECONDS gives them longer")
        return Ended(node, "interrupted", INTERRUPTED, "interrupted")


class _Place:
    """A place in the fan-out, given back once however often it is left."""

    def __init__(self, room: asyncio.Semaphore) -> None:
        self._room, self._taken = room, True

    def leave(self) -> None:
        """Give it back."""
        if self._taken:
            self._taken = False
            self._room.release()

    async def retake(self) -> None:
        """Wait for another."""
        await self._room.acquire()
        self._taken = True


def _failure(node: str, error: PactError) -> Ended:
    kinds = ((NotFoundError, "unknown"), (UnreachableError, "unreachable"), (AuthError, "refused"))
    result = next((name for kind, name in kinds if isinstance(error, kind)), "failed")
    return Ended(node, result, error.code, error.message, error.hint, error.kind)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _lost(node: str) -> UnreachableError:
    return UnreachableError(
        f"{node}: the connection was lost before the command ended", hint="`pact log` tells what became of it"
    )


async def _stop(process: asyncssh.SSHClientProcess[bytes], name: str = "TERM", grace_s: float = _STOP_GRACE_S) -> None:
    """Stop the remote command too; closing the channel makes the agent end what a signal did not."""
    with contextlib.suppress(OSError):
        process.send_signal(name)
    try:
        await asyncio.wait_for(process.wait_closed(), grace_s)
    except TimeoutError:
        process.close()

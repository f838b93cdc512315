"""`pact exec`: one whitelisted command on nodes, streamed as it runs.

The argv travels quoted, so that the node's agent parses exactly the words that were typed here; there
is no shell on either side. One node: raw output and its own status. Several: prefixed lines, the worst
status. `--output json` prints one object a node.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.cli.stdio import CHUNK_BYTES, feed, write_all
from pactsh.errors import PactError, UnreachableError, UsageError

if TYPE_CHECKING:
    import asyncssh

    from pactsh.cli.sshclient import Gate

_STOP_GRACE_S = 3.0
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Args:
    """Which nodes, which argv, and the limits; `timeout` in seconds (0: none), `max_output` in bytes.

    `bypass`: outside the whitelist, which the node allows to platform admins alone.
    """

    nodes: str
    argv: tuple[str, ...]
    timeout: float
    max_output: int
    fanout: int
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How the command ended on one node. `stdout`, `stderr` only with JSON output; else they were streamed.

    `result`: `ran`, `timeout`, `truncated`, `unreachable` or `interrupted`.
    """

    node: str
    result: str
    status: int
    stdout: str | None = None
    stderr: str | None = None
    message: str | None = None

    @property
    def exit_status(self) -> int:
        """The command's own, or that of what kept it from running."""
        return self.status


class Target:
    """Where a node's output goes: straight through, line by line with a prefix, or kept for JSON."""

    def __init__(self, node: str, *, prefixed: bool, kept: bool) -> None:
        self._prefix = f"{node}: ".encode() if prefixed else b""
        self._kept = {1: bytearray(), 2: bytearray()} if kept else None
        self._partial = {1: b"", 2: b""}

    async def write(self, fd: int, data: bytes) -> None:
        """Take output of stdout (1) or stderr (2)."""
        if self._kept is not None:
            self._kept[fd] += data
        elif not self._prefix:
            await write_all(fd, data)
        else:
            whole, newline, rest = (self._partial[fd] + data).rpartition(b"\n")
            self._partial[fd] = rest
            if newline:
                await write_all(fd, b"".join(self._prefix + line + b"\n" for line in whole.split(b"\n")))

    async def finish(self) -> None:
        """Print a last line that had no newline."""
        for fd, rest in self._partial.items():
            if rest:
                await write_all(fd, self._prefix + rest + b"\n")

    def text(self, fd: int) -> str | None:
        """What was kept, undecodable bytes escaped."""
        return None if self._kept is None else bytes(self._kept[fd]).decode("utf-8", "backslashreplace")


def run(ctx: Context, args: Args) -> Iterator[Result]:
    """Run the command; results as they come. Raises for one node, reports in the result for several."""
    from pactsh.cli.sshclient import Gate, parse_nodes
    from pactsh.language import join
    from pactsh.policy.runners import BYPASS

    nodes = parse_nodes(args.nodes)
    argv = args.argv[1:] if args.argv[0] == "--" else args.argv  # click leaves it in
    if not argv:
        raise UsageError("exec: no command", hint="pact exec NODES -- CMD [ARG]...")
    if any("\n" in word or "\0" in word for word in argv):
        raise UsageError("exec: an argument holds a newline or NUL, which no line can carry")
    if any(
        0xD800 <= ord(char) < 0xE000 for word in argv for char in word
    ):  # bytes that are no text, as Python has them
        raise UsageError("exec: an argument is not UTF-8, and no line can carry it")
    if args.bypass:
        argv = (BYPASS, *argv)  # the node decides whether it may, and records it as what it is
    work = _Fleet(Gate(ctx), join(argv), args, kept=ctx.json, notice=ctx.notice)
    yield from asyncio.run(work.run(nodes))


def captured(ctx: Context, node: str, argv: tuple[str, ...]) -> Result:
    """Run a command on one node and keep what it prints: node verbs are an exec of the node's own `pact`."""
    from pactsh.cli.sshclient import Gate
    from pactsh.language import join

    limits = Args(node, argv, timeout=ctx.settings.timeout, max_output=16 << 20, fanout=1)
    return asyncio.run(_Fleet(Gate(ctx), join(argv), limits, kept=True, notice=ctx.notice).run((node,)))[0]


class _Fleet:
    """One `pact exec`: connects, runs, limits, interrupts."""

    def __init__(self, gate: Gate, line: str, args: Args, *, kept: bool, notice: Callable[[str], None]) -> None:
        self._gate, self._line, self._args, self._kept, self._notice = gate, line, args, kept, notice
        self._interrupted = asyncio.Event()

    async def run(self, nodes: tuple[str, ...]) -> list[Result]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupted.set)
        loop.add_signal_handler(signal.SIGTERM, self._interrupted.set)
        if len(nodes) == 1:
            return [await self._one(nodes[0], prefixed=False)]
        room = asyncio.Semaphore(self._args.fanout)

        async def bounded(node: str) -> Result:
            async with room:
                if self._interrupted.is_set():
                    return Result(node, "interrupted", INTERRUPTED, message="not started")
                try:
                    return await self._one(node, prefixed=True)
                except PactError as error:
                    self._notice(f"pact: {node}: {error.message}")
                    return Result(node, "unreachable", error.code, message=error.message)

        return list(await asyncio.gather(*(bounded(node) for node in nodes)))

    async def _one(self, node: str, *, prefixed: bool) -> Result:
        target = Target(node, prefixed=prefixed, kept=self._kept)
        deadline = self._args.timeout or None
        connection = await self._gate.connect(node)
        try:
            process = await connection.create_process(self._line, encoding=None, term_type=None)
            stdin = None if prefixed else asyncio.ensure_future(feed(process))
            if prefixed:
                process.stdin.write_eof()
            try:
                async with asyncio.timeout(deadline):
                    result = await self._watch(node, process, target)
            except TimeoutError:
                await _stop(process)
                await target.finish()
                raise UnreachableError(
                    f"exec: {node}: no end within {self._args.timeout:g} s, the command was stopped",
                    hint="--timeout SECONDS gives it longer",
                ) from None
            finally:
                if stdin is not None:
                    stdin.cancel()
            await target.finish()
            return result
        finally:
            connection.close()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(connection.wait_closed(), 1.0)

    async def _watch(self, node: str, process: asyncssh.SSHClientProcess[bytes], target: Target) -> Result:
        import asyncssh

        taken = 0
        full = asyncio.Event()

        async def drain(reader: asyncssh.SSHReader[bytes], fd: int) -> None:
            nonlocal taken
            while data := await reader.read(CHUNK_BYTES):
                room = self._args.max_output - taken
                taken += len(data)
                await target.write(fd, data[: max(room, 0)])
                if len(data) > room:
                    full.set()

        reading = asyncio.gather(drain(process.stdout, 1), drain(process.stderr, 2))
        ends = [asyncio.ensure_future(e) for e in (reading, full.wait(), self._interrupted.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._interrupted.is_set():
                await _stop(process, "INT")
                return self._result(node, "interrupted", INTERRUPTED, target, "interrupted")
            if full.is_set():
                await _stop(process)
                text = f"output over {self._args.max_output} bytes, the command was stopped (--max-output)"
                self._notice(f"pact: exec: {node}: [truncated] {text}")
                return self._result(node, "truncated", 1, target, text)
            await reading
            await process.wait_closed()
        except (asyncssh.DisconnectError, ConnectionResetError):
            raise _lost(node) from None
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        status = process.returncode
        if status is None:
            raise _lost(node)
        return self._result(node, "ran", 128 - status if status < 0 else status, target)

    def _result(self, node: str, kind: str, status: int, target: Target, message: str | None = None) -> Result:
        return Result(node, kind, status, target.text(1), target.text(2), message)


def _lost(node: str) -> UnreachableError:
    return UnreachableError(
        f"exec: {node}: the connection was lost before the command ended", hint="`pact log` tells what became of it"
    )


async def _stop(process: asyncssh.SSHClientProcess[bytes], name: str = "TERM") -> None:
    """Stop the remote command too; closing the channel makes the agent end what a signal did not."""
    with contextlib.suppress(OSError):
        process.send_signal(name)
    try:
        await asyncio.wait_for(process.wait_closed(), _STOP_GRACE_S)
    except TimeoutError:
        process.close()


def render(_result: Result, out: Out) -> None:
    """The output was streamed; nothing is left to print."""
    out.flush()
    sys.stdout.flush()


command = Command(
    "exec",
    help="""Run one whitelisted command on nodes.

    NODES is a node, or several separated by commas. Everything after -- is the command; its words reach it
    unchanged, no shell comes between. The exit status is the command's own; of several the worst.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["nodes"], metavar="NODES"),
        click.Argument(["argv"], metavar="CMD [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED),
        click.Option(
            ["--timeout"],
            type=click.FloatRange(min=0),
            default=300.0,
            show_default=True,
            metavar="SECONDS",
            help="Stop the command after this long (0: never); exit status 5.",
        ),
        click.Option(
            ["--max-output"],
            type=click.IntRange(min=1),
            default=10 << 20,
            show_default=True,
            metavar="BYTES",
            help="Stop the command when a node has printed more.",
        ),
        click.Option(
            ["--fanout"],
            type=click.IntRange(1, 1024),
            default=64,
            show_default=True,
            metavar="N",
            help="Nodes at the same time.",
        ),
        click.Option(
            ["--bypass"],
            is_flag=True,
            help="Run CMD outside the whitelist: platform admins only, marked in the journal.",
        ),
    ],
    context_settings={"allow_interspersed_args": False},
)

"""A line run on nodes for a command: one with its output as it comes, several told apart, interrupts passed on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pactsh.cli import interrupts
from pactsh.cli.context import Context
from pactsh.cli.fanout import Dialer, Ended, Fanout, Limits
from pactsh.cli.gauge import Gauge
from pactsh.cli.nodes import fold_nodes
from pactsh.cli.outputs import Folded, Kept, Prefixed, Raw
from pactsh.cli.progressline import is_shown
from pactsh.cli.stdio import feed
from pactsh.cli.tally import Tally
from pactsh.errors import UnreachableError, error_of

if TYPE_CHECKING:
    from pactsh.cli.sshclient import Gate

_FOLDED_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """How the command ended on one node (`fanout.Ended`). `stdout`, `stderr` only where they were not printed."""

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


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes (`count` of them, as a nodeset) on which the command said the same and ended in the same way."""

    nodes: str
    count: int
    result: str
    status: int
    stdout: str
    stderr: str

    @property
    def exit_status(self) -> int:
        """The command's own, or that of what kept it from running."""
        return self.status


@contextlib.contextmanager
def stopping(fanout: Fanout) -> Iterator[None]:
    """^C and SIGTERM stop the commands on the nodes; a second ^C waits for nothing."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        loop.call_soon_threadsafe(fanout.interrupt)

    loop.add_signal_handler(signal.SIGTERM, fanout.interrupt)
    try:
        with interrupts.telling(interrupt):
            yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def alone(
    gate: Dialer, node: str, line: str, limits: Limits, *, kept: bool, notice: Callable[[str], None]
) -> AsyncIterator[Result]:
    """One node: its output as it comes, our standard input for it. Raises what kept the line from running."""
    sink = Kept() if kept else None
    fanout = Fanout(gate, line, limits, feed=lambda process: asyncio.ensure_future(feed(process)))
    with stopping(fanout):
        async for ended in fanout.results((node,), lambda _: sink or Raw()):
            if ended.result == "timeout":
                raise UnreachableError(f"exec: {node}: {ended.message}", hint=ended.hint)
            if ended.kind:
                raise error_of(ended.kind, ended.message, ended.hint)
            if ended.result == "truncated":
                notice(f"pact: exec: {node}: [truncated] {ended.message} (--max-output)")
            yield _result(ended, sink)


class Together:
    """Several nodes: each with its name, as JSON, or folded at the end; what failed is told on standard error."""

    def __init__(self, ctx: Context, nodes: tuple[str, ...], *, fold: bool) -> None:
        self._ctx, self._nodes, self._fold = ctx, nodes, fold
        self._gauge = Gauge(len(nodes), shown=is_shown(ctx.environ))
        self._kept: dict[str, Kept] = {}
        self._prefixed: dict[str, Prefixed] = {}
        self._folded = Folded(_FOLDED_BYTES)

    async def run(self, gate: Gate, line: str, limits: Limits) -> AsyncIterator[Result | Group]:
        """The nodes as they end, or, folded, all when all have ended."""
        now = asyncio.get_running_loop().time
        fanout, tally = Fanout(gate, line, limits), Tally(len(self._nodes))
        with stopping(fanout):
            self._gauge.draw(now())
            async for ended in fanout.results(self._nodes, self._sink_of):
                tally.count(ended)
                result = await self._ended(ended)
                self._gauge.count(now(), failed=ended.status != 0)
                if result is not None:
                    self._gauge.clear()
                    yield result
            self._gauge.clear()
        for nodes, result_of, status, stdout, stderr in self._folded.groups():
            yield Group(fold_nodes(nodes), len(nodes), result_of, status, _text(stdout), _text(stderr))
        gate.ran(tally.last_run())
        if not self._ctx.json:
            for text in tally.lines():
                self._ctx.notice(f"pact: exec: {text}")

    def _sink_of(self, node: str) -> Kept | Prefixed:
        if self._fold or self._ctx.json:
            return self._kept.setdefault(node, Kept())
        return self._prefixed.setdefault(node, Prefixed(node, self._gauge.clear))

    async def _ended(self, ended: Ended) -> Result | None:
        """Print or keep what is left of a node's output; its result, unless that is told with others'."""
        kept, prefixed = self._kept.pop(ended.node, None), self._prefixed.pop(ended.node, None)
        if prefixed is not None:
            await prefixed.finish()
        if ended.message:
            cut = "[truncated] " if ended.result == "truncated" else ""
            self._tell(f"pact: {ended.node}: {cut}{ended.message.removeprefix(f'{ended.node}: ')}")
        if not self._fold:
            return _result(ended, kept)
        if not self._folded.add(ended.node, kept or Kept(), ended.result, ended.status):
            self._tell(f"pact: {ended.node}: [truncated] different outputs of over {_FOLDED_BYTES >> 20} MiB")
        return None

    def _tell(self, text: str) -> None:
        if not self._ctx.json:
            self._gauge.clear()
            self._ctx.notice(text)


def captured(ctx: Context, node: str, argv: tuple[str, ...], *, max_output: int = 16 << 20) -> Result:
    """Run a command on one node and keep what it prints: node verbs are an exec of the node's own `pact`."""
    from pactsh.cli.sshclient import Gate
    from pactsh.cli.stepping import stepwise
    from pactsh.language import join

    limits = Limits(1, ctx.settings.timeout, max_output=max_output)
    (done,) = stepwise(alone(Gate(ctx), node, join(argv), limits, kept=True, notice=ctx.notice))
    return done


def _result(ended: Ended, kept: Kept | None) -> Result:
    stdout, stderr = (None, None) if kept is None else (kept.text(1), kept.text(2))
    return Result(ended.node, ended.result, ended.status, stdout, stderr, ended.message or None)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")

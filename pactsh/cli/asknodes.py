"""Asking several nodes the same: the node's own `pact` is run on each of them, and what it answers read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Generic

import msgspec

from pactsh.cli.context import Context
from pactsh.cli.nodecall import Result, line_there, read_answer
from pactsh.errors import PactError, error_of

if TYPE_CHECKING:
    from pactsh.cli.fanout import Ended
    from pactsh.cli.outputs import Kept

_ANSWER_BYTES = 16 << 20
_CONNECT_S = 15.0


class Error(msgspec.Struct, frozen=True):
    """What `pact` would have ended with, had the node been asked alone."""

    code: int
    kind: str
    message: str
    hint: str = ""


class Failed(msgspec.Struct, frozen=True):
    """A node that has not answered, or with an error; it has been told of on standard error."""

    node: str
    error: Error

    @property
    def exit_status(self) -> int:
        """What ends the program when no other node is worse."""
        return self.error.code


def ask_nodes(
    ctx: Context, nodes: Sequence[str], kind: type[Result], words: Sequence[str]
) -> Iterator[Result | Failed]:
    """What each node answers to the verb and the arguments in `words`, in the order in which they do.

    Who does not answer is warned of on standard error, and how many have answered is told at the end; not with JSON.
    """
    from pactsh.cli.stepping import stepwise

    return stepwise(_Asking(ctx, nodes, kind, words).answers())


class _Asking(Generic[Result]):
    def __init__(self, ctx: Context, nodes: Sequence[str], kind: type[Result], words: Sequence[str]) -> None:
        self._ctx, self._nodes, self._kind, self._words = ctx, nodes, kind, words

    async def answers(self) -> AsyncIterator[Result | Failed]:
        from pactsh.cli.fanout import Fanout, Limits
        from pactsh.cli.gauge import Gauge, is_shown
        from pactsh.cli.onnodes import stopping
        from pactsh.cli.outputs import Kept
        from pactsh.cli.sshclient import Gate
        from pactsh.language import join

        ctx, limit_s = self._ctx, self._ctx.settings.timeout
        limits = Limits(timeout_s=limit_s, connect_s=min(_CONNECT_S, limit_s), max_output=_ANSWER_BYTES)
        fanout = Fanout(Gate(ctx), join(line_there(self._words)), limits)
        gauge, now = Gauge(len(self._nodes), shown=is_shown(ctx.environ)), asyncio.get_running_loop().time
        sinks: dict[str, Kept] = {}
        answered = 0
        with stopping(fanout):
            gauge.draw(now())
            async for ended in fanout.results(self._nodes, lambda node: sinks.setdefault(node, Kept())):
                result = self._read(ended, sinks.pop(ended.node, Kept()))
                failed = isinstance(result, Failed)
                answered += not failed
                gauge.clear()
                if isinstance(result, Failed) and not ctx.json and ended.result not in {"interrupted", "not-started"}:
                    ctx.notice(f"[WARN] {self._warning(ended, result)}")
                yield result
                gauge.count(now(), failed=failed)
            gauge.clear()
        if answered < len(self._nodes) and not ctx.json:
            ctx.notice(f"pact: {self._words[0]}: {answered} of {len(self._nodes)} nodes answered")

    def _read(self, ended: Ended, said: Kept) -> Result | Failed:
        try:
            if ended.result == "ran":
                return read_answer(self._words[0], self._kind, ended.status, said.text(1), said.text(2))
            raise error_of(ended.kind or "error", ended.message or ended.result, ended.hint)
        except PactError as error:
            code = ended.status if ended.result != "ran" else error.code
            return Failed(ended.node, Error(code, error.kind, error.message, error.hint))

    def _warning(self, ended: Ended, failed: Failed) -> str:
        if ended.result == "unreachable":
            return f"{ended.node}: unreachable"
        why = failed.error.message.removeprefix(f"{self._words[0]}: ").removeprefix(f"{ended.node}: ")
        return f"{ended.node}: {why}"

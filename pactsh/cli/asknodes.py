"""Asking several nodes the same: the node's own `pact` is run on each of them, and what it answers read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic

import msgspec

from pactsh.cli import interrupts
from pactsh.cli.context import Context
from pactsh.cli.nodecall import Result, ask_node, line_there, pending_in, read_answer
from pactsh.cli.nodes import is_name
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


class Waiting(msgspec.Struct, frozen=True):
    """A node on which a second person has to agree first; it has been told of on standard error."""

    node: str
    approval: str


def ask_nodes(
    ctx: Context, nodes: Sequence[str], kind: type[Result], words: Sequence[str]
) -> Iterator[Result | Failed | Waiting]:
    """What each node answers to the verb and the arguments in `words`, in the order in which they do.

    Who does not answer is warned of on standard error, and how many have answered is told at the end; not with JSON.
    """
    from pactsh.cli.stepping import stepwise

    return stepwise(_Asking(ctx, nodes, kind, words).answers())


def ask_any(
    ctx: Context,
    text: str | None,
    kind: type[Result],
    several: type[Result],
    method: str,
    params: Mapping[str, object],
    words: Sequence[str],
) -> Result | Iterator[Result | Failed | Waiting]:
    """`ask_node` for no node or the name of one, `ask_nodes` for a nodeset that names several; those answer with
    `several`, a `kind` of its own by which they are shown with their names."""
    if text is None or is_name(text):
        return ask_node(ctx, text, kind, method, params, words)
    from pactsh.cli.sshclient import Gate

    nodes = interrupts.run(Gate(ctx).resolve(text))
    if len(nodes) == 1:
        return ask_node(ctx, nodes[0], kind, method, params, words)
    return ask_nodes(ctx, nodes, several, words)


class _Asking(Generic[Result]):
    def __init__(self, ctx: Context, nodes: Sequence[str], kind: type[Result], words: Sequence[str]) -> None:
        self._ctx, self._nodes, self._kind, self._words = ctx, nodes, kind, words

    async def answers(self) -> AsyncIterator[Result | Failed | Waiting]:
        from pactsh.cli.fanout import Fanout, Limits
        from pactsh.cli.gauge import Gauge
        from pactsh.cli.onnodes import stopping
        from pactsh.cli.outputs import Kept
        from pactsh.cli.progressline import is_shown
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
                result = answer_of(ended, sinks.pop(ended.node, Kept()), self._kind, self._words[0])
                failed = isinstance(result, Failed)
                answered += not failed
                gauge.clear()
                self._tell(ended, result)
                yield result
                gauge.count(now(), failed=failed)
            gauge.clear()
        if answered < len(self._nodes) and not ctx.json:
            ctx.notice(f"pact: {self._words[0]}: {answered} of {len(self._nodes)} nodes answered")

    def _tell(self, ended: Ended, result: Result | Failed | Waiting) -> None:
        if self._ctx.json:
            return
        if isinstance(result, Failed) and ended.result not in {"interrupted", "not-started"}:
            self._ctx.notice(f"[WARN] {self._warning(ended, result)}")
        elif isinstance(result, Waiting):
            self._ctx.notice(f"{result.node}: Pending approval: {result.approval}")

    def _warning(self, ended: Ended, failed: Failed) -> str:
        if ended.result == "unreachable":
            return f"{ended.node}: unreachable"
        why = failed.error.message.removeprefix(f"{self._words[0]}: ").removeprefix(f"{ended.node}: ")
        return f"{ended.node}: {why}"


def answer_of(ended: Ended, said: Kept, kind: type[Result], what: str) -> Result | Failed | Waiting:
    """What a node has answered to the verb `what`, or why that is not known."""
    try:
        if ended.result == "ran":
            if ended.status == 0 and (id_ := pending_in(said.bytes_of(1))):
                return Waiting(ended.node, id_)
            return read_answer(what, kind, ended.status, said.text(1), said.text(2))
        raise error_of(ended.kind or "error", ended.message or ended.result, ended.hint)
    except PactError as error:
        code = ended.status if ended.result != "ran" else error.code
        return Failed(ended.node, Error(code, error.kind, error.message, error.hint))

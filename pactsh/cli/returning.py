"""Waiting until nodes are back: until the agent of each has started again, and said so to the journal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pactsh.cli.delegating import RETURN, Result
from pactsh.cli.interrupts import INTERRUPTED
from pactsh.cli.latticewords import span
from pactsh.cli.nodes import counted_nodes
from pactsh.cli.progressline import ProgressLine, is_shown
from pactsh.errors import UnreachableError

if TYPE_CHECKING:
    from pactsh.cli.context import Context

_POLL_S = 2.0
_STARTED = "agent.start"
_MOST = 1000


def newest_seq(ctx: Context) -> int:
    """The number of the newest entry; 0 where there is none."""
    from pactsh.cli.remote import ask

    return max((entry.seq for entry in ask(ctx, lambda journal: journal.list(1))), default=0)


def wait_back(ctx: Context, names: Sequence[str], since_seq: int, timeout_s: float) -> Iterator[Result]:
    """Wait until the agents of these nodes have started anew, after that entry; each as it does. Of a node of which the
    journal has never heard nothing is waited for. ^C ends the waiting."""
    line = ProgressLine(shown=is_shown(ctx.environ))
    left: list[str] = []
    try:
        left += _with_agents(ctx, names)
        yield from _waited(ctx, left, line, since_seq, timeout_s)
    except KeyboardInterrupt:
        line.clear()
        ctx.notice(f"pact: interrupted: not waited for {counted_nodes(left or names)} any longer")
        for name in left or names:
            yield Result(RETURN, name, "interrupted", INTERRUPTED, "not waited for any longer")
    finally:
        line.clear()


def _with_agents(ctx: Context, names: Sequence[str]) -> list[str]:
    from pactsh.cli.remote import list_nodes

    try:
        known = {node.node for node in list_nodes(ctx)}
    except UnreachableError:
        return list(names)
    strange = [name for name in names if name not in known]
    if strange:
        ctx.notice(f"pact: {counted_nodes(strange)}: pact has no agent there that could say that it is back")
    return [name for name in names if name in known]


def _waited(ctx: Context, left: list[str], line: ProgressLine, since_seq: int, timeout_s: float) -> Iterator[Result]:
    began = time.monotonic()
    while left:
        line.draw(f"waiting until {counted_nodes(left)} is back", f" ({span(time.monotonic() - began)})")
        try:
            for name in _started(ctx, left, since_seq):
                left.remove(name)
                line.clear()
                after = span(time.monotonic() - began)
                yield Result(RETURN, name, "done", text=f"Back: {name} after {after}")
        except UnreachableError as error:
            line.draw(f"{error.message}; trying again")
        if left and time.monotonic() - began >= timeout_s:
            break
        if left:
            ctx.sleep(min(_POLL_S, timeout_s))
    line.clear()
    for name in list(left):
        left.remove(name)
        text, hint = f"{name} is not back after {span(timeout_s)}", "more time: --wait-timeout"
        if not ctx.json:
            ctx.notice(f"pact: {text}")
            ctx.notice(f"hint: {hint}")
        yield Result(RETURN, name, "failed", UnreachableError.code, text, {}, UnreachableError.kind, hint)


def _started(ctx: Context, names: Sequence[str], since_seq: int) -> list[str]:
    from pactsh.cli.remote import ask

    most = min(_MOST, 50 + 4 * len(names))
    entries = ask(ctx, lambda journal: journal.list(most, type=_STARTED))
    started = {entry.scope.removeprefix("node:") for entry in entries if entry.seq > since_seq}
    return [name for name in names if name in started]

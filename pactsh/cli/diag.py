"""`pact diag`: logs of nodes, searched there; what comes is what was looked for.

One node: a section a source. Several: each line with its node before it, in the order in which they answer; one that
does not answer is warned of, and the rest is still printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import click
import msgspec

from pactsh.cli import interrupts
from pactsh.cli.arguments import NODES, parse_since
from pactsh.cli.asknodes import Failed, Waiting, ask_nodes
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.nodecall import ask_node
from pactsh.cli.nodes import is_name
from pactsh.cli.render import Out
from pactsh.errors import UsageError
from pactsh.model.logs import LINES, MOST_LINES, GrepError, Source, checked_grep


@dataclass(frozen=True, slots=True)
class Args:
    """Which nodes (none: this one), and what of their logs. `since` is still text."""

    nodes: tuple[str, ...]
    lines: int
    source: Source
    service: str | None
    grep: str | None
    since: str | None


class SourceLogs(msgspec.Struct, frozen=True):
    """A log: how many lines come of it; `limit`: what kept older ones out; `error`: why it could not be read."""

    source: str
    lines: int
    truncated: bool
    limit: Literal["lines", "size", "time"] | None = None
    error: str | None = None


class LogLine(msgspec.Struct, frozen=True):
    """A line, and which log it is from."""

    source: str
    text: str


class NodeLogs(msgspec.Struct, frozen=True):
    """What one node has; `truncated`: some log has more."""

    node: str
    truncated: bool
    sources: tuple[SourceLogs, ...]
    lines: tuple[LogLine, ...]


class OneOfSeveral(NodeLogs, frozen=True):
    """The same of a node that was not asked alone."""


Result = NodeLogs | Failed | Waiting


def run(ctx: Context, args: Args) -> NodeLogs | Iterator[Result]:
    """Ask one node's agent, raising what it raises, or several. Raises `UsageError` for a pattern that is none."""
    params = _params(ctx, args)
    words = ["diag", *(f"--{name}={value}" for name, value in params.items())]
    text = _nodeset(ctx, args)
    if not text or is_name(text):
        return ask_node(ctx, text or None, NodeLogs, "diag", params, words)
    from pactsh.cli.sshclient import Gate

    nodes = interrupts.run(Gate(ctx).resolve(text))
    if len(nodes) == 1:
        return ask_node(ctx, nodes[0], NodeLogs, "diag", params, words)
    return ask_nodes(ctx, nodes, OneOfSeveral, words)


def _nodeset(ctx: Context, args: Args) -> str:
    """Which nodes, as one nodeset; "" for this one."""
    if "vcluster" not in ctx.explicit:
        return ",".join(args.nodes)
    if args.nodes:
        raise UsageError("diag: give NODES or --vcluster, not both")
    return f"@{ctx.settings.vcluster}"


def _params(ctx: Context, args: Args) -> dict[str, str | int]:
    """What the agent is asked; without what is as by default."""
    try:
        checked_grep(args.grep or "")
    except GrepError as error:
        from pactsh.shell.report import underlined

        marked = underlined(args.grep or "", error.span, where="  ")
        raise UsageError(error.message, hint=error.hint, more=tuple(marked)) from None
    if args.service is not None and args.source == "system":
        raise UsageError("diag: --source system is without the services: leave it or --service out")
    since = parse_since(args.since, ctx.now()) if args.since else None
    given: dict[str, str | int | None] = {
        "lines": args.lines,
        "source": args.source,
        "service": args.service,
        "grep": args.grep or None,
        "since": since,
    }
    return {name: value for name, value in given.items() if value is not None}


_LIMITS = {
    "lines": "older lines are left out, --lines shows more",
    "size": "older lines are left out, that is too much text",
    "time": "it was not searched to its beginning in time",
}


def text_lines(logs: NodeLogs) -> Iterator[str]:
    """A section a source: its name, what is missing, its lines."""
    at = 0
    for source in logs.sources:
        yield f"--- {source.source} ---"
        if source.error is not None:
            yield f"(not read: {source.error})"
        if source.truncated:
            yield f"(truncated: {_LIMITS.get(source.limit or '', 'there is more')})"
        if not source.lines and source.error is None and not source.truncated:
            yield "(no lines)"
        yield from (line.text for line in logs.lines[at : at + source.lines])
        at += source.lines
    if not logs.sources:
        yield "(no logs)"


def render(result: Result, out: Out) -> None:
    """The sections; of one of several nodes with its name before each line."""
    if isinstance(result, Failed | Waiting):
        return  # it was told on standard error
    before = f"[{result.node}] " if isinstance(result, OneOfSeveral) else ""
    for line in text_lines(result):
        out.line(before + line)


command: Command[Args, Result] = Command(
    "diag",
    help="Gather and filter logs of nodes.\n\n"
    "The kernel's log, the system's (journald or syslog), those of services and files that the vCluster's policy "
    "names, searched on the nodes. NODES are nodesets: node042, node[001-100]; --vcluster X stands for @X. On a node "
    "they default to that node.",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["nodes"], metavar="[NODES]...", nargs=-1, type=NODES),
        click.Option(
            ["--lines"],
            type=click.IntRange(1, MOST_LINES),
            default=LINES,
            show_default=True,
            metavar="N",
            help=f"At most N lines of each log, the newest, counted after the filter; {MOST_LINES} at most.",
        ),
        click.Option(
            ["--source"],
            type=click.Choice(get_args(Source)),
            default="all",
            show_default=True,
            help="The system's logs, those of services, or both.",
        ),
        click.Option(["--service"], metavar="S", help="Only the log of this service."),
        click.Option(["--grep"], metavar="RE", help="Only lines that match this regular expression (RE2)."),
        click.Option(["--since"], metavar="T", help="Not before T: RFC 3339, 2h, '3 days ago', yesterday."),
    ],
)

"""`pact diff`: what differs on a node from what is declared, or what has been committed there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODES
from pactsh.cli.asknodes import Failed, Waiting, ask_any
from pactsh.cli.changes import Change, ago, clock, shown
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out


@dataclass(frozen=True, slots=True)
class Args:
    """The node (None: this one); `committed`: its deltas in place of its drift, `contents`: with their files."""

    node: str | None
    committed: bool
    contents: bool


class Drifted(msgspec.Struct, frozen=True):
    """A key that differs; None is "not there". `by` is None where nobody is known to have changed it."""

    dimension: str
    key: str
    declared: str | None
    actual: str | None
    by: str | None
    since: str
    lost: str | None = None


class Drift(msgspec.Struct, frozen=True):
    """What differs, and what is left of the commit window (seconds; None: none is open)."""

    node: str
    drift: tuple[Drifted, ...]
    window_s: float | None
    state: str


class Delta(msgspec.Struct, frozen=True):
    """A committed delta. `seq` is None until the journal has numbered it; `expires` in seconds since the epoch."""

    seq: int | None
    by: str
    time: str
    message: str
    expires: float | None
    changes: tuple[Change, ...]


class Deltas(msgspec.Struct, frozen=True):
    """The committed deltas, oldest first; `contents` are texts of files in them, by SHA-256, if asked for."""

    node: str
    deltas: tuple[Delta, ...]
    contents: dict[str, str] = {}


class DriftOfSeveral(Drift, frozen=True):
    """The same of a node that was not asked alone."""


class DeltasOfSeveral(Deltas, frozen=True):
    """The same of a node that was not asked alone."""


Result = Drift | Deltas | Failed | Waiting


def run(ctx: Context, args: Args) -> Result | Iterator[Result]:
    """Ask the nodes' agents."""
    if args.committed:
        words = ("diff", "--committed", *(("--contents",) if args.contents else ()))
        params = {"contents": args.contents}
        return ask_any(ctx, args.node, Deltas, DeltasOfSeveral, "deltas", params, words)
    return ask_any(ctx, args.node, Drift, DriftOfSeveral, "diff", {}, ("diff",))


def render(result: Result, out: Out) -> None:
    """A line for each difference, or for each committed change; of several nodes behind the node's name."""
    if isinstance(result, Failed | Waiting):
        return
    if isinstance(result, DriftOfSeveral | DeltasOfSeveral):
        out.behind(f"{result.node}: ", lambda page: _render(result, page))
    else:
        _render(result, out)


def _render(result: Drift | Deltas, out: Out) -> None:
    if isinstance(result, Deltas):
        for delta in result.deltas:
            number = f"seq:{delta.seq}" if delta.seq else "not yet in the journal"
            for change in delta.changes:
                out.line(_committed(change) + f" (committed {number}, {ago(delta.time)})")
        if not result.deltas:
            out.line("(no committed node deltas)")
        return
    for item in result.drift:
        who = item.by or "unattributed"
        values = f"declared={shown(item.declared)} actual={shown(item.actual)}"
        lost = f"; {item.lost}" if item.lost else ""
        out.line(f"{item.dimension}: {item.key} {values} ({who}, {ago(item.since)}){lost}")
    if not result.drift:
        out.line("(no drift)")
    elif result.window_s is not None:
        out.line(f"Commit window: {clock(result.window_s)} left, then it is rolled back")


def _committed(change: Change) -> str:
    if change.dimension == "kernel":
        return f"{change.dimension}: {change.key} = {shown(change.after)}"
    return f"{change.dimension}: {change.key} {shown(change.after)}"


command: Command[Args, Result] = Command(
    "diff",
    help="""Show what differs from the declared state.

    Each line says who changed it, where that is known. NODE may be a nodeset. On a node it
    defaults to that node.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["node"], type=NODES, required=False),
        click.Option(["--committed"], is_flag=True, help="The node's committed deltas."),
        click.Option(["--contents"], is_flag=True, help="With --committed as JSON: the texts of files in them."),
    ],
)

"""`pact rollback`: undo what nobody committed, or go back to an earlier declared state."""

from __future__ import annotations

from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODE
from pactsh.cli.changes import Change, counted, shown
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.nodecall import ask_node
from pactsh.cli.render import Out


@dataclass(frozen=True, slots=True)
class Args:
    """`seq`: the entry whose declared state to go back to; None: undo uncommitted drift only."""

    seq: int | None
    node: str | None
    dry_run: bool


class Result(msgspec.Struct, frozen=True):
    """What was undone, or with `dry_run` would be; `reported` is what pact can't undo, `overlay` the version of the
    vCluster's overlay that stays in force."""

    node: str
    to: int | None
    dry_run: bool
    undone: tuple[Change, ...]
    reported: tuple[Change, ...] = ()
    overlay: int | None = None


def run(ctx: Context, args: Args) -> Result:
    """Have the node's agent undo it; raises its `RollbackError` when something is held."""
    words = ["rollback", *([] if args.seq is None else [str(args.seq)]), *(["--dry-run"] if args.dry_run else [])]
    return ask_node(ctx, args.node, Result, "rollback", {"to": args.seq, "dry_run": args.dry_run}, words)


def render(result: Result, out: Out) -> None:
    """What came of it in one line; with `--dry-run` a line for each change."""
    if result.dry_run:
        for change in result.undone:
            out.line(f"{change.dimension}: {change.key} {shown(change.after)} -> {shown(change.before)}")
        out.line(f"Would undo {counted(len(result.undone))} on {result.node}")
    else:
        to = f" to seq:{result.to}" if result.to else ""
        out.line(f"Rolled back {result.node}{to} ({counted(len(result.undone))} undone)")
    if result.overlay is not None:
        out.line(f"The vCluster's overlay stays as it is (version {result.overlay}): pact apply changes it")
    for change in result.reported:
        out.line(f"{change.dimension}: {change.key} stays {shown(change.after)}: pact does not undo it")


command: Command[Args, Result] = Command(
    "rollback",
    help="""Undo changes on a node.

    Without SEQ what nobody has committed; with it everything since entry SEQ, committed or not. What something still
    holds stays, and is named (status 10); the rest is undone all the same.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["seq"], type=click.IntRange(1, (1 << 63) - 1), required=False),
        click.Option(["--node"], type=NODE, help="The node; on a node: that one."),
        click.Option(["--dry-run"], is_flag=True, help="Show what would be undone."),
    ],
)

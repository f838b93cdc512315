"""`pact commit`: make what has drifted on a node its declared state."""

from __future__ import annotations

from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODE
from pactsh.cli.changes import Change, counted
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.nodecall import ask_node
from pactsh.cli.render import Out
from pactsh.model.delta import LONGEST_TTL_S, SHORTEST_TTL_S


@dataclass(frozen=True, slots=True)
class Args:
    """`ttl` in seconds, None for ever; `only` names drift as DIMENSION:KEY, all of it when empty."""

    message: str
    node: str | None
    ttl: int | None
    only: tuple[str, ...]
    no_wait: bool


class Result(msgspec.Struct, frozen=True):
    """What was committed. `seq` is None while the journal has not numbered it."""

    node: str
    seq: int | None
    changes: tuple[Change, ...]


def run(ctx: Context, args: Args) -> Result:
    """Have the node's agent commit; raises its `ConflictError`, `NotFoundError` and alike."""
    params = {"message": args.message, "ttl": args.ttl, "only": list(args.only), "wait": not args.no_wait}
    words = ["commit", "--message", args.message]
    words += [] if args.ttl is None else ["--ttl", str(args.ttl)]
    words += [word for name in args.only for word in ("--only", name)]
    words += ["--no-wait"] if args.no_wait else []
    return ask_node(ctx, args.node, Result, "commit", params, words)


def render(result: Result, out: Out) -> None:
    """One line, with the entry's number."""
    number = f" seq:{result.seq}" if result.seq else ""
    later = "" if result.seq else "; the journal has not numbered it yet"
    out.line(f"Committed{number} on {result.node} ({counted(len(result.changes))}){later}")


command: Command[Args, Result] = Command(
    "commit",
    help="""Commit what has drifted on a node.

    It becomes part of the node's declared state: it is put back when the node starts anew, and no longer rolled
    back.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Option(["-m", "--message"], metavar="MSG", required=True, help="What it is for."),
        click.Option(["--node"], type=NODE, help="The node; on a node: that one."),
        click.Option(
            ["--ttl"],
            type=click.IntRange(SHORTEST_TTL_S, LONGEST_TTL_S),
            metavar="SECONDS",
            help="It ends by itself after that time: between 15 min and 10 days.",
        ),
        click.Option(["--only"], metavar="DIM:KEY", multiple=True, help="Only this; may be given more than once."),
        click.Option(["--no-wait"], is_flag=True, help="Don't wait for the journal's number."),
    ],
)

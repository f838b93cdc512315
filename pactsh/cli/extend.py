"""`pact extend`: lengthen a node's open commit window."""

from __future__ import annotations

from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODE
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.nodecall import ask_node
from pactsh.cli.render import Out

_DEFAULT_MIN, _LONGEST_MIN, _SAME_DAY_S = 15, 1440, 12 * 3600


@dataclass(frozen=True, slots=True)
class Args:
    """By how much, in minutes."""

    minutes: int
    node: str | None


class Result(msgspec.Struct, frozen=True):
    """The longer window: seconds left, and when it ends (RFC 3339 UTC)."""

    node: str
    minutes: int
    left_s: float
    ends: str


def run(ctx: Context, args: Args) -> Result:
    """Have the node's agent lengthen it; raises its `ConflictError` when none is open."""
    return ask_node(ctx, args.node, Result, "extend", {"minutes": args.minutes}, ("extend", str(args.minutes)))


def render(result: Result, out: Out) -> None:
    """One line: by how much, until when."""
    day = "" if result.left_s < _SAME_DAY_S else f"{result.ends[:10]} "
    out.line(f"Commit window on {result.node} extended by {result.minutes} min, ends {day}{result.ends[11:19]} UTC")


command: Command[Args, Result] = Command(
    "extend",
    help="Lengthen the open commit window.\n\nBy MINS minutes, 15 if not said.",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(
            ["minutes"], metavar="[MINS]", type=click.IntRange(1, _LONGEST_MIN), required=False, default=_DEFAULT_MIN
        ),
        click.Option(["--node"], type=NODE, help="The node; on a node: that one."),
    ],
)

"""`pact emergency`: begin or end emergency mode on a node.

On a node its agent is asked; from elsewhere the node's own `pact emergency` is run there.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODE
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.nodecall import ask_node
from pactsh.cli.render import Out
from pactsh.errors import UsageError


@dataclass(frozen=True, slots=True)
class Args:
    """Begin with a reason, or end: with the drift committed (`message` says what for) or rolled back. `force` ends
    another's whose time has run out."""

    reason: str | None
    end: bool
    force: bool
    node: str | None
    commit: bool = False
    message: str | None = None
    rollback: bool = False


class Result(msgspec.Struct, frozen=True):
    """The emergency that is on now, or has ended: who began it, why, and until when it lasts at most (RFC 3339 UTC)."""

    node: str
    principal: str
    reason: str
    until: str
    ended: bool = False


def run(ctx: Context, args: Args) -> Result:
    """Ask the agent; raises its `ConflictError`, `ForbiddenError` and alike."""
    if args.end == (args.reason is not None):
        raise UsageError(
            "emergency: give either --reason or --end", hint="pact emergency --reason 'what has happened', then --end"
        )
    if args.force and not args.end:
        raise UsageError("emergency: --force goes with --end")
    if (args.commit or args.rollback) and not args.end:
        raise UsageError("emergency: --commit and --rollback go with --end")
    if args.commit and args.rollback:
        raise UsageError("emergency: give either --commit or --rollback")
    if args.commit != (args.message is not None):
        raise UsageError("emergency: --commit and --message go together", hint="--end --commit -m 'what it was for'")
    method, params, words = _question(args)
    return ask_node(ctx, args.node, Result, method, params, ("emergency", *words), ended=args.end)


def _question(args: Args) -> tuple[str, dict[str, object], list[str]]:
    """What to ask the agent, and in which words to ask another node's."""
    if not args.end:
        return "emergency_start", {"reason": args.reason}, ["--reason", str(args.reason)]
    words = ["--end", *(["--force"] if args.force else []), *(["--rollback"] if args.rollback else [])]
    words += [] if args.message is None else ["--commit", "--message", args.message]
    return "emergency_end", {"force": args.force, "commit": args.message, "rollback": args.rollback}, words


def render(result: Result, out: Out) -> None:
    """One line: what is on, and what that means."""
    if result.ended:
        out.line(f"Emergency on {result.node} ended: {result.reason} (by {result.principal})")
        return
    text = f"EMERGENCY on {result.node} until {result.until[11:16]} UTC (4 h)."
    out.line(f"{text} Everything is journaled; automatic rollback is off.")


command: Command[Args, Result] = Command(
    "emergency",
    help="""Enter or leave emergency mode.

    For a node that has to be mended at once. The whitelist stays as it is, everything is recorded; where the
    node's disk takes no record any more, platform admins can go on, recorded in the kernel's log.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Option(["--reason"], metavar="WHY", help="Begin; says why, for the journal."),
        click.Option(["--end"], is_flag=True, help="End it."),
        click.Option(["--commit"], is_flag=True, help="With --end: commit what has drifted."),
        click.Option(["-m", "--message"], metavar="MSG", help="With --commit: what it is for."),
        click.Option(["--rollback"], is_flag=True, help="With --end: undo what has drifted."),
        click.Option(["--force"], is_flag=True, help="With --end: another's, whose time has run out."),
        click.Option(["--node"], type=NODE, help="The node; on a node: that one."),
    ],
)

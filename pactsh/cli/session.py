"""`pact session`: which sessions there are and were, and what was recorded of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pactsh.cli import playing, sessionlist
from pactsh.cli.arguments import NODE, NumberType, parse_since
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.cli.sessionlist import Listing
from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.cli.recordings import Found
    from pactsh.model.asciicast import Event


@dataclass(frozen=True, slots=True)
class ListArgs:
    """Which ones: of a node, since when (still text), whose, only those that go on; at most `n`."""

    node: str | None
    since: str | None
    user: str | None
    live: bool
    n: int


def run_list(ctx: Context, args: ListArgs) -> Listing:
    """From the journal, and on a node from its agent as well."""
    since = parse_since(args.since, ctx.now()) if args.since else None
    wanted = sessionlist.Wanted(args.node, since, args.user, args.live, args.n)
    return sessionlist.listing(ctx, wanted)


@dataclass(frozen=True, slots=True)
class PlayArgs:
    """An id or a file, where it is, and how to play it; `idle_limit` in seconds."""

    what: str
    node: str | None
    speed: float
    idle_limit: float | None
    dump: bool
    force: bool


@dataclass(frozen=True, slots=True)
class Playing:
    """A recording that is about to be shown. `sleep` waits where there is no keyboard to wait at."""

    found: Found
    args: PlayArgs
    ctx: Context


def run_play(ctx: Context, args: PlayArgs) -> Playing | Iterator[Event]:
    """Fetch it, say whether it is what was recorded, and look through it to its end. In JSON: its events."""
    if not (ctx.json or args.dump or os.isatty(1)):
        raise UsageError(
            "session play: a recording is played on a terminal, and this is none",
            hint="--dump prints its text; pact session export gives the file itself",
        )
    found = _found(ctx, args, how="play")
    header, events = found.read()
    for _ in events:  # an error now, and not in the middle of it
        pass
    if ctx.json:
        return found.read()[1]
    if not args.dump and os.isatty(1) and (header.width, header.height) > (size := os.get_terminal_size(1)):
        ctx.notice(f"pact: recorded at {header.width}x{header.height}, this terminal is {size.columns}x{size.lines}")
    return Playing(found, args, ctx)


def _found(ctx: Context, args: PlayArgs | ExportArgs, *, how: str) -> Found:
    from pactsh.cli.recordings import check, fetch, is_id, read_file

    if is_id(args.what):
        found = fetch(ctx, args.what, args.node, how=how, force=args.force)
    elif args.node is not None:
        raise UsageError("session: --node is for the id of a session, not for a file")
    else:
        found = read_file(args.what)
    ctx.notice(f"pact: {check(ctx, found, force=args.force)}")
    return found


def render_play(result: Playing | Event, out: Out) -> None:
    """Its output with its timing, or its text."""
    assert isinstance(result, Playing)  # events are for JSON alone
    args, events = result.args, result.found.read()[1]
    if args.dump:
        playing.dump(events, out)
    else:
        playing.play(playing.delays(events, args.speed, args.idle_limit), out, result.ctx.sleep)


@dataclass(frozen=True, slots=True)
class ExportArgs:
    """The id of a session, and where it was."""

    what: str
    node: str | None
    force: bool


def run_export(ctx: Context, args: ExportArgs) -> Found:
    """Fetch it. Raises `UsageError` where the file would go to a terminal."""
    from pactsh.cli.recordings import is_id

    if not is_id(args.what):
        raise UsageError(f"session export: expected the id of a session, got {args.what!r}")
    if os.isatty(1):
        raise UsageError("session export: this would write the file to the terminal", hint="add > FILE")
    return _found(ctx, args, how="export")


def render_export(result: Found, out: Out) -> None:
    """The file, byte for byte."""
    out.raw(result.data)


class _Exporting(Command[ExportArgs, "Found"]):
    """Its result is a file, whatever `--output` says: that is for its errors."""

    def _show(self, result: Found, out: Out, _context: Context, _render: object) -> int:
        render_export(result, out)
        return 0


_NODE = click.Option(["--node"], type=NODE, help="The node; on a node: that one.")
_FORCE = click.Option(["--force"], is_flag=True, help="Go on where the hash is not the journal's.")

LIST: Command[ListArgs, Listing] = Command(
    "list",
    help="List sessions, newest first.",
    run=run_list,
    render=sessionlist.render,
    args=ListArgs,
    params=[
        click.Option(["--node"], type=NODE, help="Only of this node; on a node: that one."),
        click.Option(["--since"], metavar="T", help="Begun not before T: RFC 3339, 2h, '3 days ago', yesterday."),
        click.Option(["--user"], metavar="P", help="Only of this principal."),
        click.Option(["--live"], is_flag=True, help="Only those that go on."),
        click.Option(["-n"], type=click.IntRange(1, 10_000), default=50, metavar="N", help="At most N (50)."),
    ],
)
PLAY: Command[PlayArgs, Playing | Event] = Command(
    "play",
    help="Play a recording on this terminal.\n\n"
    "ID|FILE is the id of a session, or a file with an asciicast (version 2). Space pauses, q and Ctrl-C end it.",
    run=run_play,
    render=render_play,
    args=PlayArgs,
    params=[
        click.Argument(["what"], metavar="ID|FILE"),
        _NODE,
        click.Option(["--speed"], type=NumberType(0.01, 1000), default=1.0, metavar="X", help="X times as fast (1)."),
        click.Option(["--idle-limit"], type=NumberType(min=0), metavar="S", help="No pause is longer than S seconds."),
        click.Option(["--dump"], is_flag=True, help="Print the text at once."),
        _FORCE,
    ],
)
EXPORT: Command[ExportArgs, Found] = _Exporting(
    "export",
    help="Write a recording to standard output, as asciinema plays it.",
    run=run_export,
    render=render_export,
    args=ExportArgs,
    params=[click.Argument(["what"], metavar="ID"), _NODE, _FORCE],
)

command = Group("session", help="List sessions, and play what was recorded of them.", commands=[LIST, PLAY, EXPORT])

"""`pact log`: the journal's history, newest first; its verification; its export to a file.

On a node the agent is asked, from elsewhere the journal. What a file holds is read without either
(`--from-export`), so that an auditor needs no access to anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click

from pactsh.cli import verify
from pactsh.cli.arguments import ENTRY_TYPE, SCOPE, parse_since
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.entries import show_entry
from pactsh.cli.render import Out
from pactsh.cli.sources import Filter, open_source
from pactsh.errors import UsageError
from pactsh.model.entry import Entry


@dataclass(frozen=True, slots=True)
class Args:
    """The filters, and what to do instead of listing. `since` is still text."""

    n: int
    scope: str | None
    since: str | None
    type: str | None
    author: str | None
    follow: bool
    verify: bool
    export: Path | None
    from_export: Path | None
    anchor: Path | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries, newest first."""

    entries: tuple[Entry, ...]


Result = Listing | Entry | verify.Verified | verify.Exported


def run(ctx: Context, args: Args) -> Result | Iterator[Result]:
    """List, follow, verify or export; raises `UsageError` for options that don't go together."""
    _check(args)
    if args.export is not None:
        return verify.export_to(ctx, args.export)
    if args.verify:
        return verify.verify(ctx, args.from_export, args.anchor)
    since = parse_since(args.since, ctx.now()) if args.since else None
    wanted = Filter(scope=args.scope, type=args.type, author=args.author, since=since)
    if args.from_export is not None:
        newest_first = reversed([e for e in verify.read_entries(args.from_export) if wanted.accepts(e)])
        return Listing(tuple(islice(newest_first, args.n)))
    source = open_source(ctx)
    if args.follow:
        return source.follow(wanted, args.n)
    return Listing(tuple(source.list(wanted, args.n)))


def _check(args: Args) -> None:
    filters = any((args.scope, args.since, args.type, args.author, args.follow))
    if args.verify and filters:
        raise UsageError("log: --verify checks the whole chain; it takes no filter and no --follow")
    if args.anchor and not args.verify:
        raise UsageError("log: --anchor needs --verify")
    if args.export and (args.verify or args.from_export or filters):
        raise UsageError("log: --export writes the whole chain; it takes no other option of log")
    if args.from_export and args.follow:
        raise UsageError("log: --from-export reads a file: it can't --follow")


def render(result: Result, out: Out) -> None:
    """A line an entry; for a verification one sentence."""
    match result:
        case Listing(entries):
            for entry in entries:
                show_entry(entry, out)
        case Entry():
            show_entry(result, out)
        case verify.Verified():
            verify.render_verified(result, out)
        case verify.Exported():
            verify.render_exported(result, out)


_FILE = click.Path(dir_okay=False, path_type=Path)

command: Command[Args, Result] = Command(
    "log",
    help="Show and verify the journal.\n\nOn a node its agent answers; from elsewhere the journal does.",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Option(["-n"], type=click.IntRange(1, 100_000), default=20, metavar="N", help="At most N entries (20)."),
        click.Option(["--scope"], type=SCOPE, help="Only entries of this scope."),
        click.Option(["--since"], metavar="T", help="Not before T: RFC 3339, 2h, '3 days ago', yesterday."),
        click.Option(["--type"], type=ENTRY_TYPE, help="Only entries of this type."),
        click.Option(["--author"], metavar="A", help="Only entries of this principal."),
        click.Option(["--follow", "-f"], is_flag=True, help="Oldest first, and go on with new entries until Ctrl-C."),
        click.Option(["--verify"], is_flag=True, help="Walk the hash chain and check the signed heads."),
        click.Option(["--anchor"], type=_FILE, metavar="FILE", help="With --verify: signed heads kept elsewhere."),
        click.Option(
            ["--export"], type=_FILE, metavar="FILE", help="Write the whole chain and its heads to a new FILE."
        ),
        click.Option(["--from-export"], type=_FILE, metavar="FILE", help="Read FILE instead of asking anybody."),
    ],
)

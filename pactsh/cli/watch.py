"""`pact watch`: journal entries as they happen, until Ctrl-C; it reconnects by itself and skips none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from pactsh.cli.arguments import ENTRY_TYPE, NODE
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.entries import show_entry
from pactsh.cli.sources import Filter, Source, open_source
from pactsh.errors import UnreachableError, UsageError
from pactsh.model.entry import Entry

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Args:
    """The filters. `from_seq` starts in the past."""

    node: str | None
    from_seq: int | None
    type: str | None
    author: str | None


def run(ctx: Context, args: Args) -> Iterator[Entry]:
    """Follow the journal; the scope is a node's, a vCluster's, or everything one may read."""
    vcluster = ctx.settings.vcluster if "vcluster" in ctx.explicit else None
    if args.node and vcluster:
        raise UsageError("watch: give --node or --vcluster, not both")
    scope = f"node:{args.node}" if args.node else f"vcluster:{vcluster}" if vcluster else None
    return persistent(
        open_source(ctx), Filter(scope=scope, type=args.type, author=args.author), args.from_seq, ctx.notice, ctx.sleep
    )


def persistent(
    source: Source,
    wanted: Filter,
    from_seq: int | None,
    notice: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Iterator[Entry]:
    """Follow `source`; after a lost connection go on behind the last entry seen, with growing pauses.

    A source that can't be reached at the very first is an error: that is a wrong endpoint, not an outage.
    Hence, too, the first question: without a number to start from, a connection lost before the first entry
    would skip what happened meanwhile.
    """
    newest = source.list(Filter(), 1)
    following = from_seq or (newest[0].seq + 1 if newest else 1)
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            for entry in source.follow(wanted, 0, following):
                pause_s, following = FIRST_PAUSE_S, entry.seq + 1
                yield entry
        except UnreachableError as error:
            notice(f"pact: watch: {error.message}; trying again in {pause_s:g} s")
        sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


command: Command[Args, Entry] = Command(
    "watch",
    help="Show journal entries as they happen.\n\nGoes on until Ctrl-C, and by itself after a lost connection.",
    run=run,
    render=show_entry,
    args=Args,
    params=[
        click.Option(["--node"], type=NODE, help="Only this node's entries."),
        click.Option(["--from", "from_seq"], type=click.IntRange(1), metavar="SEQ", help="Start with entry SEQ."),
        click.Option(["--type"], type=ENTRY_TYPE, help="Only entries of this type."),
        click.Option(["--author"], metavar="PRINCIPAL", help="Only what this person did."),
    ],
)

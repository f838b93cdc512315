"""`pact audit`: what an auditor asks for, of pact and of lattice, newest first, each with where it comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from pactsh.cli.arguments import parse_since
from pactsh.cli.bothsides import Trouble, trouble_of
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.entries import colour_of, describe, short_scope, short_time
from pactsh.cli.render import Out
from pactsh.cli.sources import Filter, open_source
from pactsh.errors import PactError, UnreachableError
from pactsh.model.audited import AUDITED
from pactsh.model.entry import Entry

if TYPE_CHECKING:
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.delegates.lattice.model import AuditEntry
    from pactsh.rpc.client import Journal

Source = Literal["pact", "lattice"]
_WHAT = "lattice's audit"
_NONE = "lattice has recorded none, which is not to say that nothing was done there: today's lattice records nothing"


@dataclass(frozen=True, slots=True)
class Args:
    """The filters; `since` is still text. `source`: None is all that are configured."""

    source: str | None
    n: int
    since: str | None
    author: str | None


@dataclass(frozen=True, slots=True)
class Audited:
    """One entry. `id` is its number with pact, `scope` with lattice a tenant, `entry` all there is of it."""

    source: Source
    time: str | None
    id: str
    type: str
    scope: str
    author: str
    message: str
    entry: Entry | AuditEntry


@dataclass(frozen=True, slots=True)
class Audit:
    """The newest first; `errors` say which source could not be asked, and why."""

    entries: tuple[Audited, ...]
    errors: dict[Source, Trouble]

    @property
    def exit_status(self) -> int:
        """That of what went wrong: 5 for a source that can't be reached."""
        return max((error.code for error in self.errors.values()), default=0)


def run(ctx: Context, args: Args) -> Audit:
    """Ask both, or one; of one alone what goes wrong is an error."""
    since = parse_since(args.since, ctx.now()) if args.since else None
    filters = [Filter(type=type_, author=args.author, since=since) for type_ in AUDITED]

    def about(lattice: Lattice) -> list[AuditEntry]:
        found = lattice.audit(user=args.author or "")
        if not found:
            ctx.notice(f"pact: audit: {_NONE}")
        return [entry for entry in found if since is None or (entry.time is not None and entry.time >= since)]

    has_lattice = ctx.settings.lattice_endpoint is not None
    if args.source == "lattice":
        return _merged(ctx, [], _lattice_alone(ctx, about), args.n)
    if args.source == "pact" or not has_lattice:
        return _merged(ctx, _pact_alone(ctx, filters, args.n), [], args.n)
    pact, lattice = (
        _here(ctx, filters, about, args.n) if ctx.node is not None else _elsewhere(ctx, filters, about, args.n)
    )
    return _merged(ctx, pact, lattice, args.n)


def _pact_alone(ctx: Context, filters: Sequence[Filter], n: int) -> list[Entry]:
    if ctx.node is not None:
        source = open_source(ctx)
        return [entry for wanted in filters for entry in source.list(wanted, n)]
    from pactsh.cli.remote import ask

    return ask(ctx, lambda journal: _listed(journal, filters, n))


def _lattice_alone(ctx: Context, about: Callable[[Lattice], list[AuditEntry]]) -> list[AuditEntry]:
    from pactsh.cli.latticeread import reading
    from pactsh.cli.twosides import not_for

    with reading(ctx) as lattice:
        if not lattice.sight.everything:
            raise not_for(lattice.sight.user, _WHAT)
        return about(lattice)


def _elsewhere(
    ctx: Context, filters: Sequence[Filter], about: Callable[[Lattice], list[AuditEntry]], n: int
) -> tuple[list[Entry] | PactError, list[AuditEntry] | PactError]:
    from pactsh.cli.twosides import either

    pact, lattice = either(
        ctx, lambda journal: _listed(journal, filters, n), about, ctx.settings.timeout, for_all=_WHAT
    )
    assert lattice is not None  # one is configured
    return pact, lattice


def _here(
    ctx: Context, filters: Sequence[Filter], about: Callable[[Lattice], list[AuditEntry]], n: int
) -> tuple[list[Entry] | PactError, list[AuditEntry] | PactError]:
    """On a node, whose agent asks the journal; lattice is asked from here."""
    pact: list[Entry] | PactError
    lattice: list[AuditEntry] | PactError
    try:
        pact = _pact_alone(ctx, filters, n)
    except UnreachableError as error:
        pact = error
    try:
        lattice = _lattice_alone(ctx, about)
    except PactError as error:
        lattice = error
    return pact, lattice


async def _listed(journal: Journal, filters: Sequence[Filter], n: int) -> list[Entry]:
    """The last `n` of each; the journal takes one type at a time."""
    asked = [
        journal.list(n, type=wanted.type or "", author=wanted.author or "", since=wanted.since or "")
        for wanted in filters
    ]
    return [entry for found in await asyncio.gather(*asked) for entry in found]


def _merged(ctx: Context, pact: list[Entry] | PactError, lattice: list[AuditEntry] | PactError, n: int) -> Audit:
    errors: dict[Source, Trouble] = {}
    entries: list[Audited] = []
    if isinstance(pact, PactError):
        errors["pact"] = trouble_of(pact)
    else:
        entries += [_of_pact(entry) for entry in sorted(pact, key=lambda entry: entry.seq, reverse=True)]
    if isinstance(lattice, PactError):
        errors["lattice"] = trouble_of(lattice)
    else:
        entries += [_of_lattice(entry) for entry in lattice]
    for error in errors.values():
        ctx.notice(f"pact: audit: {error.message}")
        if error.hint:
            ctx.notice(f"hint: {error.hint}")
    # To the second, which is all that lattice tells; the sort is stable, so pact's own order stays.
    entries.sort(key=lambda one: (one.time or "")[:19], reverse=True)
    return Audit(tuple(entries[:n]), errors)


def _of_pact(entry: Entry) -> Audited:
    return Audited(
        "pact",
        entry.time,
        str(entry.seq),
        entry.type,
        short_scope(entry.scope),
        entry.author.principal,
        describe(entry),
        entry,
    )


def _of_lattice(entry: AuditEntry) -> Audited:
    return Audited("lattice", entry.time, entry.id, entry.action, entry.tenant, entry.user, entry.details or "-", entry)


def render(result: Audit, out: Out) -> None:
    """A line an entry."""
    for one in result.entries:
        colour = colour_of(one.entry) if isinstance(one.entry, Entry) else ()
        number = f"seq:{one.id}" if one.source == "pact" else one.id[:8]
        out.styled(
            out.style(short_time(one.time) if one.time else "-" * 20, "dim"),
            out.style(f"{one.source:<7}"),
            out.style(f"{number:<10}", "bold"),
            out.style(f"{one.type:<18}", *colour),
            out.style(one.scope or "-"),
            out.style(one.author or "-", "cyan"),
            out.style(one.message),
        )


command: Command[Args, Audit] = Command(
    "audit",
    help="Show audit events of pact and lattice.\n\nRefusals, approvals, changes of rules and of whom they are for.",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Option(
            ["--source"],
            type=click.Choice(["pact", "lattice", "all"]),
            metavar="pact|lattice|all",
            help="Whose (all that are configured).",
        ),
        click.Option(["-n"], type=click.IntRange(1, 100_000), default=20, metavar="N", help="At most N entries (20)."),
        click.Option(["--since"], metavar="T", help="Not before T: RFC 3339, 2h, '3 days ago', yesterday."),
        click.Option(["--author"], metavar="A", help="Only what this principal did."),
    ],
)

"""What `drain`, `undrain`, `cordon`, `uncordon`, `reboot` and `reimage` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pactsh.cli.arguments import NODES, NumberType
from pactsh.cli.command import Command
from pactsh.cli.delegating import Deed, Result, Results, as_told, decided, done, rehearsed, render
from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.guardrail import Hit
    from pactsh.model.entry import JsonObject

DRAIN_TIMEOUT_S, WAIT_TIMEOUT_S = 3600.0, 1800.0
_SYSTEMS = {"reboot": "openchami", "reimage": "openchami"}


@dataclass(frozen=True, slots=True)
class Args:
    """Which nodes, and what each of the verbs takes (`nodedeeds.options`)."""

    nodes: str
    reason: str = ""
    dry_run: bool = False
    yes: bool = False
    wait: bool = False
    drain: bool = False
    drain_timeout: float = DRAIN_TIMEOUT_S
    force: bool = False
    no_wait: bool = False
    wait_timeout: float = WAIT_TIMEOUT_S


def run_of(action: str) -> Callable[[Context, Args], Results | Iterator[Result]]:
    """The `run` of that verb."""

    def run(ctx: Context, args: Args) -> Results | Iterator[Result]:
        from pactsh.cli.remote import named_nodes

        facts: JsonObject = {"system": _SYSTEMS.get(action, "lattice")}
        facts |= {"reason": args.reason} if args.reason else {}
        facts |= {"force": True} if args.force else {}
        deed = Deed(action, named_nodes(ctx, args.nodes), facts=facts)
        return as_told(ctx, _rehearsed(ctx, deed, args) if args.dry_run else _done(ctx, deed, args))

    return run


def _rehearsed(ctx: Context, deed: Deed, args: Args) -> Iterator[Result]:
    """Show which jobs it would hit, and what would be called."""
    from pactsh.cli.guardrail import hit_by, tell

    who = decided(ctx, deed).principal
    hit = hit_by(ctx, deed, who)
    if not ctx.json and (hit.all() or hit.error is not None):
        tell(ctx, deed.action, hit)
    if args.drain:
        yield from rehearsed(ctx, Deed("drain", deed.targets, facts=deed.facts))
    yield from rehearsed(ctx, deed, {name: hit.facts([name]) for name in deed.targets})
    if args.drain:
        yield from rehearsed(ctx, Deed("undrain", deed.targets, facts=deed.facts))


def _done(ctx: Context, deed: Deed, args: Args) -> Iterator[Result]:
    from pactsh.cli.guardrail import guarded

    if args.drain and ctx.settings.lattice_endpoint is None:
        raise UsageError(f"{deed.action}: --drain: no lattice endpoint is configured", hint="set PACT_LATTICE_ENDPOINT")
    deed, hit, who = guarded(ctx, deed, yes=args.yes, drain=args.drain)
    if deed.action in _SYSTEMS:
        yield from _powered(ctx, deed, args, hit, who)
        return
    draining = []
    for result in done(ctx, deed):
        draining += [result.target] if result.result == "done" else []
        yield result
    if args.wait:
        from pactsh.cli.draining import wait_drained

        yield from (one for one in wait_drained(ctx, draining, who, args.drain_timeout) if one.text)


def _powered(ctx: Context, deed: Deed, args: Args, hit: Hit, who: str) -> Iterator[Result]:
    """Reboot or reimage, between a drain and its end where that is asked for."""
    from pactsh.cli.returning import newest_seq, wait_back

    if not args.drain:
        since = 0 if args.no_wait else newest_seq(ctx)
        well = []
        for result in done(ctx, deed):
            well += [result.target] if result.result == "done" else []
            yield result
        if not args.no_wait:
            yield from wait_back(ctx, well, since, args.wait_timeout)
        return
    from pactsh.cli.draining import Drained

    drained = Drained(ctx, deed.targets, hit, who, why=_why(deed, args), timeout_s=args.drain_timeout)
    yield from drained.begin()
    if not drained.ready:
        drained.tell_left(deed.targets)
        return
    since = newest_seq(ctx)
    well = []
    try:
        for result in done(ctx, Deed(deed.action, tuple(drained.ready), facts=deed.facts), raising=False):
            well += [result.target] if result.result == "done" else []
            yield result
        back = list(well)
        if not args.no_wait:
            back = []
            for result in wait_back(ctx, well, since, args.wait_timeout):
                back += [result.target] if result.result == "done" else []
                yield result
    except BaseException:
        drained.tell_left(deed.targets)
        raise
    yield from drained.end(back)


def _why(deed: Deed, args: Args) -> str:
    return f"pact {deed.action}{f': {args.reason}' if args.reason else ''}"


def command_of(action: str, summary: str, *params: click.Parameter) -> Command[Args, Results | Result]:
    """The command of that verb, with what all of them take."""
    return Command(
        action,
        help=summary,
        run=run_of(action),
        render=render,
        args=Args,
        params=[
            click.Argument(["nodes"], metavar="NODES", type=NODES),
            click.Option(["--reason"], metavar="WHY", default="", help="What it is for: it is put on record."),
            *params,
            click.Option(["--dry-run"], is_flag=True, help="Have it decided, show what would be called, do nothing."),
        ],
    )


def yes_option() -> click.Option:
    """`--yes`."""
    return click.Option(["--yes"], is_flag=True, help="Don't ask, whatever jobs are on the nodes.")


def drain_option() -> click.Option:
    """`--drain`."""
    return click.Option(["--drain"], is_flag=True, help="Drain the nodes first, and undrain them after it.")


def drain_timeout_option() -> click.Option:
    """`--drain-timeout`."""
    return click.Option(
        ["--drain-timeout"],
        type=NumberType(min=0),
        default=DRAIN_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait until nodes are drained.",
    )


def power_options() -> tuple[click.Option, ...]:
    """What `reboot` and `reimage` take beside."""
    return (
        yes_option(),
        drain_option(),
        drain_timeout_option(),
        click.Option(["--no-wait"], is_flag=True, help="Don't wait until the nodes are back."),
        click.Option(
            ["--wait-timeout"],
            type=NumberType(min=0),
            default=WAIT_TIMEOUT_S,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait until the nodes are back.",
        ),
    )

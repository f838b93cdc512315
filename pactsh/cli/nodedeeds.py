"""What `drain`, `undrain`, `cordon`, `uncordon`, `reboot` and `reimage` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from pactsh.cli.arguments import NODES, NumberType
from pactsh.cli.careoptions import DRAIN_TIMEOUT_S, drain_option, drain_timeout_option, yes_option
from pactsh.cli.command import Command
from pactsh.cli.delegating import RETURN, Deed, Result, Results, as_told, decided, done, rehearsed, render
from pactsh.cli.interrupts import INTERRUPTED
from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.guardrail import Hit
    from pactsh.model.entry import JsonObject

WAIT_TIMEOUT_S = 1800.0
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
    from pactsh.cli.draining import is_draining, wait_drained
    from pactsh.cli.guardrail import guarded

    if args.drain and ctx.settings.lattice_endpoint is None:
        raise UsageError(f"{deed.action}: --drain: no lattice endpoint is configured", hint="set PACT_LATTICE_ENDPOINT")
    deed, hit, who = guarded(ctx, deed, yes=args.yes, drain=args.drain)
    if deed.action in _SYSTEMS:
        yield from _powered(ctx, deed, args, hit, who)
        return
    seen = []
    for result in done(ctx, deed):
        seen.append(result)
        yield result
    if args.wait and not _interrupted(seen):
        yield from wait_drained(ctx, [r.target for r in _well(seen) if is_draining(r)], who, args.drain_timeout)


def _powered(ctx: Context, deed: Deed, args: Args, hit: Hit, who: str) -> Iterator[Result]:
    """Reboot or reimage, between a drain and its end where that is asked for."""
    if not args.drain:
        yield from _restarted(ctx, deed, args)
        return
    from pactsh.cli.draining import Drained

    drained = Drained(ctx, deed.targets, hit, who, why=_why(deed, args), timeout_s=args.drain_timeout)
    seen = []
    try:
        yield from drained.begin()
        if drained.ready:
            for result in _restarted(ctx, replace(deed, targets=tuple(drained.ready)), args, raising=False):
                seen.append(result)
                yield result
    except BaseException:
        drained.tell_left(deed.targets)
        raise
    last = deed.action if args.no_wait else RETURN
    yield from drained.end([result.target for result in _well(seen) if result.action == last])


def _restarted(ctx: Context, deed: Deed, args: Args, *, raising: bool | None = None) -> Iterator[Result]:
    """Do it, and wait until the nodes are back."""
    from pactsh.cli.returning import newest_seq, wait_back

    since = 0 if args.no_wait else newest_seq(ctx)
    seen = []
    for result in done(ctx, deed, raising=raising):
        seen.append(result)
        yield result
    if not args.no_wait and not _interrupted(seen):
        yield from wait_back(ctx, [result.target for result in _well(seen)], since, args.wait_timeout)


def _well(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if result.result == "done"]


def _interrupted(results: Iterable[Result]) -> bool:
    return any(result.status == INTERRUPTED for result in results)


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

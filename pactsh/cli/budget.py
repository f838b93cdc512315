"""`pact budget`: what a tenant or a user has used, and of what. A budget that is not set is none, and not zero."""

from __future__ import annotations

from dataclasses import dataclass

import click

from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.fitting import table
from pactsh.cli.latticetypes import TENANT, USER
from pactsh.cli.latticewords import hours
from pactsh.cli.render import Out, screen_size
from pactsh.cli.usagetext import HEADER, NUMBERS, finite, rows_of, show
from pactsh.delegates.lattice.model import TenantUsage, UserUsage
from pactsh.errors import NotFoundError

_DAYS = 90


@dataclass(frozen=True, slots=True)
class Args:
    """Whose, and of how many days until now."""

    id: str
    days: int


def run_tenant(ctx: Context, args: Args) -> TenantUsage:
    """Ask lattice; raises `NotFoundError`."""
    from pactsh.cli.latticeread import reading

    with reading(ctx, ctx.settings.vcluster or "") as lattice:
        try:
            return finite(lattice.tenant_usage(args.id, args.days))
        except NotFoundError as error:
            raise NotFoundError(
                f"budget tenant: {args.id}: lattice has no such tenant",
                hint="pact jobs inspect ID names a job's tenant",
            ) from error


def run_user(ctx: Context, args: Args) -> UserUsage:
    """Ask lattice; raises `NotFoundError`."""
    from pactsh.cli.latticeread import reading

    with reading(ctx, ctx.settings.vcluster or "") as lattice:
        try:
            return finite(lattice.user_usage(args.id, args.days))
        except NotFoundError as error:
            raise NotFoundError(
                f"budget user: {args.id}: lattice has nothing of this user within {args.days} days",
                hint="the name is that of pact jobs list, --days looks further back",
            ) from error


def period(start: str, end: str, days: int | None = None) -> str:
    """From when to when, as lattice says it.

    >>> period("2026-01-01T00:00:00+00:00", "2026-01-31T00:00:00Z", 30)
    '30 days, 2026-01-01 to 2026-01-31'
    """
    dates = f"{start[:10]} to {end[:10]}" if start and end else ""
    return ", ".join(filter(None, [f"{days} day{'' if days == 1 else 's'}" if days else "", dates])) or "not told"


def render_tenant(result: TenantUsage, out: Out) -> None:
    """GPU hours and node hours, with a bar on a terminal."""
    size = screen_size()
    columns = None if size is None else size.columns
    out.styled(f"{'Tenant:':<13}{out.style(result.tenant, 'bold')}", sep="")
    out.line(f"{'Period:':<13}{period(result.start, result.end, result.days)}")
    show(out, "GPU hours:", result.gpu_hours, result.gpu_budget, result.gpu_fraction, columns)
    show(out, "Node hours:", result.node_hours, result.node_budget, result.node_fraction, columns)


def render_user(result: UserUsage, out: Out) -> None:
    """All of it, then a row a tenant."""
    out.styled(f"{'User:':<13}{out.style(result.user, 'bold')}", sep="")
    out.line(f"{'Period:':<13}{period(result.start, result.end)}")
    out.line(f"{'GPU hours:':<13}{hours(result.gpu_hours)} h in all")
    if not result.tenants:
        out.line("(nothing used)")
        return
    table(out, HEADER, *rows_of(result.tenants), numbers=NUMBERS)


def _days() -> click.Option:
    return click.Option(
        ["--days"], type=click.IntRange(1, 36_500), default=_DAYS, metavar="D", help=f"The last D days ({_DAYS})."
    )


TENANT_COMMAND: Command[Args, TenantUsage] = Command(
    "tenant",
    help="Show what a tenant has used of its budget.",
    run=run_tenant,
    render=render_tenant,
    args=Args,
    params=[click.Argument(["id"], type=TENANT), _days()],
)
USER_COMMAND: Command[Args, UserUsage] = Command(
    "user",
    help="Show what a user has used, by tenant.",
    run=run_user,
    render=render_user,
    args=Args,
    params=[click.Argument(["id"], type=USER), _days()],
)

command = Group("budget", help="Show budgets of tenants and users.", commands=[TENANT_COMMAND, USER_COMMAND])

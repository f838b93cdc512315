"""`pact accounting`: what tenants have used.

lattice has a call for it that answers zeros whatever was used. So that is said, and what it keeps for budgets is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import msgspec

from pactsh.cli.changes import counted
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.fitting import table
from pactsh.cli.latticetypes import TENANT
from pactsh.cli.latticewords import hours
from pactsh.cli.render import Out
from pactsh.cli.usagetext import HEADER, NUMBERS, finite, rows_of
from pactsh.delegates.lattice.model import Accounting, TenantUsage
from pactsh.errors import NotFoundError, UsageError
from pactsh.model.capwords import size_text

if TYPE_CHECKING:
    from pactsh.delegates.lattice.client import Lattice

_DAYS = 90
_MOST_ASKED = 25  # two calls each, and it may limit them to 60 a minute


@dataclass(frozen=True, slots=True)
class Args:
    """Of this tenant alone."""

    tenant: str | None


class Row(msgspec.Struct, frozen=True):
    """A tenant. `accounting` is None where lattice has none, `usage` (of `days`) where it does not know the tenant."""

    tenant: str
    accounting: Accounting | None
    usage: TenantUsage | None


class Accounts(msgspec.Struct, frozen=True):
    """The tenants by name. `left_out` are those that were not asked about, as there are too many."""

    vcluster: str | None
    days: int
    tenants: tuple[Row, ...]
    left_out: tuple[str, ...] = ()


def run(ctx: Context, args: Args) -> Accounts:
    """Of one tenant, those with jobs in the vCluster, or all that jobs or nodes name."""
    from pactsh.cli.latticeread import reading

    if args.tenant is not None and "vcluster" in ctx.explicit:
        raise UsageError("accounting: give --tenant or --vcluster, not both")
    vcluster = ctx.settings.vcluster or ""
    with reading(ctx, vcluster) as lattice:
        names = [args.tenant] if args.tenant is not None else _tenants(lattice, vcluster)
        rows = tuple(_row(lattice, name) for name in names[:_MOST_ASKED])
    if args.tenant is not None and rows[0].usage is None and rows[0].accounting is None:
        raise NotFoundError(f"accounting: {args.tenant}: lattice has no such tenant", hint="pact accounting shows all")
    of = vcluster if args.tenant is None and vcluster else None
    return Accounts(of, _DAYS, rows, tuple(names[_MOST_ASKED:]))


def _tenants(lattice: Lattice, vcluster: str) -> list[str]:
    """lattice has no list of them."""
    names = {job.tenant for job in lattice.jobs(vcluster=vcluster)}
    if not vcluster:
        names |= {node.owner_tenant for node in lattice.nodes()}
    return sorted(names - {""})


def _row(lattice: Lattice, name: str) -> Row:
    accounting = finite(lattice.accounting(name))
    try:
        usage = finite(lattice.tenant_usage(name, _DAYS))
    except NotFoundError:
        usage = None
    return Row(name, None if accounting.is_empty else accounting, usage)


def render(result: Accounts, out: Out) -> None:
    """What there is of accounting, and what was used of budgets."""
    if not result.tenants:
        out.line(f"(no tenants: no job{f' in {result.vcluster}' if result.vcluster else ''} names one)")
        return
    kept = [(row.tenant, row.accounting) for row in result.tenants if row.accounting is not None]
    if kept:
        header = ("TENANT", "CPU HOURS", "GPU HOURS", "STORAGE", "JOBS")
        rows = [
            (name, hours(one.cpu_hours), hours(one.gpu_hours), size_text(one.storage_bytes), f"{one.jobs:,}")
            for name, one in kept
        ]
        table(out, header, rows, numbers=(1, 2, 3, 4))
    else:
        out.line("lattice has no accounting: it answers zeros, whatever was used.")
    known = [row.usage for row in result.tenants if row.usage is not None]
    if known:
        out.line(f"What it keeps for budgets, of the last {result.days} days:")
        table(out, HEADER, *rows_of(known), numbers=NUMBERS)
    for row in result.tenants:
        if row.usage is None:
            out.styled(out.style("[WARN]", "yellow"), out.style(f"{row.tenant}: lattice has no such tenant"), sep=" ")
    if result.left_out:
        text = f"{counted(len(result.left_out), 'more tenant')}: {', '.join(result.left_out)} (--tenant asks about one)"
        out.line(text)


command: Command[Args, Accounts] = Command(
    "accounting",
    help="Show a vCluster's accounting.\n\nlattice itself has none: what it keeps for budgets is shown, by tenant.",
    run=run,
    render=render,
    args=Args,
    params=[click.Option(["--tenant"], type=TENANT, metavar="T", help="Of this tenant alone.")],
)

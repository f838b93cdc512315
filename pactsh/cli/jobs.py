"""`pact jobs`: lattice's jobs: which there are, one of them, and ending some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import msgspec

from pactsh.cli.arguments import NODES
from pactsh.cli.changes import counted
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.jobtext import jobs_table, render_job
from pactsh.cli.latticetypes import JOB, JOB_STATE, LIVE_JOB, USER, most
from pactsh.cli.latticewords import counts, counts_text, tell_left_out
from pactsh.cli.render import Out
from pactsh.delegates.lattice.model import Job
from pactsh.delegates.lattice.words import JOB_STATES

if TYPE_CHECKING:
    from pactsh.cli.delegating import Result, Results


@dataclass(frozen=True, slots=True)
class ListArgs:
    """Which ones: on which nodes (a nodeset), in which state, whose; at most `n`."""

    node: str | None
    state: str | None
    user: str | None
    n: int


class Jobs(msgspec.Struct, frozen=True):
    """The newest of them, and of all that were asked for how many there are, and in which states."""

    jobs: tuple[Job, ...]
    total: int
    counts: dict[str, int]


def run_list(ctx: Context, args: ListArgs) -> Jobs:
    """Ask lattice for the jobs of the vCluster, or all."""
    from pactsh.cli.latticeread import reading

    vcluster = ctx.settings.vcluster or ""
    wanted = None if args.node is None else frozenset(_names(ctx, args.node))
    with reading(ctx, vcluster) as lattice:
        found = lattice.jobs(vcluster=vcluster, state=args.state or "", user=args.user or "")
    if wanted is not None:
        found = [job for job in found if not wanted.isdisjoint(job.nodes)]
    tell_left_out(ctx, min(args.n, len(found)), len(found), "job")
    return Jobs(tuple(found[: args.n]), len(found), counts((job.state for job in found), JOB_STATES))


def _names(ctx: Context, text: str) -> tuple[str, ...]:
    """The nodes of a nodeset; the journal is asked where it names vClusters."""
    from pactsh.cli import interrupts
    from pactsh.cli.nodes import Groups, resolve

    async def members(_groups: Groups) -> Mapping[str, Iterable[str]]:
        grouped: dict[str, list[str]] = {}
        async with ctx.journal() as journal:
            for node in await journal.nodes("", brief=True):
                grouped.setdefault(node.vcluster, []).append(node.node)
        return grouped

    return interrupts.run(resolve(text, "", members))


def render_list(result: Jobs, out: Out) -> None:
    """A row each, the newest first, and at the end how many there are."""
    if not result.total:
        out.line("(no jobs)")
        return
    jobs_table(result.jobs, out)
    out.line(f"{counted(result.total, 'job')}: {counts_text(result.counts)}")


@dataclass(frozen=True, slots=True)
class InspectArgs:
    """The job."""

    id: str


def run_inspect(ctx: Context, args: InspectArgs) -> Job:
    """Ask lattice for one job; it is shown to who may see its vCluster. Raises `NotFoundError`, `UsageError`."""
    from pactsh.cli.latticeread import looked_up, reading

    with reading(ctx, ctx.settings.vcluster or "") as lattice:
        return looked_up(lattice.job, args.id, "jobs inspect", "job", "pact jobs list")


@dataclass(frozen=True, slots=True)
class CancelArgs:
    """The jobs; don't ask."""

    ids: tuple[str, ...]
    yes: bool


def run_cancel(ctx: Context, args: CancelArgs) -> Results | Iterator[Result]:
    """Have the journal decide, and lattice do it."""
    from pactsh.cli.cancelling import cancel_jobs

    return cancel_jobs(ctx, args.ids, yes=args.yes)


def render_cancel(result: Results | Result, out: Out) -> None:
    """A line each."""
    from pactsh.cli.delegating import render

    render(result, out)


LIST: Command[ListArgs, Jobs] = Command(
    "list",
    help="List jobs, newest first.",
    run=run_list,
    render=render_list,
    args=ListArgs,
    params=[
        click.Option(["--node"], type=NODES, help="Only those on one of these nodes (a nodeset)."),
        click.Option(["--state"], type=JOB_STATE, help=f"Only those in this state: {', '.join(JOB_STATES)}."),
        click.Option(["--user"], type=USER, metavar="U", help="Only those of this user."),
        most(100, "jobs"),
    ],
)
INSPECT: Command[InspectArgs, Job] = Command(
    "inspect",
    help="Show all that lattice says of a job.",
    run=run_inspect,
    render=render_job,
    args=InspectArgs,
    params=[click.Argument(["id"], type=JOB)],
)
CANCEL: Command[CancelArgs, Results | Result] = Command(
    "cancel",
    help="Cancel jobs.\n\nAsks on a terminal where one of them runs. It is on record who cancelled whose.",
    run=run_cancel,
    render=render_cancel,
    args=CancelArgs,
    params=[
        click.Argument(["ids"], type=LIVE_JOB, nargs=-1, required=True, metavar="ID..."),
        click.Option(["--yes"], is_flag=True, help="Don't ask."),
    ],
)

command = Group("jobs", help="List, inspect and cancel jobs.", commands=[LIST, INSPECT, CANCEL])

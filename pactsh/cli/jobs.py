"""`pact jobs`: lattice's jobs: which there are, one of them, and ending some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODES
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.jobtext import jobs_table, render_job
from pactsh.cli.latticetypes import JOB, JOB_STATE, USER, most
from pactsh.cli.latticewords import counted, counts, counts_text, tell_left_out
from pactsh.cli.render import Out
from pactsh.delegates.lattice.model import Job
from pactsh.delegates.lattice.words import JOB_STATES
from pactsh.errors import NotFoundError, UsageError

_HINT = "pact jobs list shows those that there are"


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
    from pactsh.cli.latticeread import also_may, reading

    with reading(ctx, ctx.settings.vcluster or "") as lattice:
        try:
            job = lattice.job(args.id)
        except NotFoundError as error:
            raise NotFoundError(f"jobs inspect: {args.id}: lattice has no such job", hint=_HINT) from error
        except UsageError as error:
            text = f"jobs inspect: {args.id!r} is no job's id: {error.message.removeprefix('lattice: ')}"
            raise UsageError(text, hint=_HINT) from error
        also_may(ctx, lattice, f"job {job.id}", job.vcluster)
    return job


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

command = Group("jobs", help="List, inspect and cancel jobs.", commands=[LIST, INSPECT])

"""`pact dag`: jobs that depend on each other: which DAGs there are, one of them in order, and ending one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from pactsh.cli.changes import counted
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.fitting import table
from pactsh.cli.jobtext import state_text, time_text, where
from pactsh.cli.latticetypes import DAG, DAG_STATE, LIVE_DAG, TENANT, most
from pactsh.cli.latticewords import COLOURS, ago, between, counts, counts_text, span, tell_left_out
from pactsh.cli.render import Out
from pactsh.delegates.lattice.model import Dag, Job
from pactsh.delegates.lattice.words import DAG_STATES, JOB_STATES

if TYPE_CHECKING:
    from pactsh.cli.delegating import Result, Results


@dataclass(frozen=True, slots=True)
class ListArgs:
    """Which ones: of a tenant, in which state; at most `n`."""

    tenant: str | None
    state: str | None
    n: int


class Dags(msgspec.Struct, frozen=True):
    """The newest of them, and of all that were asked for how many there are, and in which states."""

    dags: tuple[Dag, ...]
    total: int
    counts: dict[str, int]


def run_list(ctx: Context, args: ListArgs) -> Dags:
    """Ask lattice for the DAGs that have jobs in the vCluster, or all."""
    from pactsh.cli.latticeread import reading

    vcluster = ctx.settings.vcluster or ""
    with reading(ctx, vcluster) as lattice:
        found = lattice.dags(tenant=args.tenant or "", state=args.state or "")
    found = [dag for dag in found if not vcluster or any(job.vcluster == vcluster for job in dag.jobs)]
    tell_left_out(ctx, min(args.n, len(found)), len(found), "DAG")
    return Dags(tuple(found[: args.n]), len(found), counts((dag.state for dag in found), DAG_STATES))


def render_list(result: Dags, out: Out) -> None:
    """A row each, the newest first."""
    if not result.total:
        out.line("(no DAGs)")
        return
    now = datetime.now(UTC)
    header = ("ID", "STATE", "TENANT", "USER", "CREATED", "TIME", "JOBS")
    rows = [
        (
            dag.id or "-",
            dag.state or "-",
            _several(sorted({job.tenant for job in dag.jobs})),
            _several(sorted({job.user for job in dag.jobs})),
            ago(dag.created, now),
            _time(dag, now),
            _jobs(dag),
        )
        for dag in result.dags
    ]
    styles = [["", COLOURS.get(dag.state, ""), "", "", "", "", _alarm(dag)] for dag in result.dags]
    table(out, header, rows, styles, spare=("TENANT", "CREATED", "TIME"))
    out.line(f"{counted(result.total, 'DAG')}: {counts_text(result.counts)}")


def _several(names: Sequence[str]) -> str:
    return ",".join(filter(None, names)) or "-"


def _alarm(dag: Dag) -> str:
    return "red" if any(job.state == "failed" for job in dag.jobs) else ""


def _jobs(dag: Dag) -> str:
    if not dag.jobs:
        return "(no jobs)"
    return f"{len(dag.jobs)}: {counts_text(counts((job.state for job in dag.jobs), JOB_STATES))}"


def _time(dag: Dag, now: datetime) -> str:
    """From the start of the first of its jobs to the end of the last."""
    starts = [job.started for job in dag.jobs if job.started is not None]
    seconds = between(min(starts), dag.ended, now) if starts else None
    return "-" if seconds is None else span(seconds)


@dataclass(frozen=True, slots=True)
class InspectArgs:
    """The DAG."""

    id: str


def run_inspect(ctx: Context, args: InspectArgs) -> Dag:
    """Ask lattice for one DAG; it is shown to who may see the vClusters of its jobs."""
    from pactsh.cli.latticeread import looked_up, reading

    with reading(ctx, ctx.settings.vcluster or "") as lattice:
        return looked_up(lattice.dag, args.id, "dag inspect", "DAG", "pact dag list")


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """Each after those that it depends on, the oldest first where that leaves a choice. What waits for itself, which
    lattice should have refused, comes last. Pure."""
    left = sorted(jobs, key=lambda job: (job.created or "", job.id))
    ids = {job.id for job in left}
    done: set[str] = set()
    ordered: list[Job] = []
    while left:
        ready = [job for job in left if all(ref in done or ref not in ids for ref, _ in job.depends_on)]
        if not ready:
            return [*ordered, *left]
        ordered += ready
        done |= {job.id for job in ready}
        left = [job for job in left if job.id not in done]
    return ordered


def render_inspect(result: Dag, out: Out) -> None:
    """What is to say of all, then a row a job, numbered, with the numbers of those that it comes after."""
    now = datetime.now(UTC)
    out.styled(f"{'DAG:':<13}{out.style(result.id, 'bold')}", sep="")
    state = out.style(result.state or "not known", *COLOURS.get(result.state, "").split())
    out.styled(f"{'State:':<13}{state}", sep="")
    for name, value in _facts(result, now):
        if value:
            out.line(f"{name + ':':<13}{value}")
    if not result.jobs:
        out.line(f"{'Jobs:':<13}(no jobs)")
        return
    out.styled(f"{'Jobs:':<13}{out.style(_jobs(result), *_alarm(result).split())}", sep="")
    jobs = in_order(result.jobs)
    numbers = {job.id: str(number) for number, job in enumerate(jobs, 1)}
    rows = [
        (numbers[job.id], job.id, state_text(job), where(job), time_text(job, now), _after(job, numbers))
        for job in jobs
    ]
    styles = [["", "", COLOURS.get(job.state, ""), "", "", ""] for job in jobs]
    table(
        out,
        ("#", "JOB", "STATE", "NODES", "TIME", "AFTER"),
        rows,
        styles,
        spare=("NODES", "TIME"),
        numbers=(0,),
        indent="  ",
    )


def _facts(dag: Dag, now: datetime) -> Iterator[tuple[str, str]]:
    for name, values in (
        ("Tenant", {job.tenant for job in dag.jobs}),
        ("User", {job.user for job in dag.jobs}),
        ("vCluster", {job.vcluster for job in dag.jobs}),
    ):
        yield name, ", ".join(sorted(values - {""}))
    if dag.created is not None:
        yield "Created", f"{dag.created} ({ago(dag.created, now)})"
    if dag.ended is not None:
        yield "Ended", f"{dag.ended} ({ago(dag.ended, now)}, ran {_time(dag, now)})"


def _after(job: Job, numbers: dict[str, str]) -> str:
    """The numbers of the jobs it depends on, and on what of them; of one that is elsewhere its id."""
    told = [
        numbers.get(reference, reference) + (f" ({condition})" if condition else "")
        for reference, condition in job.depends_on
    ]
    return ", ".join(told) or "-"


@dataclass(frozen=True, slots=True)
class CancelArgs:
    """The DAG; don't ask."""

    id: str
    yes: bool


def run_cancel(ctx: Context, args: CancelArgs) -> Results | Iterator[Result]:
    """Have the journal decide, and lattice do it."""
    from pactsh.cli.cancelling import cancel_dag

    return cancel_dag(ctx, args.id, yes=args.yes)


def render_cancel(result: Results | Result, out: Out) -> None:
    """A line."""
    from pactsh.cli.delegating import render

    render(result, out)


LIST: Command[ListArgs, Dags] = Command(
    "list",
    help="List DAGs, newest first.",
    run=run_list,
    render=render_list,
    args=ListArgs,
    params=[
        click.Option(["--tenant"], type=TENANT, metavar="X", help="Only those of this tenant."),
        click.Option(["--state"], type=DAG_STATE, help=f"Only those in this state: {', '.join(DAG_STATES)}."),
        most(50, "DAGs"),
    ],
)
INSPECT: Command[InspectArgs, Dag] = Command(
    "inspect",
    help="Show a DAG's jobs in the order of what depends on what.",
    run=run_inspect,
    render=render_inspect,
    args=InspectArgs,
    params=[click.Argument(["id"], type=DAG)],
)
CANCEL: Command[CancelArgs, Results | Result] = Command(
    "cancel",
    help="Cancel those of a DAG's jobs that have not ended.\n\nAsks on a terminal where one of them runs.",
    run=run_cancel,
    render=render_cancel,
    args=CancelArgs,
    params=[
        click.Argument(["id"], type=LIVE_DAG),
        click.Option(["--yes"], is_flag=True, help="Don't ask."),
    ],
)

command = Group("dag", help="List, inspect and cancel DAGs.", commands=[LIST, INSPECT, CANCEL])

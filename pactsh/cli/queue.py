"""`pact queue`: how many jobs wait and run in a vCluster, by what lattice counts and by its list of jobs.

lattice answers zeros of a vCluster that nobody knows, and its total counts jobs that have ended: so its list of jobs is
counted as well, and pact is asked which vClusters there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.fitting import table
from pactsh.cli.latticewords import between, counts, counts_text, span
from pactsh.cli.render import Out
from pactsh.delegates.lattice.model import Job, Queue
from pactsh.delegates.lattice.words import ENDED, JOB_STATES
from pactsh.errors import ForbiddenError, NotFoundError, UnreachableError

if TYPE_CHECKING:
    from pactsh.delegates.lattice.client import Lattice

_MOST_ASKED = 30  # it may limit calls to 60 a minute


@dataclass(frozen=True, slots=True)
class Args:
    """No arguments."""


class Row(msgspec.Struct, frozen=True):
    """A vCluster's queue: what lattice counts (None: it was not asked), and its list of jobs by state.

    `known`: whether pact has such a vCluster, None where that can't be told. `longest_wait_s` is of pending jobs, and
    `nodes_wanted` the least number that those want together.
    """

    vcluster: str
    known: bool | None
    lattice: Queue | None
    jobs: dict[str, int]
    longest_wait_s: float | None
    nodes_wanted: int


class Queues(msgspec.Struct, frozen=True):
    """The vClusters: those with the most waiting jobs first."""

    queues: tuple[Row, ...]


def run(ctx: Context, _args: Args) -> Queues:
    """Of one vCluster, or of all that pact knows or jobs name. Raises `NotFoundError` for one that neither does."""
    from pactsh.cli.latticeread import reading

    vcluster = ctx.settings.vcluster or ""
    with reading(ctx, vcluster) as lattice:
        known = _known(ctx) if lattice.user else None
        jobs = lattice.jobs(vcluster=vcluster)
        named = {job.vcluster for job in jobs}
        if vcluster and known is not None and vcluster not in named | known:
            raise NotFoundError(
                f"queue: {vcluster}: pact has no such vCluster, and no job of lattice's names it",
                hint="pact queue, without --vcluster, shows those that there are",
            )
        names = {vcluster} if vcluster else named | (known or frozenset())
        if len(names) > _MOST_ASKED:
            ctx.notice(
                f"pact: {len(names)} vClusters: lattice's list of jobs is counted, its own counts are not asked for"
            )
        rows = [
            _row(lattice, name, known, jobs, ctx.now(), ask=bool(name) and len(names) <= _MOST_ASKED) for name in names
        ]
    return Queues(tuple(sorted(rows, key=lambda row: (-row.jobs.get("pending", 0), row.vcluster))))


def _known(ctx: Context) -> frozenset[str] | None:
    """The vClusters that pact has and the caller may see; None where it can't say."""
    from pactsh.cli.policies import nodes_by_vcluster, policies

    try:
        return frozenset({*nodes_by_vcluster(ctx), *policies(ctx)} - {""})
    except (UnreachableError, ForbiddenError):
        return None


def _row(
    lattice: Lattice, name: str, known: frozenset[str] | None, jobs: Iterable[Job], now: datetime, *, ask: bool
) -> Row:
    own = [job for job in jobs if job.vcluster == name]
    pending = [job for job in own if job.state == "pending"]
    waits = [wait for job in pending if (wait := between(job.created, None, now.astimezone(UTC))) is not None]
    return Row(
        name,
        None if known is None else name in known,
        lattice.queue(name) if ask else None,
        counts((job.state for job in own), JOB_STATES),
        max(waits, default=None),
        sum(job.min_nodes for job in pending),
    )


def render(result: Queues, out: Out) -> None:
    """A row each: what waits and runs, then what else there is."""
    if not result.queues:
        out.line("(no vClusters, and no jobs)")
        return
    header = ("VCLUSTER", "PENDING", "RUNNING", "LONGEST WAIT", "NODES WANTED", "OTHER", "ENDED")
    rows, styles = [_cells(row) for row in result.queues], [_styles(row) for row in result.queues]
    table(out, header, rows, styles, numbers=(1, 2, 4))
    strange = [row.vcluster for row in result.queues if row.known is False and row.vcluster]
    if strange:
        out.styled(
            out.style("[WARN]", "yellow"),
            out.style(
                f"{', '.join(strange)}: jobs name {'it' if len(strange) == 1 else 'them'}, pact has no such vCluster"
            ),
            sep=" ",
        )
    for row in result.queues:
        if row.known is None and not row.jobs:
            text = f"{row.vcluster}: no job names it, and whether pact has such a vCluster can't be told"
            out.styled(out.style("[WARN]", "yellow"), out.style(text), sep=" ")


def _cells(row: Row) -> tuple[str, ...]:
    told = row.lattice
    other = {state: n for state, n in row.jobs.items() if state not in ENDED | {"pending", "running"}}
    ended = {state: n for state, n in row.jobs.items() if state in ENDED}
    return (
        row.vcluster or "(none)",
        str(row.jobs.get("pending", 0) if told is None else told.pending),
        str(row.jobs.get("running", 0) if told is None else told.running),
        "-" if row.longest_wait_s is None else span(row.longest_wait_s),
        str(row.nodes_wanted),
        counts_text(other) or "-",
        counts_text(ended) or "-",
    )


def _styles(row: Row) -> tuple[str, ...]:
    waits, runs = row.jobs.get("pending"), row.jobs.get("running")
    return ("", "yellow" if waits else "", "green" if runs else "", "", "", "", "red" if row.jobs.get("failed") else "")


command: Command[Args, Queues] = Command(
    "queue",
    help="Show a vCluster's queue.\n\nWithout --vcluster: of each vCluster that pact knows or a job names.",
    run=run,
    render=render,
    args=Args,
)

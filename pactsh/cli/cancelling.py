"""Cancelling jobs and DAGs: looked up before anything is decided, since the right to it is that of their vCluster."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pactsh.cli.changes import counted
from pactsh.cli.delegating import Deed, Result, Results, as_told, carry_out, decided, done
from pactsh.cli.latticeread import looked_up, reading
from pactsh.cli.render import escape
from pactsh.delegates.lattice.words import HOLDING
from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.lattice.model import Dag, Job
    from pactsh.model.entry import JsonObject, JsonValue

_MOST_TOLD = 200


def cancel_jobs(ctx: Context, ids: Sequence[str], *, yes: bool) -> Results | Iterator[Result]:
    """Cancel jobs, if all of them are there and the caller may cancel each. Asks on a terminal where some run."""
    with reading(ctx, ctx.settings.vcluster or "", journal_needed=True) as lattice:
        jobs = {id_: looked_up(lattice.job, id_, "jobs cancel", "job", "pact jobs list") for id_ in dict.fromkeys(ids)}
    deeds = [
        Deed("job_cancel", tuple(names), vcluster, _facts([jobs[name] for name in names]))
        for vcluster, names in _by_vcluster(jobs).items()
    ]
    for deed in deeds:  # before the first is done
        decided(ctx, deed)
    confirm(ctx, "jobs cancel", "Cancel", list(jobs.values()), yes=yes)
    raising = len(jobs) == 1
    return as_told(ctx, itertools.chain.from_iterable(done(ctx, deed, raising=raising) for deed in deeds))


def cancel_dag(ctx: Context, id_: str, *, yes: bool) -> Results | Iterator[Result]:
    """Cancel what is left of a DAG, if the caller may cancel DAGs in all vClusters that its jobs are in."""
    with reading(ctx, ctx.settings.vcluster or "", journal_needed=True) as lattice:
        dag: Dag = looked_up(lattice.dag, id_, "dag cancel", "DAG", "pact dag list")
    facts = _facts(dag.jobs)
    chosen = ""
    for number, vcluster in enumerate(sorted({job.vcluster for job in dag.jobs})):
        begun = decided(ctx, Deed("dag_cancel", (id_,), vcluster, facts))
        if number == 0 or begun.approval_needed:  # it is put on record there, and a second person is one of there
            chosen = vcluster
    confirm(ctx, "dag cancel", f"Cancel DAG {id_}, with", dag.jobs, yes=yes)
    return carry_out(ctx, "dag_cancel", [id_], vcluster=chosen, facts=facts)


def confirm(ctx: Context, verb: str, question: str, jobs: Iterable[Job], *, yes: bool) -> None:
    """Ask, where jobs run and somebody is there to answer; raises `PactError` for a no. In a script it is not asked:
    unlike a drain this disturbs nothing but what is named."""
    running = [job for job in jobs if job.state in HOLDING]
    if yes or ctx.json or not running or not sys.stdin.isatty():
        return
    users = ", ".join(sorted({job.user or "nobody" for job in running}))
    text = f"{question} {counted(len(running), 'running job')} of {users}?"
    if not click.confirm(escape(text), err=True):
        raise PactError(f"{verb}: nothing was cancelled")


def _by_vcluster(jobs: Mapping[str, Job]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for id_, job in jobs.items():
        grouped.setdefault(job.vcluster, []).append(id_)
    return grouped


def _facts(jobs: Iterable[Job]) -> JsonObject:
    """What is kept with it in the journal: whose jobs they are; of many, the first. Not what they are doing just now: a
    second person agrees to exactly this, and it has to be the same when the command is given again."""
    told: list[JsonValue] = [{"id": job.id, "user": job.user} for job in sorted(jobs, key=lambda job: job.id)]
    left_out = len(told) - _MOST_TOLD
    return {"jobs": told[:_MOST_TOLD]} | ({"jobs_left_out": left_out} if left_out > 0 else {})

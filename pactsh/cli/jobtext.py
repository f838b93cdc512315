"""Jobs as people read them: a table, or all that is known of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pactsh.cli.changes import counted
from pactsh.cli.fitting import table
from pactsh.cli.latticewords import COLOURS, ago, between, nodes_text, ran, span
from pactsh.delegates.lattice.words import ENDED

if TYPE_CHECKING:
    from pactsh.cli.render import Out
    from pactsh.delegates.lattice.model import Job

_HEADER = ("ID", "STATE", "USER", "VCLUSTER", "CREATED", "TIME", "NODES")
_SIGNALS = 128


def jobs_table(jobs: Sequence[Job], out: Out, *, indent: str = "") -> None:
    """A row each. Where the terminal is too narrow for it: without the vCluster, then without when it was made."""
    now = datetime.now(UTC)
    rows = [
        (
            job.id or "-",
            state_text(job),
            job.user or "-",
            job.vcluster or "-",
            ago(job.created, now),
            time_text(job, now),
            where(job),
        )
        for job in jobs
    ]
    styles = [["", COLOURS.get(job.state, ""), "", "", "", "", ""] for job in jobs]
    table(out, _HEADER, rows, styles, spare=("VCLUSTER", "CREATED", "TIME"), indent=indent)


def state_text(job: Job) -> str:
    """The state in a word or two."""
    return f"{job.state or '-'} ({job.exit_code})" if job.exit_code else job.state or "-"


def time_text(job: Job, now: datetime) -> str:
    """How long it has run and may, or has waited."""
    if job.started is None and job.state == "pending":
        waited = between(job.created, None, now)
        return "-" if waited is None else f"waits {span(waited)}"
    return ran(job, now)


def where(job: Job) -> str:
    """Its nodes, or how many it wants."""
    if job.nodes:
        return nodes_text(job.nodes)
    return "-" if job.state in ENDED or not job.min_nodes else f"wants {_wanted(job)}"


def _wanted(job: Job) -> str:
    return f"{job.min_nodes} to {job.max_nodes}" if job.max_nodes > job.min_nodes else str(job.min_nodes)


def render_job(job: Job, out: Out) -> None:
    """A line a fact; what lattice says nothing of has none."""
    now = datetime.now(UTC)
    state = out.style(_state_in_full(job), *COLOURS.get(job.state, "").split())
    out.styled(f"{'Job:':<13}{out.style(job.id, 'bold')}", sep="")
    out.styled(f"{'State:':<13}{state}", sep="")
    for name, value in _facts(job, now):
        if value:
            out.line(f"{name + ':':<13}{value}")


def _state_in_full(job: Job) -> str:
    parts = [job.state or "not known"]
    if job.exit_code is not None and job.exit_code > _SIGNALS:
        parts.append(f"exit status {job.exit_code} (signal {job.exit_code - _SIGNALS})")
    elif job.exit_code is not None:
        parts.append(f"exit status {job.exit_code}")
    return ", ".join(parts)


def _facts(job: Job, now: datetime) -> Iterator[tuple[str, str]]:
    yield "Says", job.message
    yield "User", job.user
    yield "Tenant", job.tenant + (f", project {job.project}" if job.project else "")
    yield "vCluster", job.vcluster
    yield "Nodes", nodes_text(job.nodes)
    yield "Wants", _resources(job)
    yield "Command", job.entrypoint
    yield "Created", _time(job.created, now)
    yield "Started", _time(job.started, now, _after(between(job.created, job.started, now), "waited"))
    yield "Ended", _time(job.completed, now, _after(between(job.started, job.completed, now), "ran"))
    yield "Limit", _limit(job, now)
    for reference, condition in job.depends_on:
        yield "After", reference + (f" ({condition})" if condition else "")
    for name, port, protocol in job.endpoints:
        yield "Endpoint", f"{name} {port}/{protocol or 'tcp'}"
    yield "Requeue", _requeue(job)
    yield "Preemption", f"class {job.preemption_class}" if job.preemption_class else ""
    yield "Tags", ", ".join(f"{key}={value}" for key, value in sorted(job.tags.items()))
    yield "Sensitive", "yes" if job.sensitive else ""


def _after(seconds: float | None, what: str) -> str:
    return "" if seconds is None else f"{what} {span(seconds)}"


def _time(time: str | None, now: datetime, more: str = "") -> str:
    if time is None:
        return ""
    return f"{time} ({', '.join(filter(None, [ago(time, now), more]))})"


def _resources(job: Job) -> str:
    parts = [f"{_wanted(job)} node{'s' if max(job.min_nodes, job.max_nodes) > 1 else ''}" if job.min_nodes else ""]
    parts += [f"GPU {job.gpu_type}" if job.gpu_type else "", *job.features]
    return ", ".join(filter(None, parts))


def _limit(job: Job, now: datetime) -> str:
    if job.walltime_s is None:
        return "none" + (f" ({job.kind})" if job.kind != "bounded" else "")
    begun = between(job.started, None, now)
    if begun is None or job.state in ENDED:
        return span(job.walltime_s)
    left = job.walltime_s - begun
    return f"{span(job.walltime_s)}, {f'{span(left)} left' if left > 0 else f'over since {span(-left)}'}"


def _requeue(job: Job) -> str:
    at_most = f"at most {counted(job.max_requeue, 'time')}" if job.max_requeue else ""
    return ", ".join(filter(None, [job.requeue_policy, at_most]))

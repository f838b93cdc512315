"""The guard rail: what disturbs jobs shows them first, and asks.

Where lattice can't be asked it is not known what runs there: that is asked about as well. Where nobody is there to
answer, `--yes` has to be on the line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from pactsh.cli.changes import counted
from pactsh.cli.delegating import Deed, decided
from pactsh.cli.nodes import counted_nodes
from pactsh.cli.render import Out
from pactsh.errors import PactError, UnreachableError, UsageError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.lattice.model import Job
    from pactsh.model.entry import JsonObject, JsonValue

_MOST_ROWS, _MOST_FACTS = 20, 200
_BY_LATTICE, _BY_OPENCHAMI = frozenset({"drain", "cordon"}), frozenset({"reboot", "reimage"})
_LOSES = "what is on the nodes is lost"


@dataclass(frozen=True, slots=True)
class Hit:
    """The jobs that hold each of some nodes, or, in `error`, why that can't be told."""

    nodes: tuple[str, ...]
    jobs: dict[str, list[Job]] = field(default_factory=dict)
    error: PactError | None = None

    def all(self) -> list[Job]:
        """Each job once, in the order of the nodes."""
        return list({job.id: job for name in self.nodes for job in self.jobs.get(name, ())}.values())

    def told(self) -> str:
        """How many there are, and where, in words."""
        where, number = counted_nodes(self.nodes), len(self.all())
        if self.error is not None:
            return f"what runs on {where} is not known: {self.error.message}"
        return f"{counted(number, 'job')} on {where}" if number else f"no jobs on {where}"

    def facts(self, names: Iterable[str] | None = None) -> JsonObject:
        """What of it belongs on record."""
        jobs: list[JsonValue] = [
            {"id": job.id, "user": job.user, "node": name, "state": job.state}
            for name in (self.nodes if names is None else names)
            for job in self.jobs.get(name, ())
        ]
        found: JsonObject = {"jobs": jobs[:_MOST_FACTS]}
        if len(jobs) > _MOST_FACTS:
            found["jobs_left_out"] = len(jobs) - _MOST_FACTS
        if self.error is not None:
            found["jobs_not_known"] = self.error.message
        return found


def guarded(ctx: Context, deed: Deed, *, yes: bool, drain: bool) -> tuple[Deed, Hit, str]:
    """The deed with the jobs that it hits on record, after the journal was asked whether it may be at all, and the
    person whether to go on; these jobs, and who asks. Raises what the journal says of who may not, and `PactError` for
    who does not want to. `drain`: the nodes are drained before."""
    who = decided(ctx, deed).principal
    hit = hit_by(ctx, deed, who)
    if (drain or deed.action in _BY_LATTICE) and isinstance(hit.error, UnreachableError):
        raise hit.error  # who can't be asked what runs there can't be asked for this either
    ask_first(ctx, deed.action, hit, yes=yes, always=_LOSES if deed.action == "reimage" else "")
    return replace(deed, facts=deed.facts | hit.facts()), hit, who


def hit_by(ctx: Context, deed: Deed, who: str) -> Hit:
    """The jobs that it would disturb; none where it disturbs nobody."""
    if deed.action in _BY_LATTICE | _BY_OPENCHAMI:
        return jobs_on(ctx, deed.targets, who)
    return Hit(deed.targets)


def jobs_on(ctx: Context, nodes: Iterable[str], user: str) -> Hit:
    """Ask lattice for the jobs that hold these nodes, for somebody of whom the journal has said that they may."""
    names = tuple(nodes)
    if ctx.settings.lattice_endpoint is None:
        return Hit(names, error=UsageError("no lattice is configured"))
    from pactsh.cli.systems import lattice_settings
    from pactsh.delegates.lattice.client import Lattice

    try:
        with Lattice(lattice_settings(ctx.settings), user=user, timeout_s=ctx.settings.timeout) as lattice:
            return Hit(names, lattice.jobs_on(names))
    except PactError as error:
        return Hit(names, error=error)


def ask_first(ctx: Context, what: str, hit: Hit, *, yes: bool, always: str = "") -> None:
    """Show the jobs and ask whether to go on, where there are some, or that is not known; `always`: in any case, saying
    this. Raises `PactError` where the answer is no, or nobody is there to give one."""
    if not hit.all() and hit.error is None and not always:
        return
    told = hit.told()
    is_settled = yes or not (os.isatty(0) and os.isatty(2))
    if not (ctx.json and is_settled):
        tell(ctx, what, hit)
    if yes:
        return
    if always and not is_settled:
        ctx.notice(f"pact: {what}: {always}")
    if is_settled:
        raise PactError(f"{what}: {always or told}, and nobody is there to be asked", hint="--yes goes on all the same")
    try:
        agreed = click.confirm("Go on?", default=False, err=True, prompt_suffix=" ")
    except click.Abort:
        ctx.notice("")  # the end of the line with the question
        raise
    if not agreed:
        raise PactError(f"{what}: nothing was done")


def tell(ctx: Context, what: str, hit: Hit) -> None:
    """Say on standard error what runs there, and show the jobs."""
    ctx.notice(f"pact: {what}: {hit.told()}")
    show(ctx, hit)


def show(ctx: Context, hit: Hit) -> None:
    """The jobs on standard error, a row each, and of many the first."""
    from pactsh.cli.fitting import table
    from pactsh.cli.latticewords import COLOURS, between, nodes_text, span

    jobs, now = hit.all(), ctx.now()
    if not jobs:
        return
    rows = []
    for job in jobs[:_MOST_ROWS]:
        ran_s = between(job.started, None, now)
        left_s = None if ran_s is None or job.walltime_s is None else job.walltime_s - ran_s
        rows.append(
            (
                job.id,
                job.user or "-",
                job.state,
                "-" if ran_s is None else span(ran_s),
                "no limit" if job.walltime_s is None else "-" if left_s is None else span(left_s),
                nodes_text(name for name in hit.nodes if name in job.nodes),
            )
        )
    out = Out(sys.stderr, colour=ctx.colour and os.isatty(2))
    styles = [["", "", COLOURS.get(job.state, ""), "", "", ""] for job in jobs[:_MOST_ROWS]]
    table(out, ("JOB", "USER", "STATE", "RUNNING", "LEFT", "NODES"), rows, styles, spare=("RUNNING",), indent="  ")
    if len(jobs) > _MOST_ROWS:
        out.line(f"  and {counted(len(jobs) - _MOST_ROWS, 'more job')}")
    out.flush()

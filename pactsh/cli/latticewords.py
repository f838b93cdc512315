"""How what lattice says is shown: states in colour, lengths of time, hours, nodes. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pactsh.cli.changes import counted, lasts
from pactsh.cli.nodes import fold_nodes

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.lattice.model import Job

COLOURS: Mapping[str, str] = {
    # jobs and DAGs
    "pending": "yellow", "staging": "cyan", "running": "green", "checkpointing": "cyan", "suspended": "yellow",
    "failed": "red bold", "cancelled": "dim",
    # nodes
    "down": "red bold", "unknown": "yellow", "degraded": "yellow", "draining": "yellow", "drained": "cyan",
    "booting": "cyan", "ready": "green",
}  # fmt: skip
"""Of a state; what is not here has none."""
_FOLDED = re.compile(r"[A-Za-z0-9._-]+")
_UNITS = ((86_400, "day", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def span(seconds: float) -> str:
    """A length of time in its two largest units.

    >>> span(7800), span(45.9), span(90_000), span(3600), span(-1)
    ('2 h 10 min', '45 s', '1 day 1 h', '1 h', '0 s')
    """
    whole = max(0, int(seconds))
    for size, unit, less, smaller in _UNITS:
        if whole >= size:
            count, rest = whole // size, whole % size // less
            plural = "s" if unit == "day" and count != 1 else ""
            # Seconds tell nothing any more where it took so long.
            tail = f" {rest} {smaller}" if rest and not (unit == "min" and count >= 10) else ""
            return f"{count} {unit}{plural}{tail}"
    return f"{whole} s"


def moment(text: str | None) -> datetime | None:
    """A time of lattice's."""
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found is None else found.astimezone(UTC)


def between(start: str | None, end: str | None, now: datetime) -> float | None:
    """Seconds from one to the other, or to now; None where it has not begun."""
    begun = moment(start)
    return None if begun is None else ((moment(end) or now) - begun).total_seconds()


def ago(time: str | None, now: datetime) -> str:
    """How long ago it was, in the largest unit.

    >>> ago("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 14, 10, tzinfo=UTC)), ago(None, datetime.now(UTC))
    ('2 h ago', '-')
    """
    seconds = between(time, None, now)
    return "-" if seconds is None else f"{lasts(seconds)} ago"


def ran(job: Job, now: datetime) -> str:
    """How long it has run, and how long it may."""
    seconds = between(job.started, job.completed, now)
    if seconds is None:
        return "-"
    return span(seconds) if job.completed or job.walltime_s is None else f"{span(seconds)} of {span(job.walltime_s)}"


def nodes_text(names: Iterable[str]) -> str:
    """Names of nodes, folded, and how many; whatever lattice calls a node.

    >>> nodes_text(["n2", "n1"]), nodes_text(["n[1"]), nodes_text(["n1", "a b", "n2"])
    ('n[1-2] (2)', 'n[1', 'n[1-2],a b (3)')
    """
    several = list(names)
    plain = [name for name in several if _FOLDED.fullmatch(name)]
    text = ",".join(filter(None, [fold_nodes(plain), *(name for name in several if not _FOLDED.fullmatch(name))]))
    return f"{text} ({len(several)})" if len(several) > 1 else text


def counts(states: Iterable[str], order: Iterable[str]) -> dict[str, int]:
    """How many are in which state; those of `order` in its order, then those that lattice has made up since."""
    found = Counter(states)
    known = {state: found[state] for state in order if found[state]}
    return known | {state: number for state, number in sorted(found.items()) if state not in known}


def counts_text(found: Mapping[str, int]) -> str:
    """The same in words.

    >>> counts_text({"running": 2, "failed": 1})
    '2 running, 1 failed'
    """
    return ", ".join(f"{number:,} {state or 'without a state'}" for state, number in found.items())


def hours(number: float) -> str:
    """Hours of use.

    >>> hours(1234.56), hours(0.04), hours(12), hours(0)
    ('1,234.6', '0.04', '12', '0')
    """
    digits = 1 if abs(number) >= 1 else 2
    text = f"{number:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def tell_left_out(ctx: Context, shown: int, total: int, what: str) -> None:
    """Say on standard error that there are more."""
    if shown < total:
        ctx.notice(f"pact: {shown:,} of {counted(total, what)} are shown: -n {total} shows all")

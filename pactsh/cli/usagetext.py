"""Hours used of a budget, in words and as a bar."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pactsh.cli.latticewords import hours
from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.cli.render import Out
    from pactsh.delegates.lattice.model import TenantUsage, UserTenantUsage

Usage = TypeVar("Usage", bound=msgspec.Struct)
HEADER = ("TENANT", "GPU HOURS", "BUDGET", "USED", "NODE HOURS", "BUDGET", "USED")
NUMBERS = (1, 2, 4, 5)
"""Which of its columns are numbers."""

NO_BUDGET = "no budget set"
_WIDTH = 30
_NEARLY = 0.9


def fraction_of(used: float, budget: float | None, told: float | None = None) -> float | None:
    """How much of it is used; None without a budget. Of a budget of nothing all is used as soon as anything is.

    >>> fraction_of(5, 10), fraction_of(5, None), fraction_of(0, 0), fraction_of(1, 0)
    (0.5, None, 0.0, inf)
    """
    if budget is None:
        return None
    if told is not None:
        return told
    return used / budget if budget > 0 else float("inf") if used > 0 else 0.0


def used_text(used: float, budget: float | None, told: float | None = None) -> str:
    """The words.

    >>> used_text(612.5, 1000)
    '612.5 h of 1,000 h (61 %)'
    >>> used_text(1200, 1000)
    '1,200 h of 1,000 h (120 %), OVER BUDGET by 200 h'
    >>> used_text(3, None)
    '3 h, no budget set'
    """
    fraction = fraction_of(used, budget, told)
    if budget is None or fraction is None:
        return f"{hours(used)} h, {NO_BUDGET}"
    share = f" ({int(fraction * 100)} %)" if fraction != float("inf") else ""
    over = f", OVER BUDGET by {hours(used - budget)} h" if used > budget else ""
    return f"{hours(used)} h of {hours(budget)} h{share}{over}"


def colour_of(used: float, budget: float | None, told: float | None = None) -> str:
    """Red when it is over, yellow when it nearly is."""
    fraction = fraction_of(used, budget, told)
    if budget is None or fraction is None:
        return ""
    return "red bold" if used > budget else "yellow" if fraction >= _NEARLY else "green"


def bar(fraction: float, width: int = _WIDTH) -> str:
    """The used part of a line.

    >>> bar(0.5, 10), bar(1.7, 10), bar(0.001, 10)
    ('[#####-----]', '[##########]', '[#---------]')
    """
    filled = width if fraction >= 1 else max(int(width * fraction), 1 if fraction > 0 else 0)
    return f"[{'#' * filled}{'-' * (width - filled)}]"


def show(out: Out, name: str, used: float, budget: float | None, told: float | None, columns: int | None) -> None:
    """A line of it; with a bar where there is a terminal of so many columns and room for one."""
    names = colour_of(used, budget, told).split()
    text = used_text(used, budget, told)
    fraction = fraction_of(used, budget, told)
    pieces = [f"{name:<13}", out.style(text, *names)]
    room = 0 if columns is None else columns - 13 - len(text) - 4
    if fraction is not None and room >= 10:
        pieces += ["  ", out.style(bar(fraction, min(_WIDTH, room)), *names)]
    out.styled(*pieces, sep="")


def rows_of(found: Iterable[TenantUsage | UserTenantUsage]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Rows below `HEADER`, and the styles of their cells."""
    rows: list[tuple[str, ...]] = []
    styles: list[tuple[str, ...]] = []
    for one in found:
        told = (getattr(one, "gpu_fraction", None), getattr(one, "node_fraction", None))
        gpu, node = (one.gpu_hours, one.gpu_budget, told[0]), (one.node_hours, one.node_budget, told[1])
        rows.append((one.tenant, *_cells(*gpu), *_cells(*node)))
        styles.append(("", *[colour_of(*gpu)] * 3, *[colour_of(*node)] * 3))
    return rows, styles


def _cells(used: float, budget: float | None, told: float | None) -> tuple[str, str, str]:
    fraction = fraction_of(used, budget, told)
    if budget is None or fraction is None:
        return hours(used), NO_BUDGET, "-"
    share = "" if fraction == float("inf") else f"{int(fraction * 100)} %"
    return hours(used), hours(budget), f"{share} OVER".strip() if used > budget else share


def finite(usage: Usage) -> Usage:
    """What lattice says, if all of its numbers are some; raises `PactError`."""
    for part in (usage, *getattr(usage, "tenants", ())):
        for name, value in msgspec.structs.asdict(part).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise PactError(f"lattice: {name} is {value}, which is no number of hours")
    return usage

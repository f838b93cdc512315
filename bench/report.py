"""What a run found: rows, the table on stdout, and JSON in `bench/results/`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_HEADINGS = ("what", "measured", "ratio", "target", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `value` is in `unit`; `ratio` is to the case named `against`. `limit` is the target in the unit of
    what is judged (`judged`: value or ratio), `at_least` says which way.
    """

    what: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    limit: float | None = None
    at_least: bool = False
    judged: str = "value"
    samples: int = 0

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.limit is None:
            return None
        found = self.value if self.judged == "value" else (self.ratio or 0.0)
        return found >= self.limit if self.at_least else found <= self.limit


@dataclass(frozen=True, slots=True)
class Section:
    """A table of one subject. `skipped` says why there is none; notes stand below it."""

    title: str
    rows: Sequence[Row] = ()
    notes: Sequence[str] = ()
    skipped: str = ""


def ratio_rows(samples: dict[str, list[float]], reference: str) -> list[Row]:
    """A row a case: its median in ms, and the ratio of medians to `reference`."""
    from bench.measure import median

    base = median(samples[reference])
    return [
        Row(name, median(found) * 1e3, "ms", median(found) / base, reference, samples=len(found))
        for name, found in samples.items()
    ]


def render(section: Section) -> str:
    """The section as text."""
    lines = [section.title, "-" * len(section.title)]
    if section.skipped:
        lines.append(f"skipped: {section.skipped}")
    if section.rows:
        cells = [_HEADINGS, *map(_cells, section.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
        for row in cells:
            text = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:4], widths[1:4], strict=True)), row[4]]
            lines.append("  ".join(text).rstrip())
    lines += [f"  {note}" for note in section.notes]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    measured = f"{row.value:,.0f} {row.unit}" if row.value >= 1000 else f"{row.value:.3g} {row.unit}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    target = ""
    if row.limit is not None:
        sign = ">=" if row.at_least else "<="
        target = f"{sign} {row.limit:g}" + ("x" if row.judged == "ratio" else f" {row.unit}")
    verdict = {None: "", True: "met", False: "MISSED"}[row.met]
    return row.what, measured, ratio, target, verdict


def machine() -> dict[str, object]:
    """What the numbers depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def save(sections: Iterable[Section]) -> Path:
    """Write everything as JSON; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    facts = machine()
    path = RESULTS / f"{str(facts['time']).replace(':', '').replace('+0000', 'Z')}.json"
    rows = [
        {**asdict(section), "rows": [{**asdict(row), "met": row.met} for row in section.rows]} for section in sections
    ]
    path.write_text(json.dumps({"machine": facts, "sections": rows}, indent=1) + "\n", encoding="utf-8")
    return path

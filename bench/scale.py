"""`pact exec` on thousands of nodes, whose agents are stubs at the level of SSH."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bench import stubs
from bench.fanout import Sample, run
from bench.fleet import VCLUSTER, enrolled, report
from bench.measure import CaseError, median
from bench.report import Row, Section
from bench.serving import Serving, serving
from bench.system import BIN

TITLE = "pact exec on thousands of nodes (stubs that answer over SSH, the journal is real)"


def measure(directory: Path, counts: Sequence[int], rounds: int) -> Section:
    """Medians; each run's output is compared with what the nodes were to say."""
    rows: list[Row] = []
    for count in counts:
        with serving(directory / f"scale-{count}") as journal:
            samples = _runs(journal, directory / f"scale-{count}", count, rounds)
        for name, found in samples.items():
            wall, cpu = median([s.wall for s in found]), median([s.cpu for s in found])
            rows.append(Row(f"{count:,} nodes, {name}, wall", wall * 1e3, "ms", samples=len(found)))
            rows.append(Row(f"{count:,} nodes, {name}, its own processors' time a node", cpu / count * 1e3, "ms"))
            rows.append(Row(f"{count:,} nodes, {name}, its largest size", max(s.size_kib for s in found) / 1024, "MiB"))
    return Section(TITLE, rows, ["every node's own answer, and no other, was there in each run"])


def _runs(journal: Serving, directory: Path, count: int, rounds: int) -> dict[str, list[Sample]]:
    members = asyncio.run(enrolled(journal, count))
    with stubs.started(directory / "stubs", journal.authority, count) as addresses:
        asyncio.run(report(journal, members, addresses))
        names = sorted(member[0] for member in members)
        wanted = {"lines": sorted(f"{name}: {name}" for name in names), "--fold": sorted([*names, *names])}
        samples: dict[str, list[Sample]] = {name: [] for name in wanted}
        for number in range(rounds + 1):
            for name, lines in wanted.items():
                options = () if name == "lines" else (name,)
                argv = (str(BIN / "pact"), "exec", *options, f"@{VCLUSTER}", "--", "hostname")
                output = directory / "output"
                sample = run(argv, journal.environ(), output)
                said = sorted(line for line in output.read_text().splitlines() if line != "-" * 15)
                if said != lines:
                    raise CaseError(f"{count} nodes, {name}: the answers are not those of the nodes")
                if number:  # the first one fills caches
                    samples[name].append(sample)
    return samples

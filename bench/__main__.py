"""`python -m bench`: run the benchmarks, print their tables, keep the numbers in `bench/results/`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import (
    appends,
    containment,
    drift,
    fanout,
    fleet,
    lines,
    oneshot,
    prompt,
    rego,
    remote,
    resident,
    scale,
    system,
    watching,
)
from bench.measure import CaseError
from bench.report import Section, machine, render, save

# Each section needs the system (and a directory of its own), in the order of printing. The agent is
# looked at last, when it has worked.
TITLES = {
    "oneshot": oneshot.TITLE,
    "prompt": prompt.TITLE,
    "remote": remote.TITLE,
    "fanout": fanout.TITLE,
    "lines": lines.TITLE,
    "containment": containment.TITLE,
    "drift": drift.TITLE,
    "rego": rego.TITLE,
    "appends": appends.TITLE,
    "fleet": fleet.TITLE,
    "watching": watching.TITLE,
    "scale": scale.TITLE,
    "resident": resident.TITLE,
}


def main() -> int:
    """Run what is asked for; 0 even when a target is missed: the table says so, and machines differ."""
    options = _options()
    print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n", flush=True)
    found: list[Section] = []
    with _directory(options.dir) as directory:
        for section in _sections(directory, options):
            print(render(section), flush=True)
            found.append(section)
    print(f"saved: {os.path.relpath(save(found))}")
    missed = [row.what for section in found for row in section.rows if row.met is False]
    print("every target met" if not missed else f"targets missed: {'; '.join(missed)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(TITLES)}; all if none")
    parser.add_argument("--rounds", type=int, default=40, help="runs of each program (40)")
    parser.add_argument("--lines", type=int, default=1000, help="lines in a session (1000)")
    parser.add_argument("--nodes", type=int, default=100, help="agents for the fan-out (100)")
    parser.add_argument("--stubs", type=int, nargs="+", default=[1000, 5000], help="stubs to run on (1000 5000)")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds to watch the idle agent (20)")
    # /var/tmp is on a disk where /tmp may be memory; syncs are part of what is measured.
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where the data goes (/var/tmp)")
    options = parser.parse_args()
    unknown = set(options.sections) - set(TITLES)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    return options


@contextmanager
def _directory(parent: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="pact-bench-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sections(directory: Path, options: argparse.Namespace) -> Iterator[Section]:
    wanted = options.sections or list(TITLES)
    rounds = options.rounds
    alone: dict[str, Callable[[], Section]] = {
        "containment": lambda: containment.measure(directory, options.lines),
        "drift": lambda: drift.measure(directory, rounds),
        "rego": lambda: rego.measure(directory, options.lines),
        "appends": lambda: appends.measure(directory, 5, 1.5),
        "fleet": lambda: fleet.measure(directory, max(15, rounds // 2)),
        "watching": lambda: watching.measure(directory, 10.0),
        "scale": lambda: scale.measure(directory, options.stubs, 3),
        "fanout": lambda: fanout.measure(directory, options.nodes, max(3, rounds // 8)),
    }
    try:
        if set(wanted) - set(alone):
            with system.started(directory) as up:
                together: dict[str, Callable[[], Section]] = {
                    "oneshot": lambda: oneshot.measure(up, directory, rounds),
                    "prompt": lambda: prompt.measure(up, directory, max(5, rounds // 4)),
                    "remote": lambda: remote.measure(up, directory, max(5, rounds // 2)),
                    "lines": lambda: lines.measure(up, options.lines),
                    "resident": lambda: resident.measure(up, options.idle),
                }
                yield from (_guarded(name, together[name]) for name in TITLES if name in wanted and name in together)
    except CaseError as error:
        yield Section("The system under test", skipped=str(error))
    yield from (_guarded(name, alone[name]) for name in TITLES if name in wanted and name in alone)


def _guarded(name: str, run: Callable[[], Section]) -> Section:
    """A section, or the reason why there is none: one that can't be measured does not take the rest along."""
    try:
        return run()
    except Exception as error:
        return Section(TITLES[name], skipped=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())

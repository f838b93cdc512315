"""What drift costs: looking at a node's dimensions, and comparing what was found with what is declared."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pact_agent.contents import Contents
from pact_agent.dimensions import Dimension
from pact_agent.dimensions.files import Files
from pact_agent.dimensions.gpu import Gpus
from pact_agent.dimensions.kernel import Kernel
from pact_agent.dimensions.mounts import Mounts
from pact_agent.dimensions.network import Network
from pact_agent.dimensions.packages import Packages
from pact_agent.dimensions.services import Services
from pact_agent.drift import differences, magnitude

from bench.measure import Case, interleave, median
from bench.report import Row, Section

TITLE = "Drift: looking at a node, and finding what differs"
LOOK_LIMIT_MS, EVALUATE_LIMIT_MS = 100.0, 50.0
_FILES, _KEYS = 10_000, 1000


def measure(directory: Path, rounds: int) -> Section:
    """`rounds` looks at each dimension of this machine, interleaved, and as many evaluations of 1,000 keys."""
    tree = _tree(directory / "tree")
    contents = Contents(directory / "contents")
    observed = (Kernel(), Mounts(), Files(contents), Network(), Services(), Packages(), Gpus())
    dimensions = {d.name: _looking(d) for d in observed}
    cases = {**dimensions, "all of them": _together(dimensions), "tree": _looking(Files(contents, (str(tree),)))}
    try:
        samples = interleave({**cases, "evaluate": _evaluating}, rounds)
    finally:
        contents.close()
    rows = [Row(f"a look at {name}", median(samples[name]) * 1e3, "ms", samples=rounds) for name in dimensions]
    rows += [
        Row("a look at all of them", median(samples["all of them"]) * 1e3, "ms", limit=LOOK_LIMIT_MS, samples=rounds),
        Row(f"a look at {_FILES} files", median(samples["tree"]) * 1e3, "ms", samples=rounds),
        Row(
            f"{_KEYS} drifted keys evaluated",
            median(samples["evaluate"]) * 1e3,
            "ms",
            limit=EVALUATE_LIMIT_MS,
            samples=rounds,
        ),
    ]
    return Section(TITLE, rows, ["files: those of /etc; contents that have not changed are not read again"])


def _tree(place: Path) -> Path:
    for number in range(_FILES):
        path = place / f"{number % 100}" / f"{number}.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    return place


def _timed(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def _looking(dimension: Dimension) -> Case:
    return lambda: _timed(dimension.snapshot)


def _together(cases: dict[str, Case]) -> Case:
    return lambda: sum(case() for case in cases.values())


def _evaluating() -> float:
    declared = {"kernel": {f"k{n}": "1" for n in range(_KEYS)}, "files": {f"/etc/{n}": "x" for n in range(_FILES)}}
    actual = {"kernel": dict.fromkeys(declared["kernel"], "2"), "files": declared["files"]}
    return _timed(lambda: magnitude(differences(declared, actual, lambda _dimension, _key: False)))

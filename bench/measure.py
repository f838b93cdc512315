"""Taking samples: one case after the other, round by round, so that a busy moment hits them all."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Case = Callable[[], float]
WARM_UP_ROUNDS = 2


class CaseError(Exception):
    """A case that can't be measured; the text says why."""


def interleave(cases: Mapping[str, Case], rounds: int, *, warm_up: int = WARM_UP_ROUNDS) -> dict[str, list[float]]:
    """Run every case `rounds` times in the order a, b, c, a, b, c, …; returns seconds by name.

    The first `warm_up` rounds fill caches and are not counted.
    """
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + warm_up):
        for name, case in cases.items():
            seconds = case()
            if number >= warm_up:
                samples[name].append(seconds)
    return samples


def quantile(samples: Sequence[float], q: float) -> float:
    """The smallest sample that at least `q` of all do not exceed (nearest rank).

    >>> quantile([3, 1, 2, 4], 0.5), quantile([3, 1, 2, 4], 0.99)
    (2, 4)
    """
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """The median."""
    return statistics.median(samples)


def program(argv: Sequence[str], environ: Mapping[str, str], *, status: int = 0) -> Case:
    """A case that runs a program to its end, its output thrown away; raises `CaseError` on another status."""

    def run() -> float:
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        started = time.perf_counter()
        pid = os.posix_spawnp(argv[0], list(argv), dict(environ), file_actions=actions)
        _pid, waited = os.waitpid(pid, 0)
        seconds = time.perf_counter() - started
        os.close(null)
        ended = os.waitstatus_to_exitcode(waited)
        if ended != status:
            raise CaseError(f"{' '.join(argv)}: ended with {ended}, expected {status}")
        return seconds

    return run

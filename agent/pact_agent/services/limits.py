"""Control groups of services: what all processes of one may use together, and all of them found when they have to end.

What was asked for and can't be had is said, and no reason not to run. The second version's hierarchy is used; for the
number of processes the first one's where that still counts them.
"""

from __future__ import annotations

import contextlib
import os

from pact_agent.cgroup import Groups
from pact_agent.services.definition import Limits

_PERIOD_US = 100_000


class ServiceGroups:
    """Those of one agent's services; `key` tells it from others on this machine, `places` are where they can be."""

    def __init__(self, key: str, places: tuple[str, ...] | None = None) -> None:
        self._key, self._places = key, places
        self._made: tuple[str, ...] | None = None

    @property
    def bases(self) -> tuple[str, ...]:
        """Where they are made, one in each hierarchy: nothing before the first service is started."""
        if self._made is None:
            self._made = Groups(f"services:{self._key}", self._places).bases
        return self._made

    def make(self, name: str, limits: Limits) -> tuple[tuple[str, ...], str]:
        """The control groups for a service, and which of its limits are not in force; "" when all are."""
        wanted = _files(limits)
        made: list[str] = []
        left = set(wanted)
        for base in self.bases:
            path = f"{base}/{name}"
            if wanted:
                _divide(base)
            with contextlib.suppress(OSError):
                os.makedirs(path, 0o700, exist_ok=True)
                made.append(path)
        for path in made:
            for file in (*wanted, "memory.swap.max"):
                value = wanted.get(file, "0" if "memory.max" in wanted else "max")
                try:
                    _write(f"{path}/{file}", value)
                    left.discard(file)
                except OSError:
                    continue  # that controller is not in this hierarchy
        return tuple(made), f"not in force here: {', '.join(sorted(left))}" if left else ""

    def close(self) -> None:
        """Take away what is empty."""
        take_away(self._made or ())


def take_away(groups: tuple[str, ...]) -> None:
    """Those of them that are empty."""
    for path in groups:
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _files(limits: Limits) -> dict[str, str]:
    """The files of a control group that hold them, with what to write.

    >>> _files(Limits(memory_bytes=1 << 20, cpus=1.5))
    {'memory.max': '1048576', 'cpu.max': '150000 100000'}
    """
    found = {
        "memory.max": None if limits.memory_bytes is None else str(limits.memory_bytes),
        "cpu.max": None if limits.cpus is None else f"{round(limits.cpus * _PERIOD_US)} {_PERIOD_US}",
        "pids.max": None if limits.processes is None else str(limits.processes),
    }
    return {name: value for name, value in found.items() if value is not None}


def _divide(base: str) -> None:
    """Have the controllers count for groups in `base`, as far as the groups above it allow."""
    for path in (os.path.dirname(base), base):
        for controller in ("memory", "pids", "cpu"):
            with contextlib.suppress(OSError):
                _write(f"{path}/cgroup.subtree_control", f"+{controller}")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)

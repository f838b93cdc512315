"""Services on a node without systemd: those of the agent's own supervisor.

Keys are their names; values are as on other nodes, `state=running enabled=enabled`. One that is started again after it
has ended is no change; one that has ended too often has `failed`. What is enabled its definition says, which is a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.unitsetting import parse_wanted
from pactsh.errors import PactError

_MAKE_S = 55.0


class Supervising(Protocol):
    """The supervisor, as far as it is observed."""

    def values(self) -> dict[str, str]:
        """Values by name."""
        ...

    async def make(self, name: str, *, running: bool) -> None:
        """Have it run, or not. Raises `PactError`."""
        ...

    def summary(self) -> str | None:
        """How many run and have failed."""
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when something has changed."""
        ...


class Supervised:
    """The dimension. `supervisor` belongs to the loop in which `watch` was called, or whatever `loop` gives."""

    name = "services"
    interval_s = 0.0
    lasting = True

    def __init__(self, supervisor: Supervising, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._supervisor, self._loop = supervisor, loop

    def snapshot(self) -> dict[str, str]:
        """All services that are defined."""
        return self._supervisor.values()

    def apply(self, key: str, value: str | None) -> None:
        """Start or stop it. Raises `ApplyError`."""
        now = self._supervisor.values().get(key)
        if now is None:
            raise ApplyError(f"{key}: no service is defined by that name")
        wanted = parse_wanted(key, "state=stopped" if value is None else value)
        enabled = parse_wanted(key, now).files
        if wanted.files not in {None, enabled}:
            raise ApplyError(f"{key} is {enabled} by its definition, a file: that is what has to be changed")
        if wanted.state not in {None, "running", "stopped"}:
            raise ApplyError(f"{key} can't be made {wanted.state}")
        if wanted.state is not None:
            making = self._supervisor.make(key, running=wanted.state == "running")
            try:
                asyncio.run_coroutine_threadsafe(making, self._loop()).result(_MAKE_S)
            except TimeoutError:
                raise ApplyError(f"{key}: it has not ended after {_MAKE_S:.0f} s") from None
            except PactError as error:
                raise ApplyError(error.message) from error

    def summary(self) -> str | None:
        """How many services run and have failed."""
        return self._supervisor.summary()

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """The supervisor knows when."""
        return self._supervisor.watch(wake)

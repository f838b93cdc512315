"""When a service that has ended is started again: soon at first, later each time, rarely once it has shown that it
can't. Pure but for the chance in the delays."""

from __future__ import annotations

import msgspec

from pact_agent.backoff import Backoff
from pact_agent.services.definition import Definition


class Ended(msgspec.Struct, frozen=True):
    """How a run of a service ended: its exit status, or the signal that ended it, or what else is known (`why`).
    `restarts`: how often it had been started again by itself, `lasted_s` how long that one had been up."""

    status: int | None = None
    signal: int | None = None
    why: str = ""
    restarts: int = 0
    lasted_s: float = 0.0

    @property
    def is_well(self) -> bool:
        """Whether it says itself that all is well."""
        return self.status == 0 and not self.why

    @property
    def told(self) -> str:
        """In a few words.

        >>> Ended(status=3).told, Ended(signal=9).told, Ended(signal=9, why="its check fails").told
        ('status 3', 'signal 9', 'its check fails')
        """
        return self.why or (f"signal {self.signal}" if self.signal is not None else f"status {self.status}")


class Restarts:
    """Of one service: how often it has ended, and how long to wait. `given_up`: it has ended `burst` times in a row
    before it had been up for `steady_s`, and is tried but rarely."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        first_s = definition.restart_delay_s
        self._backoff = Backoff(first_s=first_s, base_s=2 * first_s, limit_s=definition.restart_most_s)
        self._in_a_row = 0
        self.count = 0

    @property
    def given_up(self) -> bool:
        """Whether it counts as failed, though it is tried now and then."""
        return self._in_a_row >= self._definition.burst

    def wants(self, ended: Ended) -> bool:
        """Whether it is to be started again at all."""
        restart = self._definition.restart
        return restart == "always" or (restart == "on-failure" and not ended.is_well)

    def after_s(self, lasted_s: float) -> float:
        """It ended after so long: how long to wait before the next start."""
        if lasted_s >= self._definition.steady_s:
            self.steady()
        self._in_a_row += 1
        self.count += 1
        return self._definition.retry_s if self.given_up else self._backoff.next()

    def resume(self, ended: Ended) -> float:
        """It has ended while nobody looked: how long to wait."""
        self.count = ended.restarts
        self._in_a_row = min(ended.restarts, self._definition.burst - 1)
        return self.after_s(ended.lasted_s)

    def steady(self) -> None:
        """It has been up for long enough to be trusted again."""
        self._in_a_row = 0
        self._backoff.reset()

    def reset(self) -> None:
        """Somebody starts it anew."""
        self.steady()
        self.count = 0

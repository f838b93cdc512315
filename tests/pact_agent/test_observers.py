"""Looking at dimensions: when, what is left out, and what happens when the kernel can't wake us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.observers import Observers

from tests.pact_agent.recording import FakeClock


class Part:
    """A dimension of one key."""

    name, lasting = "part", False

    def __init__(self, interval_s: float = 0.0, problem: Exception | None = None) -> None:
        self.interval_s, self._problem = interval_s, problem
        self.value: str | None = "1"
        self.wake: Callable[[], None] = lambda: None

    def snapshot(self) -> dict[str, str]:
        return {} if self.value is None else {"key": self.value}

    def apply(self, key: str, value: str | None) -> None:
        assert key == "key"
        self.value = value

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        if self._problem is not None:
            raise self._problem
        self.wake = wake
        return lambda: None


def test_what_has_an_interval_is_due_when_it_is_over() -> None:
    clock = FakeClock()
    observers = Observers([Part(10.0)], clock)
    observers.start()
    assert observers.due() == set()
    clock.pass_s(10)
    assert (observers.due(), asyncio.run(observers.look())) == ({"part"}, {"part": {"key": "1"}})
    assert observers.due() == set(), "looked at, it is due again only after its interval"
    assert observers.next_due() == clock.monotonic() + 10


def test_what_the_kernel_wakes_us_for_is_due_then() -> None:
    part = Part()
    observers = Observers([part], FakeClock())
    observers.start()
    assert (observers.due(), observers.next_due()) == (set(), None)
    part.wake()
    assert observers.woken.is_set()
    assert (observers.due(), observers.due(), observers.woken.is_set()) == ({"part"}, set(), False)


def test_what_it_cannot_wake_us_for_is_looked_at_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    observers = Observers([Part(problem=OSError(24, "Too many open files"))], clock)
    observers.start()
    assert "the kernel can't wake us: Too many open files" in caplog.text
    for _ in range(3):
        clock.pass_s(10)
        assert observers.due() == {"part"}
        asyncio.run(observers.look({"part"}))


def test_a_dimension_that_is_not_here_is_left_out_and_not_changed() -> None:
    part = Part()
    observers = Observers([part], FakeClock())
    assert asyncio.run(observers.look({"gpu"})) == {}
    with pytest.raises(ApplyError, match="gpu can't be undone"):
        asyncio.run(observers.apply("gpu", "gpu[0]", "healthy"))
    asyncio.run(observers.apply("part", "key", None))
    assert part.value is None

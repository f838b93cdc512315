"""When a service that has ended is started again."""

from __future__ import annotations

from typing import Any

import pytest
from pact_agent.services.definition import Definition
from pact_agent.services.restarts import Ended, Restarts

WELL, BAD, KILLED, SICK = Ended(0), Ended(1), Ended(signal=9), Ended(0, why="its check fails")


def restarts(**fields: Any) -> Restarts:
    return Restarts(Definition(("/x",), **fields))


@pytest.mark.parametrize(
    ("restart", "wanted"),
    [("always", [True] * 4), ("on-failure", [False, True, True, True]), ("never", [False] * 4)],
)
def test_who_is_started_again(restart: str, wanted: list[bool]) -> None:
    assert [restarts(restart=restart).wants(ended) for ended in (WELL, BAD, KILLED, SICK)] == wanted


def test_one_that_dies_at_once_forever_is_tried_later_each_time_then_rarely() -> None:
    one = restarts(restart_delay_s=1, restart_most_s=8, burst=6, retry_s=300)
    delays = [one.after_s(0.1) for _ in range(8)]
    for delay, most in zip(delays, (1, 2, 4, 8, 8, 300, 300, 300), strict=True):
        assert most / 2 <= delay <= most
    assert (one.given_up, one.count, delays[5]) == (True, 8, 300)


def test_what_has_ended_unseen_is_counted_too() -> None:
    one = restarts(restart_delay_s=1, burst=3, retry_s=300)
    assert one.resume(Ended(1, restarts=7, lasted_s=0.1)) == 300
    assert (one.given_up, one.count) == (True, 8)
    assert restarts(restart_delay_s=1, burst=3).resume(Ended(1, restarts=7, lasted_s=60.0)) <= 1
    assert restarts(restart_delay_s=1, burst=3).resume(Ended(1)) <= 1


def test_one_that_was_up_for_a_while_is_trusted_again() -> None:
    one = restarts(restart_delay_s=1, burst=2, steady_s=10)
    assert [one.after_s(1), one.after_s(1)][1] == 300
    assert one.after_s(10) <= 1
    assert not one.given_up
    one.after_s(1)
    assert one.given_up
    one.steady()
    assert not one.given_up
    one.reset()
    assert one.count == 0

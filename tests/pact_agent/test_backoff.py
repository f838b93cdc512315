"""Delays grow to their limit, start over after a success, and are not the same for everybody."""

from __future__ import annotations

import random

from pact_agent.backoff import Backoff


def test_delays_double_from_a_short_first_one_to_the_limit() -> None:
    backoff = Backoff(rng=random.Random(7))
    delays = [backoff.next() for _ in range(40)]
    assert delays[0] <= 0.2
    assert all(30 <= d <= 60 for d in delays[8:])
    for index, ceiling in enumerate((1, 2, 4, 8, 16, 32), 1):
        assert ceiling / 2 <= delays[index] <= ceiling


def test_success_starts_over_and_agents_differ() -> None:
    backoff = Backoff(rng=random.Random(7))
    for _ in range(9):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.2
    other = Backoff(rng=random.Random(8))
    assert [other.next() for _ in range(3)] != [backoff.next() for _ in range(3)]

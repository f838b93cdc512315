"""Who is told what of drift: each what is theirs, in one line."""

from __future__ import annotations

import pytest
from pact_agent.telling import declared_anew, ending

from pactsh.model.delta import Change, Drifted


def drifted(key: str, by: str, *, before: str = "1", after: str = "2") -> Drifted:
    return Drifted(Change("kernel", key, before, after), by, "2026-01-31T12:00:00.000000Z")


@pytest.mark.parametrize(
    ("makers", "who", "expected"),
    [
        (["a@o"], "a@o", "1 change of yours (kernel:k0) not committed: rolled back in 5 min"),
        (["a@o", "a@o, b@o", "b@o"], "a@o", "2 changes of yours (kernel:k0 and 1 more) not committed: rolled back in"),
        (["a@o", "a@o, b@o"], "b@o", "1 change of yours (kernel:k1) not committed: "),
        (["a@o"], "b@o", ""),
        (["aa@o"], "a@o", ""),
        (["", "a@o"], "b@o", "1 change by nobody known (kernel:k0) not committed: "),
        (["", "a@o"], "a@o", "1 change of yours (kernel:k1) not committed: "),
        ([], "a@o", ""),
    ],
)
def test_the_end_of_a_window(makers: list[str], who: str, expected: str) -> None:
    drift = [drifted(f"k{number}", by) for number, by in enumerate(makers)]
    said = ending(drift, 300)(who)
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


@pytest.mark.parametrize(("left_s", "shown"), [(300, "5 min"), (117, "1:57 min"), (60, "1 min"), (23, "23 s")])
def test_how_much_time_is_left(left_s: float, shown: str) -> None:
    assert ending([drifted("k", "a@o")], left_s)("a@o").endswith(f"rolled back in {shown}")


def test_what_an_overlay_says_of_ones_own_keys() -> None:
    before = [drifted("k0", "a@o"), drifted("k1", "a@o"), drifted("k2", "b@o"), drifted("k3", "")]
    after = [drifted("k0", "a@o", before="7"), drifted("k1", "a@o"), drifted("k3", "", before="9")]
    told = declared_anew(before, after, 4)
    assert told("a@o") == (
        "version 4 of the overlay: kernel:k0, which you changed to 2, is declared as 7; what you do not commit becomes"
        " what is declared"
    )
    assert told("b@o") == "version 4 of the overlay: kernel:k2 is declared as you have it"
    assert told("c@o") == ""


def test_many_keys_are_counted_and_long_values_cut() -> None:
    before = [drifted(f"k{number}", "a@o", after="x" * 500) for number in range(9)]
    after = [drifted(f"k{number}", "a@o", before="y" * 500, after="x" * 500) for number in range(9)]
    said = declared_anew(before, after, 1)("a@o")
    assert "; and 4 more keys of yours; what you do not commit" in said
    assert len(said) < 1200

"""The sentences after a line on many nodes."""

from __future__ import annotations

from pactsh.cli.fanout import Ended
from pactsh.cli.tally import Tally


def test_all_well_is_not_worth_a_word() -> None:
    tally = Tally(2)
    tally.count(Ended("n1", "ran", 0))
    tally.count(Ended("n2", "ran", 0))
    assert list(tally.lines()) == []


def test_each_way_to_fail_names_its_nodes() -> None:
    tally = Tally(7)
    for node, result, status in (
        ("n1", "ran", 0), ("n2", "ran", 1), ("n3", "ran", 1), ("n4", "ran", 137), ("n5", "unreachable", 5),
        ("n6", "refused", 2), ("n7", "refused", 5),
    ):  # fmt: skip
        tally.count(Ended(node, result, status))
    assert list(tally.lines()) == [
        "exit status 1: n[2-3] (2)", "exit status 137: n4", "refused: n[6-7] (2)", "unreachable: n5",
        "4 of 7 nodes finished",
    ]  # fmt: skip

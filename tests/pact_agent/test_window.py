"""The commit window: values in, values out."""

from __future__ import annotations

import pytest
from pact_agent import window as windows
from pact_agent.saved import Window

from pactsh.model.delta import Change
from pactsh.policy.model import Policy

POLICY = Policy("v", enforcement_mode="enforce")


def changes(*dimensions: str) -> list[Change]:
    return [Change(name, f"k{n}", "a", "b") for n, name in enumerate(dimensions)]


@pytest.mark.parametrize(
    ("dimensions", "length_s"),
    [
        (["files"], 300),  # 900 / (1 + 1 * 2)
        (["kernel"], 235),  # the weight is 2
        (["gpu"], 235),
        (["files", "mounts"], 235),
        (["files"] * 5, 81),
        (["files"] * 100, 60),
    ],
)
def test_its_length_goes_by_how_much_has_drifted(dimensions: list[str], length_s: int) -> None:
    window = windows.opened(None, changes(*dimensions), POLICY, 1000.0, "t")
    assert (window.ends - 1000.0, window.opened) == (length_s, "t")


def test_the_policy_says_how_long_it_is_and_how_much_drift_counts() -> None:
    policy = Policy("v", base_commit_window_seconds=3600, drift_sensitivity=0)
    assert windows.opened(None, changes("files"), policy, 0.0, "t").ends == 3600


def test_new_drift_ends_it_sooner_or_when_it_would_have_ended() -> None:
    open_ = Window("t", 100.0)
    assert windows.opened(open_, changes(*["files"] * 100), POLICY, 0.0, "u").ends == 60.0
    assert windows.opened(open_, changes("files"), POLICY, 0.0, "u") == open_


def test_what_somebody_has_lengthened_no_new_drift_shortens() -> None:
    open_ = windows.extended(Window("t", 100.0), 60, 0.0)
    assert open_.ends == 3700.0
    assert windows.opened(open_, changes(*["files"] * 100), POLICY, 0.0, "u") == open_
    assert windows.extended(open_, 5, 0.0).ends == 4000.0


@pytest.mark.parametrize(
    ("length_s", "notices"), [(3600, (300, 60)), (600, (300, 60)), (599, (299, 59)), (235, (117, 23)), (60, (30, 6))]
)
def test_its_end_is_told_of_twice(length_s: int, notices: tuple[int, ...]) -> None:
    policy = Policy("v", base_commit_window_seconds=length_s, drift_sensitivity=0)
    assert windows.opened(None, changes("files"), policy, 0.0, "t").notices == notices


def test_a_notice_is_due_once_and_the_later_one_replaces_one_that_was_missed() -> None:
    window = Window("t", 1000.0, (300, 60))
    assert windows.to_tell(window, 699.0) is None
    assert windows.to_tell(window, 700.0) == 300
    assert windows.to_tell(windows.told(window, 300), 700.0) is None
    assert windows.to_tell(window, 950.0) == 60  # the machine slept meanwhile
    assert windows.told(window, 60).notices == ()


def test_what_is_due_next_is_a_notice_or_the_end() -> None:
    window = Window("t", 1000.0, (300, 60))
    assert windows.next_event(window) == 700.0
    assert windows.next_event(windows.told(window, 300)) == 940.0
    assert windows.next_event(windows.told(window, 60)) == 1000.0


def test_what_ends_it_sooner_or_later_has_it_told_of_again() -> None:
    told = Window("t", 900.0, ())
    sooner = windows.opened(told, changes(*["files"] * 100), POLICY, 100.0, "u")
    assert (sooner.ends, sooner.notices) == (160.0, (30, 6))
    assert windows.opened(Window("t", 100.0, ()), changes("files"), POLICY, 0.0, "u").notices == ()
    later = windows.extended(Window("t", 100.0, ()), 15, 50.0)
    assert (later.ends, later.notices) == (1000.0, (300, 60))
    assert windows.extended(Window("t", 100.0), 1, 500.0).ends == 560.0  # its end was over already

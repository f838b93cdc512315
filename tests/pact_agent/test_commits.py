"""What a commit takes. (Its way through the node's life is in test_lifecycle.)"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pact_agent.commits import check_lasting, check_length, checked_message, named, nothing_to_commit

from pactsh.errors import ConflictError, NotFoundError, UsageError
from pactsh.model.delta import Change, Delta, Drifted


def delta(count: int) -> Delta:
    return Delta("x", tuple(Change("files", f"/etc/{n:05}", None, "v" * 150) for n in range(count)), "a", "t", "m")


def test_one_entry_holds_it_or_it_is_refused() -> None:
    check_length(delta(3000))
    with pytest.raises(UsageError, match="6000 changes are too many for one entry"):
        check_length(delta(6000))


DRIFT = tuple(
    Drifted(Change(dimension, key, before, after), "a", "t")
    for dimension, key, before, after in [
        ("files", "/etc/gone", "dir mode=0755 owner=0:0", None),
        ("files", "/etc/gone/x", "file", None),
        ("files", "/etc/new", None, "dir mode=0755 owner=0:0"),
        ("files", "/etc/new/deep", None, "dir mode=0755 owner=0:0"),
        ("files", "/etc/new/deep/f", None, "file"),
        ("files", "/etc/new/other", None, "file"),
        ("files", "/etc/newer", None, "file"),
        ("network", "address:br0:10.0.0.1/24", None, "scope=global"),
        ("network", "link:br0", None, "state=up kind=bridge"),
        ("network", "link:eth0", "state=down", "state=up"),
        ("network", "route:10.9.0.0/16", None, "dev=br0 proto=boot"),
    ]
)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("files:/etc/new/deep/f", ["files:/etc/new", "files:/etc/new/deep"]),
        ("files:/etc/new", []),
        ("files:/etc/newer", []),
        ("files:/etc/gone", ["files:/etc/gone/x"]),
        ("files:/etc/gone/x", []),
        ("network:address:br0:10.0.0.1/24", ["network:link:br0"]),
        ("network:route:10.9.0.0/16", ["network:link:br0"]),
        ("network:link:br0", []),
    ],
)
def test_what_is_named_comes_with_what_it_can_not_be_without(name: str, more: list[str]) -> None:
    """Or undoing the rest could never end: a directory that is not empty stays."""
    found, missing = named(DRIFT, [name])
    assert ([item.change.name for item in found], missing) == (sorted([name, *more]), ())


def test_what_has_not_drifted_is_missing() -> None:
    assert named(DRIFT, ["kernel:x", "files:/etc/newer"])[1] == ("kernel:x",)


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def made(key: str, minutes: int, *, expires: float = 0.0, value: str = "x") -> Delta:
    time = (NOON - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Delta(key, (Change("files", key, None, value),), "alice@org", time, "m", 7, expires)


def test_who_comes_second_is_told_who_was_first_whatever_was_committed_since() -> None:
    error = nothing_to_commit([made("/etc/a", 90), made("/etc/b", 1)], ["files:/etc/a"], NOON)
    assert isinstance(error, ConflictError)
    assert "alice@org committed files:/etc/a (seq:7)" in error.message


def test_what_was_rolled_back_nobody_committed() -> None:
    """An unrelated commit of just before is not to blame."""
    assert isinstance(nothing_to_commit([made("/etc/a", 1)], [], NOON), ConflictError)
    assert isinstance(nothing_to_commit([made("/etc/a", 1)], [], NOON, NOON - timedelta(seconds=9)), NotFoundError)
    assert isinstance(nothing_to_commit([made("/etc/a", 1)], ["files:/etc/b"], NOON), NotFoundError)


def test_nothing_lasts_longer_than_what_it_needs() -> None:
    """Or the directory could not be taken away when its time is over."""
    inside = [Drifted(Change("files", "/etc/d/f", None, "file"), "a", "t")]
    directory = made("/etc/d", 1, expires=9e9, value="dir mode=0755 owner=0:0")
    with pytest.raises(UsageError, match="files:/etc/d/f needs files:/etc/d, whose commit ends by itself"):
        check_lasting(inside, [directory], None)
    check_lasting(inside, [directory], 900)
    check_lasting(inside, [made("/etc/d", 1, value="dir mode=0755 owner=0:0")], None)
    check_lasting(inside, [made("/etc/dd", 1, expires=9e9)], None)


def test_a_message_that_is_too_long_is_told_so() -> None:
    with pytest.raises(UsageError, match="20000 characters: at most 1000"):
        checked_message("x" * 20_000)

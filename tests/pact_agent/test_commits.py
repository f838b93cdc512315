"""What a commit takes. (Its way through the node's life is in test_lifecycle.)"""

from __future__ import annotations

import pytest
from pact_agent.commits import check_length, named

from pactsh.errors import UsageError
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

"""Files that a pattern names: below the tree, and over no link."""

from __future__ import annotations

from pathlib import Path

import pytest
from pact_agent.diag.matching import MOST, matching


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "log"
    for name in ("a/x.log", "a/y.log", "a/.hidden.log", "b/x.log", "b/deep/x.log", "top.log", "x[1].log"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tree / "c").symlink_to(tree / "a")
    (tree / "link.log").symlink_to(tree / "top.log")
    return tree


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.log", ["link.log", "top.log", "x[1].log"]),  # a link is named, and refused when it is opened
        ("a/*.log", ["a/x.log", "a/y.log"]),
        ("a/.*", ["a/.hidden.log"]),
        ("*/x.log", ["a/x.log", "b/x.log"]),
        ("*/*/x.log", ["b/deep/x.log"]),
        ("[ab]/?.log", ["a/x.log", "a/y.log", "b/x.log"]),
        ("x[[]1].log", ["x[1].log"]),
        ("none/*", []),
        ("top.log/*", []),
        ("c/*", ["c/x.log", "c/y.log"]),  # the policy itself names the link; opening refuses it
    ],
)
def test_what_is_named(tree: Path, pattern: str, names: list[str]) -> None:
    assert matching(f"{tree}/{pattern}", str(tree)) == [f"{tree}/{name}" for name in names]


def test_there_is_a_most(tmp_path: Path) -> None:
    for number in range(MOST + 5):
        (tmp_path / f"{number:05}").touch()
    assert len(matching(f"{tmp_path}/*", str(tmp_path))) == MOST

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import pytest

from pactsh.language.globbing import MAX_MATCHES, TooManyMatchesError, compile_components, find, matches

TREE = {
    ".": ["var", "b", "a", ".hid", "été", "bad\udcff"],
    "var/": ["log", "lib"],
    "var/log/": ["x.log", "a.log", ".s.log"],
    "var/lib/": ["x.db"],
    "/": ["etc"],
    "/etc/": ["hosts"],
}


class Tree:
    def entries(self, directory: str) -> Sequence[str]:
        return TREE.get(directory, [])

    def exists(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        return name in TREE.get(parent + "/" if parent or path.startswith("/") else ".", [])

    def is_dir(self, path: str) -> bool:
        return path.rstrip("/") + "/" in TREE


def found(pattern: str) -> list[str]:
    return find(compile_components(pattern, [True] * len(pattern)), Tree())


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["a", "b", "bad\udcff", "var", "été"]),
        (".*", [".hid"]),
        ("[.]*", []),
        ("?", ["a", "b"]),
        ("*/", ["var/"]),
        ("*//", ["var/"]),
        ("v*/l*", ["var/lib", "var/log"]),
        ("var/*/x*", ["var/lib/x.db", "var/log/x.log"]),
        ("*/log/*.log", ["var/log/a.log", "var/log/x.log"]),
        ("/e*/*", ["/etc/hosts"]),
        ("?t?", ["été"]),
        ("bad?", ["bad\udcff"]),
        ("[!-~]t*", ["été"]),
        ("z*", []),
    ],
)
def test_names_found(pattern: str, names: list[str]) -> None:
    assert found(pattern) == names


def test_quoted_wildcards_are_text() -> None:
    (component,) = compile_components("a*", [True, False])
    assert component.pieces is None
    assert component.text == "a*"


def test_too_many_names_stop_the_search() -> None:
    class Crowd(Tree):
        def entries(self, directory: str) -> Sequence[str]:
            return [str(number) for number in range(MAX_MATCHES + 1)]

    with pytest.raises(TooManyMatchesError):
        find(compile_components("*", [True]), Crowd())


@pytest.mark.parametrize(("pattern", "name"), [("*a" * 60 + "b", "a" * 255), ("[ab]*" * 60 + "c", "ab" * 127)])
def test_a_hostile_pattern_costs_at_most_pattern_times_name(pattern: str, name: str) -> None:
    (component,) = compile_components(pattern, [True] * len(pattern))
    assert component.pieces is not None
    steps = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert not matches(component.pieces, name)
    finally:
        sys.settrace(before)
    assert steps < 20 * len(component.pieces) * len(name)

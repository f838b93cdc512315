"""Patterns of policies: none that makes the agent think for minutes about one word."""

from __future__ import annotations

import re

import pytest

from pactsh.errors import UsageError
from pactsh.policy.patterns import pattern_fault
from tests.pactsh.policy.test_floor import added, extending

SLOW = [
    "(a|aa)*b", "(a*)*b", "(a+)+", "a*a*a*b", "[a-z]+(,[a-z]+)*", "(x{0,5})*y", "((a|b)|aa)+c", "(?:a|a)+?$",
    "(.*),(.*),(.*)", ".{0,650}.{0,700}.*", "(?>a*a)*", "(a?){40}a{40}", "a?" * 40 + "a" * 40, "(?i:(a+))+",
    "(a|aa)" * 40, "((a{0,9}){0,9}){0,9}", "(a?){0,4294967000}", "(a|a){60000}",
]  # fmt: skip
ODD = ["(?=a)b", "(?!a).", "(?<=a)b", "(?<!a)b", "(a)\\1", "(a)?(?(1)b|c)", "(?P<x>a)(?P=x)"]


@pytest.mark.parametrize("pattern", SLOW)
def test_what_may_take_for_ever_is_refused(pattern: str) -> None:
    assert "too many ways" in pattern_fault(pattern)
    assert any("too many ways" in text for text in added(operands=[{"kind": "word", "match": pattern}]))
    assert any("too many ways" in text for text in added(options=[{"names": "-x", "value": "word", "refuse": pattern}]))
    following = {"names": "-x", "value": "word", "optional": True, "follows": pattern}
    assert any("too many ways" in text for text in added(options=[following]))
    assert any("too many ways" in text for text in added(numeric=pattern))


@pytest.mark.parametrize("pattern", ODD)
def test_what_looks_around_is_refused(pattern: str) -> None:
    assert pattern_fault(pattern).startswith("look-around, back-references")


@pytest.mark.parametrize("pattern", ["(?u)a", "a{9999999999}", "a{" + "9" * 5000 + "}", "(" * 2000 + ")" * 2000, "["])
def test_what_does_not_compile_is_a_clear_error(pattern: str) -> None:
    for place in ({"operands": [{"kind": "word", "match": pattern}]}, {"numeric": pattern}):
        with pytest.raises(UsageError, match="not a regular expression"):
            added(**place)
    options = [{"names": "-x", "value": "word", "optional": True, "follows": pattern}]
    assert any("not a regular" in text or "at most" in text for text in extending("ls", options=options))


def test_a_pattern_has_an_end() -> None:
    assert pattern_fault("a" * 501) == "a policy's pattern has at most 500 characters"
    assert pattern_fault("(" * 499) == "not a regular expression"


@pytest.mark.parametrize(
    "pattern",
    [
        "[a-z]+",
        "x.*y",
        "nvme[0-9]+n[0-9]+",
        "(start|stop|status)",
        "[0-9]{1,3}",
        "(eth|ib)[0-9]+",
        "(?i)on|off",
        "a{2}(b|c)",
    ],
)
def test_the_patterns_that_policies_need_are_taken(pattern: str) -> None:
    assert pattern_fault(pattern) == ""
    assert added(operands=[{"kind": "word", "match": pattern}]) == []


def test_a_list_is_said_with_each() -> None:
    assert added(operands=[{"kind": "word", "match": "[a-z]+", "each": ","}]) == []


@pytest.mark.parametrize("pattern", ["x.*y.*z", r"(a|b|c)?[a-c]*[a-z]*!", r"([a-f]{1,3}){3}[a-z]*!"])
def test_what_is_taken_ends(pattern: str) -> None:
    """The worst word for each, at full length: the test's own time limit would tell."""
    assert pattern_fault(pattern) == ""
    assert not re.fullmatch(pattern, "a" * 1024)

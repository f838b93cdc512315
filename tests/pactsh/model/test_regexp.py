"""Patterns that somebody types: what is found, what is none and where, and that none takes for ever."""

from __future__ import annotations

import pytest

from pactsh.model.regexp import LONGEST, PatternError, search_of


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [
        ("", "anything", True),
        ("error", "an error here", True),
        ("^error", "an error here", False),
        ("(?i)ERROR", "an error here", True),
        (r"\bgpu[0-3]\b", "gpu2: ECC", True),
        ("ü.ß", "grüxße", True),
        (r"\[pid [0-9]+\]", "[pid 12]", True),
        ("a|b", "b", True),
        ("x{3}", "xx", False),
    ],
)
def test_what_is_found(pattern: str, line: str, found: bool) -> None:
    assert search_of(pattern)(line.encode()) is found


@pytest.mark.parametrize(
    ("pattern", "marked", "reason"),
    [
        ("a(b", " ^", "never closed"),
        (r"\((a|[)]", "  ^", "never closed"),
        (r"\Q(\E(x", "     ^", "never closed"),
        ("a)b", " ^", "closes nothing"),
        (r"\)()a)", "     ^", "closes nothing"),
        ("ab[cd", "  ^", "bracket is never closed"),
        ("*a", "^", "nothing before it"),
        (r"\*a|*", "    ^", "nothing before it"),
        ("[**]a**", "     ^^", "repetition of a repetition"),
        (r"a\qb", " ^^", "no such escape"),
        (r"ä\\q\q", "    ^^", "no such escape"),
        ("x[z-a]", "  ^^^", "no such range"),
        ("[[:foo:]]", " ^^^^^^^", "no such range or class"),
        ("a(?=x)", " ^^^", "look-around"),
        (r"(a)\1", "   ^^", "no such escape"),
        ("x{1001}", " ^^^^^^", "from 0 to 1000"),
        ("x\\", " ^", "nothing after the backslash"),
        ("a\tb", " ^", "can't be seen"),
        ("a\nb", " ^", "can't be seen"),
        ("a\udcffb", " ^", "can't be seen"),
        (r"(\pL{500}){2}", "^" * 13, "too large"),
    ],
)
def test_what_is_none_and_where(pattern: str, marked: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason) as caught:
        search_of(pattern)
    start, end = caught.value.span
    assert " " * start + "^" * (end - start) == marked


def test_a_pattern_has_a_longest(capfd: pytest.CaptureFixture[str]) -> None:
    assert search_of("x" * LONGEST)(b"x" * LONGEST)
    with pytest.raises(PatternError, match="longer than 1000 characters"):
        search_of("x" * (LONGEST + 1))
    with pytest.raises(PatternError):
        search_of("(" * LONGEST)
    assert capfd.readouterr() == ("", "")  # the library has nothing to say to the terminal


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)(.*)(.*)(.*)b$", "(a?){200}a{200}$", "^((a*)*)*$"])
def test_none_takes_for_ever(pattern: str) -> None:
    """Each takes `re` longer than the sun will shine. The suite's own limit of time is the judge."""
    assert search_of(pattern)(b"a" * 100_000 + b"!") is False

# ruff: noqa: E501  (tables of samples)

from __future__ import annotations

import pytest

from pactsh.language.brackets import find_ambiguous, parse_bracket


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("[abc]", "abc", "d[]-"),
        ("[!abc]", "dé]", "abc"),
        ("[^abc]", "d!", "abc"),
        ("[a-c]", "abc", "dB-"),
        ("[a-]", "a-", "b"),
        ("[-a]", "a-", "b"),
        ("[]a]", "]a", "["),
        ("[!]a]", "bx", "]a"),
        ("[a!]", "a!", "b"),
        ("[z-a]", "", "az-m"),
        ("[a-cx-z]", "abcxyz", "d"),
        ("[a-c-e]", "abc-e", "d"),
        ("[a-é]", "azé~", "A"),  # code points, not the alphabet of a language
        ("[A-z]", "AZ_^az", "0"),
        ("[[:digit:]]", "09", "a٣"),
        ("[[:alpha:]_]", "aZé_", "0-"),
        ("[![:space:]]", "a", " \t"),
        ("[[:xdigit:][:punct:]]", "aF0!~", "gé "),
    ],
)
def test_an_expression_stands_for_its_characters(text: str, inside: str, outside: str) -> None:
    found = parse_bracket(text, [True] * len(text), 0)
    assert found is not None
    bracket, end = found
    assert end == len(text)
    assert [char for char in inside if not bracket.matches(char)] == []
    assert [char for char in outside if bracket.matches(char)] == []


def test_quoted_characters_have_no_meaning() -> None:
    found = parse_bracket("[a-c]x]", [True, True, False, True, False, True, True], 0)
    assert found is not None
    bracket, end = found
    assert end == 7
    assert [char for char in "abc]-x" if bracket.matches(char)] == list("ac]-x")


@pytest.mark.parametrize("text", ["[", "[abc", "[]", "[!]", "[[:alpha:]"])
def test_an_expression_that_never_closes_is_none(text: str) -> None:
    assert parse_bracket(text, [True] * len(text), 0) is None


@pytest.mark.parametrize(
    ("text", "where"),
    [("[a[b]", 2), ("[[.a.]]", 1), ("x[[=a=]]", 2), ("[[:no:]]", 1), ("[a[b", None), ("[a/[b]", None), ("[a][b]", None), ("[[:alpha:]a]", None)],
)  # fmt: skip
def test_a_bracket_inside_is_found(text: str, where: int | None) -> None:
    assert find_ambiguous(text, [True] * len(text)) == where

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings

import pactsh.language.highlight
from pactsh.language import LineError, Malformed, parse
from pactsh.language.highlight import tokens
from tests.pactsh.language.test_parser import HOSTILE, ODD_TEXT


@pytest.mark.parametrize(
    ("text", "stretches"),
    [
        ("", []),
        ("ls -l", [("ls", "command"), ("-l", "argument")]),
        ("ls|head;w", [("ls", "command"), ("|", "operator"), ("head", "command"), (";", "operator"), ("w", "command")]),
        ("2>&1 ls", [("2>&", "redirect"), ("1", "redirect"), ("ls", "command")]),
        ("ls *.log # x", [("ls", "command"), ("*", "glob"), (".log", "argument"), ("# x", "comment")]),
        ("echo a'b'$?", [("echo", "command"), ("a", "argument"), ("'b'", "string"), ("$?", "variable")]),
        ('echo "$HOME"', [("echo", "command"), ('"', "string"), ("$HOME", "variable"), ('"', "string")]),
        ('echo "abc', [("echo", "command"), ('"', "error"), ("abc", "string")]),
        ("ls $(id) | w", [("ls", "command"), ("$(id)", "error"), ("|", "operator"), ("w", "command")]),
        ("ls a{b,c} d", [("ls", "command"), ("a", "argument"), ("{b,c}", "error"), ("d", "argument")]),
        ("ls >x", [("ls", "command"), (">x", "error")]),
        ("FOO=1 ls", [("FOO=1", "error"), ("ls", "argument")]),
        ("if x", [("if", "error"), ("x", "argument")]),
        ("ls |", [("ls", "command"), ("|", "operator")]),
        ("| ls", [("|", "error"), ("ls", "command")]),
        ("ls \x1b", [("ls", "command"), ("\x1b", "error")]),
    ],
)
def test_stretches(text: str, stretches: list[tuple[str, str]]) -> None:
    merged: list[tuple[str, str]] = []
    for start, end, kind in tokens(text):
        if kind == "error" and merged and merged[-1][1] == "error":
            merged[-1] = (merged[-1][0] + text[start:end], kind)
        else:
            merged.append((text[start:end], kind))
    assert merged == stretches


@given(ODD_TEXT)
@settings(max_examples=1000, deadline=None, database=None)
def test_any_text_gives_ordered_stretches_inside_it(text: str) -> None:
    stretches = tokens(text)
    position = 0
    for start, end, _ in stretches:
        assert position <= start < end <= len(text)
        position = end
    assert set("".join(text[end:start] for end, start in gaps(stretches, len(text)))) <= set(" \t")
    try:
        parse(text)
    except LineError as error:
        if not (isinstance(error, Malformed) and error.incomplete):
            assert any(kind == "error" for _, _, kind in stretches)
    else:
        assert all(kind != "error" for _, _, kind in stretches)


def gaps(stretches: list[pactsh.language.highlight.Stretch], size: int) -> list[tuple[int, int]]:
    starts = [start for start, _, _ in stretches]
    ends = [end for _, end, _ in stretches]
    return list(zip([0, *ends], [*starts, size], strict=True))


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_lines_are_classified_too(piece: str) -> None:
    assert tokens((piece * 3000)[:3000])


def test_a_line_beyond_the_limit_is_one_error() -> None:
    assert tokens("a" * 70_000) == [(0, 70_000, "error")]


def test_examples() -> None:
    assert doctest.testmod(pactsh.language.highlight).failed == 0

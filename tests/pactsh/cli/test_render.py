"""Nothing that others wrote reaches the terminal as more than text."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.cli.render import Out, escape

ESCAPES = {
    "plain ASCII ~": "plain ASCII ~",
    "größer 漢字": "größer 漢字",
    "\x1b[31mred": "\\x1b[31mred",
    "a\tb\nc\rd": "a\\tb\\nc\\rd",
    "\x00\x7f\x9b": "\\x00\\x7f\\x9b",
    "\u202eevil\u2066": "\\u202eevil\\u2066",
    "\u2028\u2029\u00a0": "\\u2028\\u2029\\xa0",
    "\udcff\udc80": "\\xff\\x80",
    "\ud800": "\\ud800",
    "\U000e0001": "\\U000e0001",
}


@pytest.mark.parametrize("text", ESCAPES)
def test_escape(text: str) -> None:
    assert escape(text) == ESCAPES[text]


@given(st.text())
def test_everything_escaped_prints_on_one_line(text: str) -> None:
    shown = escape(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


def written(colour: bool, *texts: str) -> str:
    stream = io.StringIO()
    out = Out(stream, colour=colour)
    out.styled(*(out.style(text, "red", "bold") for text in texts))
    return stream.getvalue()


def test_styles_only_with_colour() -> None:
    assert written(False, "a", "b") == "a  b\n"
    assert written(True, "a") == "\x1b[31;1ma\x1b[0m\n"
    assert written(True, "\x1b[0m") == "\x1b[31;1m\\x1b[0m\x1b[0m\n"


def test_table_columns_fit_their_cells() -> None:
    stream = io.StringIO()
    Out(stream, colour=False).table(("NODE", "STATE"), [("node042", "a\nb"), ("n", "")])
    assert stream.getvalue() == "NODE     STATE\nnode042  a\\nb\nn\n"


def test_json_survives_any_text() -> None:
    stream = io.StringIO()
    Out(stream, colour=False).json({"a": "\udcff\x1b"})
    assert stream.getvalue() == '{"a": "\\udcff\\u001b"}\n'

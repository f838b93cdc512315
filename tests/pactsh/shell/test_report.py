from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pactsh.shell.report import columns_of, error_text, refusal_text, underlined, visible
from pactsh.shell.wire import Frame


def test_wide_and_combining_characters_are_counted_as_shown() -> None:
    assert underlined("echo 日本 $(id)", (8, 13)) == ["echo 日本 $(id)", " " * 10 + "^" * 5]
    assert underlined("echo e\u0301 &", (8, 9)) == ["echo e\u0301 &", " " * 7 + "^"]


def test_control_characters_are_shown_not_sent() -> None:
    assert underlined("a\x1b[31mb", (1, 2)) == ["a^[[31mb", " ^^"]
    text = refusal_text("x", Frame({"reason": "\x1b]0;title\x07", "hint": "\r", "status": 6}, ()))
    assert text == "x\npact: refused: ^[]0;title^G\nhint: ^M\n"
    assert error_text(1, "usage", "\x9b2J") == "pact: \\u009b2J\n"


def test_where_stands_before_and_moves_the_underline() -> None:
    assert underlined("rm x", (0, 2), where="f:1: ") == ["f:1: rm x", "     ^^"]


def test_a_span_at_the_end_is_still_marked() -> None:
    assert underlined("ls |", (4, 4)) == ["ls |", "    ^"]


@given(st.text(), st.integers(-5, 80), st.integers(-5, 80))
def test_any_line_and_span_can_be_shown(line: str, start: int, end: int) -> None:
    shown = underlined(line, (start, end))
    assert all(row.isprintable() for row in shown)
    assert set(shown[1]) <= {" ", "^"}


def test_long_lines_are_cut_around_the_span() -> None:
    shown = underlined("x " * 5000 + "$(id)" + " y" * 5000, (10_000, 10_005))
    at = shown[1].index("^")
    assert shown[0][at : at + 5] == "$(id)"
    assert all(columns_of(row) < 300 for row in shown)


@given(st.text())
def test_visible_text_is_printable(text: str) -> None:
    assert visible(text).isprintable()

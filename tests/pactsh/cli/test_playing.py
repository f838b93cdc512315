"""Timing, keys, and what is left of a terminal afterwards."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from pactsh.cli.playing import delays, dump, play
from pactsh.cli.render import Out
from pactsh.model.asciicast import Event


def written(events: list[tuple[float, str]]) -> tuple[str, list[float]]:
    buffer, slept = io.BytesIO(), list[float]()
    stream = io.TextIOWrapper(buffer, encoding="utf-8")
    play(events, Out(stream, colour=False), slept.append)
    stream.flush()
    return buffer.getvalue().decode(), slept


def test_pauses_are_as_long_as_they_were_and_shorter_where_that_is_wanted() -> None:
    events = [Event(1, "o", "a"), Event(1, "r", "100x30"), Event(5, "o", "b"), Event(5, "m", "x"), Event(6, "o", "c")]
    assert list(delays(events, 1, None)) == [(1, "a"), (4, "b"), (1, "c")]
    assert list(delays(events, 2, 2)) == [(0.5, "a"), (1, "b"), (0.5, "c")]
    assert list(delays(events, 1, 0)) == [(0, "a"), (0, "b"), (0, "c")]


@given(st.lists(st.floats(0, 1e9)), st.floats(0.01, 1000))
def test_no_pause_is_negative_whatever_the_times(times: list[float], speed: float) -> None:
    assert all(pause >= 0 for pause, _ in delays([Event(at, "o", "x") for at in times], speed, None))


def test_what_would_act_on_the_terminal_is_left_out_and_its_state_is_put_back() -> None:
    shown, slept = written([(0, "a\x1b]52;c;"), (1.5, "eA==\x07\x1b[6"), (0, "nb\x1b[31m\x1b[?25l")])
    body, _, restored = shown.partition("\x1b[?47l")
    assert body == "ab\x1b[31m\x1b[?25l"
    assert "\x1b[?25h" in restored
    assert "\x1b[0m" in restored
    assert slept == [1.5]


def test_the_text_alone_is_lines() -> None:
    stream = io.StringIO()
    events = [
        Event(0, "o", "one\r"),
        Event(9, "o", "\n\x1b[31mtw"),
        Event(9, "i", "typed"),
        Event(9, "o", "o\u202e\r\nend"),
    ]
    dump(events, Out(stream, colour=False))
    assert stream.getvalue() == "one\ntwo\\u202e\nend\n"

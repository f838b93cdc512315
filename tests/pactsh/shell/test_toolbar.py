from __future__ import annotations

from dataclasses import replace

import pytest

from pactsh.shell.toolbar import Message, State, refresh_interval_s, render_toolbar
from pactsh.shell.wire import Frame

CALM = State("alice@org", "pact-ops", "COMMITTED", 0, None, True, False, 100.0)


def text(state: State | None, *, message: Message | None = None, now: float = 100.0, columns: int = 120) -> str:
    return "".join(part[1] for part in render_toolbar(state, message, now, columns))


def test_everything_that_the_contract_names() -> None:
    busy = replace(CALM, drift=3, window_s=754.0, journal=False, emergency=True)
    assert text(busy) == (" EMERGENCY  alice@org  pact-ops  COMMITTED  drift 3  window 12:34  journal unreachable ")
    assert text(CALM) == " alice@org  pact-ops  COMMITTED  drift 0  journal ok "


def test_the_window_counts_down_without_new_frames() -> None:
    open_window = replace(CALM, window_s=12.0)
    assert "window 0:12" in text(open_window)
    assert "window 5.0s" in text(open_window, now=107.0)
    assert "window 0.0s" in text(open_window, now=500.0)


def test_what_the_agent_does_not_know_is_not_made_up() -> None:
    assert "drift" not in text(replace(CALM, drift=None))
    assert text(None) == ""


def test_ten_times_a_second_only_at_the_very_end() -> None:
    open_window = replace(CALM, window_s=30.0)
    at = {now: refresh_interval_s(open_window, now) for now in (100.0, 119.0, 120.0, 129.0, 130.0, 200.0)}
    assert at == {100.0: 1.0, 119.0: 1.0, 120.0: 0.1, 129.0: 0.1, 130.0: 1.0, 200.0: 1.0}
    assert refresh_interval_s(CALM, 100.0) == 1.0
    assert refresh_interval_s(None, 100.0) == 1.0


@pytest.mark.parametrize("columns", range(1, 130))
def test_it_fits_and_keeps_what_matters(columns: int) -> None:
    busy = replace(CALM, drift=3, window_s=754.0, journal=False, emergency=True)
    shown = text(busy, message=Message("refused", "no"), columns=columns)
    assert len(shown) <= columns
    if columns >= 13:
        assert shown.startswith(" refused: no")
    if columns >= 30:
        assert "EMERGENCY" in shown


def test_a_state_frame_is_read_strictly_and_shown_harmlessly() -> None:
    frame = Frame({"op": "state", "who": "a\x1b[2Jb", "role": None, "state": "X", "drift": "many", "window_s": 5}, ())
    state = State.of(frame, 7.0)
    assert state == State("a^[[2Jb", "", "X", None, 5.0, False, False, 7.0)

"""The bar of work on many nodes."""

from __future__ import annotations

import pytest

from pactsh.cli.gauge import Gauge
from pactsh.cli.progressline import is_shown


def test_it_is_drawn_in_one_line_and_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    gauge = Gauge(4, shown=True)
    gauge.count(10.0, failed=False)
    gauge.count(10.01, failed=True)  # too soon for another drawing
    gauge.clear()
    gauge.clear()
    drawn = capsys.readouterr().err
    assert drawn == "\r[#######-----------------------] 1/4\x1b[K\r\x1b[K"
    gauge.count(11.0, failed=False)
    assert "3/4  1 failed" in capsys.readouterr().err
    gauge.count(11.0, failed=False)
    assert f"[{'#' * 30}] 4/4" in capsys.readouterr().err


def test_without_a_terminal_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    gauge = Gauge(1, shown=is_shown({"TERM": "xterm"}))
    gauge.draw(0.0)
    gauge.count(1.0, failed=True)
    gauge.clear()
    assert capsys.readouterr().err == ""

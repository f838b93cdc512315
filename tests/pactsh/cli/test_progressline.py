"""A line on standard error that is drawn over itself, or, on no terminal, told once."""

from __future__ import annotations

import pytest

from pactsh.cli.progressline import ProgressLine, is_shown


def test_on_no_terminal_each_text_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(shown=is_shown({"TERM": "dumb"}))
    for seconds in range(3):
        line.draw("waiting", f" ({seconds} s)")
    line.bar(1, 2)
    line.tick("phase 1")
    line.draw("over\x1b[2J")
    line.clear()
    assert capsys.readouterr().err == "waiting\nover\\x1b[2J\n"

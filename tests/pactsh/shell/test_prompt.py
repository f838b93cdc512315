from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import DummyCompleter
from prompt_toolkit.filters import to_filter
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth, DummyOutput

from pactsh.shell.highlight import LineLexer
from pactsh.shell.prompt import Surface, TerminalOutput, build_prompt, history_of, terminal_output


def read(keys: str, history: tuple[str, ...] = (), pasted: Callable[[int], None] = lambda _lines: None) -> str:
    """What the prompt returns for these keys."""
    surface = Surface(lambda: [("", "> ")], list, pasted)
    with create_pipe_input() as pipe:
        prompt = build_prompt(
            surface,
            completer=DummyCompleter(),
            lexer=LineLexer(lambda _name: True),
            history=history_of(history),
            input=pipe,
            output=DummyOutput(),
        )
        offers_no_way_out(prompt)
        pipe.send_text(keys)
        return asyncio.run(prompt.prompt_async())


def offers_no_way_out(prompt: PromptSession[str]) -> None:
    for name in ("enable_open_in_editor", "enable_system_prompt", "enable_suspend"):
        assert not to_filter(getattr(prompt, name))()


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color(monkeypatch: pytest.MonkeyPatch, value: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setenv("TERM", "xterm")
    assert (terminal_output().get_default_color_depth() != ColorDepth.DEPTH_1_BIT) is coloured


def test_a_line() -> None:
    assert read("echo hi\r") == "echo hi"


def test_pasted_lines_stay_one_text_until_enter() -> None:
    told: list[int] = []
    assert read("\x1b[200~a\r\nb\rc\n\x1b[201~!\r", pasted=told.append) == "a\nb\nc!"
    assert told == [3]


def test_a_pasted_line_runs_nothing_by_its_line_break() -> None:
    told: list[int] = []
    assert read("\x1b[200~rm x\r\x1b[201~ # no\r", pasted=told.append) == "rm x # no"
    assert told == []


def test_history_is_walked_and_odd_lines_are_left_out() -> None:
    assert read("\x1b[A\x1b[A\r", history=("one", "t\x1bwo", "three")) == "one"


def test_the_editor_and_system_keys_are_just_keys() -> None:
    assert read("ab\x18\x05\x1acd\r") == "abcd"
    assert read("ab\x1b!cd\r").startswith("ab")


def test_the_terminal_is_never_asked_for_its_cursor() -> None:
    from prompt_toolkit.data_structures import Size

    output = TerminalOutput(io.StringIO(), lambda: Size(24, 80), enable_cpr=False)
    assert not output.responds_to_cpr
    assert output.get_rows_below_cursor_position() == 1

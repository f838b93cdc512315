"""Builds the prompt: prompt-toolkit with our keys, colours, completion and toolbar, and no way out of it.

Nothing that prompt-toolkit offers to start a program with stays on: no editor, no system prompt, no
suspension. A remote session's `pactsh` runs on the node, where those would be a shell.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer
from prompt_toolkit.data_structures import Size
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.output import Output
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from pactsh.shell.highlight import shell_style
from pactsh.shell.keys import completion_keys, inert_keys, paste_keys
from pactsh.shell.toolbar import Fragments


@dataclass(frozen=True, slots=True)
class Surface:
    """What the prompt shows and asks; all of it is called on every redraw, so it must not block."""

    prompt: Callable[[], StyleAndTextTuples]
    toolbar: Callable[[], Fragments]
    on_pasted_lines: Callable[[int], None]


class TerminalOutput(Vt100_Output):
    """This terminal, never asked where its cursor is.

    The answers to such requests arrive as input: behind a slow link they would end up in the next
    command. So the rows below the prompt are not known; one is claimed, the terminal scrolls for more.
    """

    def get_rows_below_cursor_position(self) -> int:
        """Claim one row, which lets the toolbar stand right below the line."""
        return 1


def terminal_output() -> TerminalOutput:
    """Return the output for this process's terminal; NO_COLOR leaves bold and underlined of the looks."""
    depth = ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None

    def size() -> Size:
        try:
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns, rows = 0, 0
        return Size(rows=rows or 24, columns=columns or 80)

    return TerminalOutput(sys.stdout, size, term=os.environ.get("TERM"), default_color_depth=depth, enable_cpr=False)


def history_of(lines: tuple[str, ...]) -> History:
    """Return a history of `lines`, oldest first; it lives in memory, the journal is the record."""
    history = InMemoryHistory()
    for line in lines:
        if line.isprintable():
            history.append_string(line)
    return history


def build_prompt(
    surface: Surface,
    *,
    completer: Completer,
    lexer: Lexer,
    history: History,
    input: Input | None = None,  # noqa: A002  prompt-toolkit's own name
    output: Output | None = None,
) -> PromptSession[str]:
    """Return a prompt session; `input` and `output` default to this process's terminal."""
    return PromptSession(
        surface.prompt,
        completer=completer,
        complete_while_typing=False,
        complete_in_thread=True,
        auto_suggest=AutoSuggestFromHistory(),
        lexer=lexer,
        history=history,
        style=shell_style(),
        include_default_pygments_style=False,
        bottom_toolbar=surface.toolbar,
        key_bindings=merge_key_bindings([completion_keys(), inert_keys(), paste_keys(surface.on_pasted_lines)]),
        editing_mode=EditingMode.EMACS,
        enable_open_in_editor=False,
        enable_system_prompt=False,
        enable_suspend=False,
        reserve_space_for_menu=8,
        input=input or create_input(),
        output=output or terminal_output(),
    )

"""Key bindings of the prompt that differ from prompt-toolkit's."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys


def completion_keys() -> KeyBindings:
    """Enter takes the completion that the menu shows, and runs nothing: the line is read once more first."""
    bindings = KeyBindings()

    @Condition
    def completion_is_chosen() -> bool:
        from prompt_toolkit.application import get_app

        state = get_app().current_buffer.complete_state
        return state is not None and state.current_completion is not None

    @bindings.add("enter", filter=has_completions & completion_is_chosen)
    def _take(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    return bindings


def inert_keys() -> KeyBindings:
    """^Z is a habit: it neither stops anything here nor belongs into a line, where prompt-toolkit puts it."""
    bindings = KeyBindings()

    @bindings.add("c-z")
    def _nothing(_event: KeyPressEvent) -> None:
        pass

    return bindings


def paste_keys(on_lines: Callable[[int], None]) -> KeyBindings:
    """Pasted text goes into the line as it is; nothing of it runs before Enter.

    `on_lines` is told how many lines were pasted when there is more than one.
    """
    bindings = KeyBindings()

    @bindings.add(Keys.BracketedPaste)
    def _paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        # A line break at the end is what the mouse caught, not a wish to run it.
        text = text.rstrip("\n")
        event.current_buffer.insert_text(text)
        if "\n" in text:
            on_lines(text.count("\n") + 1)

    return bindings

"""A text that is nobody's to read in a log, a traceback or an error."""

from __future__ import annotations


class Secret:
    """A text that does not show where values are printed.

    >>> Secret("hunter2"), Secret("hunter2").reveal()
    (Secret(...), 'hunter2')
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

"""What may be asked of a node's logs (`pact diag`): the bounds that the command line and the agent share."""

from __future__ import annotations

from typing import Literal

from pactsh.errors import UsageError
from pactsh.model.regexp import PatternError, search_of

LINES, MOST_LINES = 100, 10_000
Source = Literal["system", "service", "all"]


class GrepError(UsageError):
    """A `--grep` that is no pattern; `span`: the code points of it that this is about."""

    def __init__(self, error: PatternError) -> None:
        super().__init__(
            f"diag: --grep: at character {error.span[0] + 1}: {error.reason}",
            hint="patterns are RE2's: https://github.com/google/re2/wiki/Syntax",
        )
        self.span = error.span


def checked_grep(pattern: str) -> str:
    """The pattern, if it is one; raises `GrepError`."""
    if pattern:
        try:
            search_of(pattern)
        except PatternError as error:
            raise GrepError(error) from None
    return pattern

"""Words back to text: what `quote` writes, `parse` and expansion read as the same word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pactsh.language.parser import KEYWORDS

_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@%+,-")


def quote(word: str) -> str:
    """Return `word` as one word of a line, in single quotes if it needs any.

    Characters that no line may hold (control characters, bytes that are not UTF-8) stay what they are, and
    the line is refused.

    >>> quote("it's")
    "'it'\\\\''s'"
    """
    if word and _SAFE.issuperset(word) and word not in KEYWORDS:
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def join(argv: Iterable[str]) -> str:
    """Return a line whose only stage has exactly `argv`.

    >>> join(["grep", "-i", "a b", "/var/log/messages"])
    "grep -i 'a b' /var/log/messages"
    """
    return " ".join(quote(word) for word in argv)

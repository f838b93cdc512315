"""Secrets typed on a line, kept off the record: tokens of pact's own, which its `--token` and PACT_TOKEN take."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"(--t(?:o(?:k(?:en?)?)?)?\b|PACT_[A-Z_]*TOKEN)", re.IGNORECASE)
NOT_RECORDED = "[not recorded]"


def without_token(text: str, known: int | None = None) -> str:
    """The line up to a token in it: from offset `known` on, or behind what looks like an option or name of one."""
    if known is None:
        found = _TOKEN.search(text)
        known = found.end() if found else None
    return text if known is None else text[:known] + NOT_RECORDED


def words_without_token(argv: Sequence[str]) -> list[str]:
    """The words before one that holds, or announces, a token."""
    first = next((number for number, word in enumerate(argv) if _TOKEN.search(word)), None)
    return list(argv[:first])

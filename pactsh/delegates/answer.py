"""What came of a deed."""

from __future__ import annotations

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What the other system said, in a sentence, and whatever is worth keeping of it."""

    text: str
    details: dict[str, object] = {}

"""Long lists, cut into parts: an entry holds 1 MiB, and so does a frame. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")
MOST_BYTES = 64 << 10


def length(item: object) -> int:
    """How long an item is in canonical JSON, in bytes."""
    return len(json.dumps(item, separators=(",", ":"))) + 1


def in_parts(items: Sequence[_T]) -> list[list[_T]]:
    """The items in lists of at most `MOST_BYTES`, in order; one empty list when there are none.

    >>> [len(part) for part in in_parts(["x" * 30_000] * 5)]
    [2, 2, 1]
    >>> in_parts([])
    [[]]
    """
    parts: list[list[_T]] = [[]]
    size = 0
    for item in items:
        size += length(item)
        if parts[-1] and size > MOST_BYTES:
            parts.append([])
            size = length(item)
        parts[-1].append(item)
    return parts


def in_items(item: dict[str, object]) -> list[dict[str, object]]:
    """An answer in as many items as its lists need; whoever asked puts the lists together again.

    >>> [len(part["a"]) for part in in_items({"a": ["x" * 30_000] * 5, "b": 1})]
    [2, 2, 1]
    """
    cut = {key: in_parts(value) for key, value in item.items() if isinstance(value, list)}
    most = max((len(parts) for parts in cut.values()), default=1)
    return [item | {key: parts[n] if n < len(parts) else [] for key, parts in cut.items()} for n in range(most)]

"""Spans in test tables, written as «…» around the part of the line they stand for."""

from __future__ import annotations


def unmark(marked: str) -> tuple[str, tuple[int, int]]:
    """Return the line without the marks, and the span between them."""
    start = marked.index("«")
    end = marked.index("»") - 1
    return marked.replace("«", "").replace("»", ""), (start, end)

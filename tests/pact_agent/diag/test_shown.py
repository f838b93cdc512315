"""Lines as they are shown: text, and nothing that acts on a terminal."""

from __future__ import annotations

import pytest
from pact_agent.diag.shown import MOST_BYTES, shown


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain text", "plain text"),
        (b"", ""),
        (b"dos\r", "dos"),
        ("grün, 日本".encode(), "grün, 日本"),
        (b"latin: gr\xfcn", "latin: gr\\xfcn"),
        (b"\xff\xfeU\x00T\x00F\x00", "\\xff\\xfeU\\x00T\\x00F\\x00"),
        (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\u202eb\u200bc".encode(), "a\\u202eb\\u200bc"),
        (b"a\rb", "a\\rb"),
        (b"\tx", "        x"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"backslash \\x1b", "backslash \\x1b"),
    ],
)
def test_encodings_and_what_can_not_be_seen(raw: bytes, text: str) -> None:
    assert shown(raw) == text
    assert shown(raw).isprintable()


def test_a_long_line_is_cut_and_says_so() -> None:
    assert shown(b"x" * (MOST_BYTES + 5)) == "x" * MOST_BYTES + " [5 bytes more]"
    assert shown(b"x" * 10, more=7) == "x" * 10 + " [7 bytes more]"
    assert shown("ä".encode() * MOST_BYTES).endswith(f"ä [{MOST_BYTES} bytes more]")

"""A line of a log as it is shown, matched and sent: text without anything that acts on a terminal. Pure."""

from __future__ import annotations

MOST_BYTES = 8 << 10
_PLAIN = bytes(range(0x20, 0x7F))


def shown(raw: bytes, more: int = 0) -> str:
    r"""The line; `more` bytes of it were left out already. Bytes that are no UTF-8 and characters that can't be seen
    are escaped, tabs are blanks, and what is longer than `MOST_BYTES` is cut, which is said.

    >>> shown(b"a\tb\xff\x1b[2J")
    'a       b\\xff\\x1b[2J'
    """
    more += max(0, len(raw) - MOST_BYTES)
    raw = raw[:MOST_BYTES].rstrip(b"\r") if not more else raw[:MOST_BYTES]
    if raw.isascii() and not raw.translate(None, _PLAIN):
        text = raw.decode("ascii")
    else:
        text = raw.decode("utf-8", "backslashreplace").expandtabs()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return f"{text} [{more} bytes more]" if more else text

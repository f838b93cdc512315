"""What a line may be made of, checked before anything is parsed.

Blanks are space and tab. Whatever another layer could take for a line break or a blank, whatever can't be
seen and whatever rewrites a terminal is refused, inside quotes too: a reviewer must see what was run.
Nothing is ever normalised or case-folded.
"""

from __future__ import annotations

from typing import Final

from pactsh.language.errors import Malformed, Refused

MAX_LINE_BYTES: Final = 64 * 1024

# Printable by Unicode's book, yet empty on a screen: fillers, the braille blank, joiners, variation selectors.
_UNSEEN: Final = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    ]
)


def check_characters(text: str) -> None:
    """Raise `Malformed` or `Refused` for the first character that no line may hold, or for its length."""
    if text.isascii():
        if len(text) > MAX_LINE_BYTES:
            raise Refused("line-too-long", (_end_of_limit(text), len(text)))
        if text.replace("\t", " ").isprintable():
            return
    elif len(text) > MAX_LINE_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_LINE_BYTES:
        raise Refused("line-too-long", (_end_of_limit(text), len(text)))
    for index, char in enumerate(text):
        if not (char.isprintable() or char == "\t") or ord(char) in _UNSEEN:
            raise _objection(char, index)


def _end_of_limit(text: str) -> int:
    """The number of leading code points that fit into the limit."""
    head = text[:MAX_LINE_BYTES].encode("utf-8", "surrogatepass")[:MAX_LINE_BYTES]
    return sum(byte & 0xC0 != 0x80 for byte in head)


def _objection(char: str, index: int) -> Malformed | Refused:
    number, span = ord(char), (index, index + 1)
    if 0xD800 <= number <= 0xDFFF:
        return Malformed("not-utf8", span)
    name = f"U+{number:04X}"
    if char in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        return Refused("newline", span, reason=f"a line break inside a line ({name})")
    if number < 0x20 or 0x7F <= number <= 0x9F:
        return Refused("control-character", span, reason=f"a control character ({name})")
    if char.isspace():
        return Refused("unicode-blank", span, reason=f"a blank that is neither space nor tab ({name})")
    return Refused("invisible-character", span, reason=f"an invisible or direction-changing character ({name})")

from __future__ import annotations

import pytest

from pactsh.language import LineError, Malformed, Refused
from pactsh.language.characters import MAX_LINE_BYTES, check_characters


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((number, "newline") for number in (0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029)),
        *((number, "control-character") for number in (0, 1, 7, 8, 0x1B, 0x1F, 0x7F, 0x80, 0x9B, 0x9F)),
        *((number, "unicode-blank") for number in (0xA0, 0x1680, 0x2000, 0x2009, 0x202F, 0x205F, 0x3000)),
        *((number, "invisible-character") for number in (0xAD, 0x200B, 0x200D, 0x200E, 0x2060, 0xFEFF)),
        *((number, "invisible-character") for number in (0x061C, 0x202A, 0x202E, 0x2066, 0x2069)),
        *((number, "invisible-character") for number in (0x115F, 0x3164, 0x2800, 0xFE0F, 0xE0061, 0xE0100, 0xE000)),
    ],
)
@pytest.mark.parametrize("around", ["ls {}", "ls '{}'", 'ls "{}"', "# {}", "ls \\{}", "é{}"])
def test_no_line_holds_it_quoted_or_not(number: int, code: str, around: str) -> None:
    text = around.replace("{}", chr(number) + "x")
    with pytest.raises(Refused) as caught:
        check_characters(text)
    at = text.index(chr(number))
    assert (caught.value.code, caught.value.span) == (code, (at, at + 1))
    assert f"U+{number:04X}" in caught.value.reason


@pytest.mark.parametrize("number", [0xD800, 0xDC80, 0xDCFF])
def test_bytes_that_are_not_utf8_are_malformed(number: int) -> None:
    with pytest.raises(Malformed) as caught:
        check_characters("ls é" + chr(number))
    assert (caught.value.code, caught.value.span, caught.value.status) == ("not-utf8", (4, 5), 1)
    assert "UTF-8" in caught.value.reason


@pytest.mark.parametrize("text", ["", "\t", "ls -l", "grep 'été' 中文 € ñ e\u0301 🚀", "\uff1b"])
def test_what_can_be_seen_passes_as_it_is(text: str) -> None:
    check_characters(text)


@pytest.mark.parametrize(("char", "width"), [("a", 1), ("é", 2), ("中", 3), ("🚀", 4)])
def test_the_limit_is_in_bytes(char: str, width: int) -> None:
    fits = char * (MAX_LINE_BYTES // width)
    check_characters(fits)
    with pytest.raises(LineError) as caught:
        check_characters(fits + "abcd")
    assert caught.value.code == "line-too-long"
    start, end = caught.value.span
    assert len((fits + "abcd")[:start].encode()) == MAX_LINE_BYTES
    assert end == len(fits) + 4

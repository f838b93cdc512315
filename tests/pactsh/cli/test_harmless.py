"""What passes to a terminal, and what does not, in whatever pieces it comes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.cli.harmless import Harmless

PIECES = st.sampled_from(
    [
        "52",
        "1049",
        "2004",
        *"\x1b\x07\x9b\x9d\x9c\x18\x1a\r\n\x08\x05\x0e\x7f\x00é日a[]PX^_\\?><;:60hlncmtHriqsu!$(B#Z7D",
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=3), max_size=40)


def passed(*texts: str, sequences: bool = True) -> str:
    harmless = Harmless(sequences=sequences)
    return "".join(harmless.feed(text) for text in texts)


@given(TEXT)
def test_the_pieces_make_no_difference(pieces: list[str]) -> None:
    for sequences in (True, False):
        assert passed(*pieces, sequences=sequences) == passed("".join(pieces), sequences=sequences)


@given(TEXT)
def test_nothing_passes_that_would_not_pass_again(pieces: list[str]) -> None:
    """What is left out does not put together something new out of its neighbours."""
    once = passed(*pieces)
    assert passed(once) == once


@given(TEXT)
def test_no_sequence_is_left_but_of_the_known_kinds(pieces: list[str]) -> None:
    left = re.sub(r"\x1b(\[[0-9:;]*[@-Z`a-mrsu]|\[\?[0-9;]*[hlJK]|[()*+][0-9A-Za-z]|[78DEHM=>c])", "", passed(*pieces))
    assert not re.search(r"[\x00-\x06\x10-\x1f\x7f-\x9f]", left)


@given(TEXT)
def test_of_the_text_alone_no_control_character_is_left(pieces: list[str]) -> None:
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", passed(*pieces, sequences=False).replace("\x0b", "").replace("\x0c", "")
    )


@pytest.mark.parametrize(
    "kept",
    [
        "plain é 日本\r\n\tx\x08y\x07",
        "\x1b[1;31mred\x1b[0m\x1b[38:2::1:2:3mtrue\x1b[m",
        "\x1b[2J\x1b[H\x1b[10;5Hx\x1b[K\x1b[3A\x1b[1;20r",
        "\x1b[?25l\x1b[?1049h\x1b[?1;7l\x1b[?12l\x1b7\x1b8\x1b(B\x1b)0\x1bM\x1b=\x1b>",
    ],
)
def test_what_draws_passes(kept: str) -> None:
    assert passed(kept) == kept


@pytest.mark.parametrize(
    "asks",
    [
        "\x1b[6n",  # where is the cursor: the answer would be typed
        "\x1b[c",
        "\x1b[>c",
        "\x1b[=c",
        "\x1b[>0q",
        "\x1b[?1$p",
        "\x1bZ",
        "\x05",
        "\x1b[21t",  # the title, as if typed
        "\x1b[18t",
        "\x1b]0;title\x07",
        "\x1b]52;c;ZWNobyBoaQ==\x1b\\",  # the clipboard
        "\x1b]8;;https://evil.example\x1b\\",
        "\x1b]4;1;?\x9c",
        "\x1bP$qm\x1b\\",
        "\x1bPtmux;x\x1b\\",
        "\x1b_Gf=100;AAAA\x1b\\",
        "\x1b^x\x1b\\",
        "\x1bXx\x1b\\",
        "\x1b[?1000h",  # the mouse
        "\x1b[?1004h",
        "\x1b[?2004h",
        "\x1b[?25;1000h",
        "\x1b[5i",  # a printer
        "\x1b[!p",
        "\x1b[>1u",
        "\x9b",
    ],
)
def test_what_acts_or_is_answered_does_not(asks: str) -> None:
    assert passed(f"a{asks}b") == "ab"
    assert passed(*f"a{asks}b") == passed(f"a{asks}b")


def test_a_string_without_an_end_hides_only_what_a_terminal_would_hide() -> None:
    assert passed("a\x1b]0;", "x" * 10_000, "\x1b[31mb") == "a\x1b[31mb"
    assert passed("a\x1b]0;x\x18b") == "ab"


def test_a_sequence_without_an_end_is_not_kept_for_ever() -> None:
    harmless = Harmless()
    assert harmless.feed("\x1b[" + "1;" * 10_000) == "[" + "1;" * 10_000
    assert harmless.feed("x") == "x"


def test_lines_of_the_text_alone_end_as_lines_of_files_do() -> None:
    assert passed("one\r", "\r\ntwo\r\x1b[Kthree", "\r", sequences=False) == "one\ntwothree"


@pytest.mark.parametrize("text", ["\x1b[2h", "\x1b[4;2h", "\x1b[12l", "\x1b[20h", "\x1b[h", "\x1b[2147483647b"])
def test_no_keyboard_is_locked_and_no_terminal_kept_busy(text: str) -> None:
    assert Harmless().feed(f"a{text}b\x1b[4hc\x1b[79b") == "ab\x1b[4hc\x1b[79b"

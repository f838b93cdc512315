"""Lines made from bytes: any bytes give one, the same ones the same, and all of the catalog is within reach."""

from __future__ import annotations

import random

from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.lines import LineMaker, Source
from fuzz.seeds import case_lines
from tests.pactsh.catalog.deciding import shipped

MAKER = LineMaker(shipped(), case_lines())


@given(st.binary(max_size=300))
@example(b"")
def test_any_bytes_give_a_line_and_always_the_same(data: bytes) -> None:
    line = MAKER.line(Source(data))
    assert isinstance(line, str)
    assert MAKER.line(Source(data)) == line


def test_the_bytes_of_a_text_are_that_text() -> None:
    assert MAKER.line(Source(b"\0ls -l 'a b'")) == "ls -l 'a b'"


def test_every_command_and_every_kind_of_option_is_within_reach() -> None:
    chance = random.Random(1)
    lines = [MAKER.line(Source(chance.randbytes(60))) for _ in range(20_000)]
    words = {word for line in lines for word in line.split()}
    assert [name for name in shipped() if name not in words] == []
    assert [
        sign for sign in ("|", ";", "&&", "||", "2>&1", ">/dev/null", "--", "</etc/shadow") if sign not in words
    ] == []


def test_numbers_cover_their_range_and_end_at_the_first() -> None:
    assert {Source(bytes([high, low])).below(300) for high in range(2) for low in range(256)} == set(range(300))
    source = Source(b"\7")
    assert (source.byte(), source.byte(), source.pick("ab"), source.chance(2), source.left()) == (
        7,
        0,
        "a",
        False,
        False,
    )

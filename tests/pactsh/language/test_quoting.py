# ruff: noqa: E501  (tables of samples)
# ruff: noqa: PT017  (an accepted line is as good as a well-formed error)

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pactsh.language.quoting
from pactsh.language import expand_stage, join, parse, quote
from tests.pactsh.language.test_expansion import VARIABLES, Names

PRINTABLE = st.text(st.one_of(st.sampled_from(" \t'\"\\$`*?[]{}~#|&;<>()!^=ab"), st.characters(codec="utf-8")), max_size=12).filter(
    lambda text: text.replace("\t", " ").isprintable()
)  # fmt: skip


@given(st.lists(PRINTABLE, max_size=5))
@settings(max_examples=400, deadline=None, database=None)
def test_a_joined_argv_is_read_back_as_it_was(arguments: list[str]) -> None:
    try:
        line = parse(join(["echo", *arguments]))
    except pactsh.language.Refused as error:
        assert error.code == "invisible-character"
        return
    (item,) = line.items
    (stage,) = item.pipeline.stages
    assert [word.value for word in expand_stage(stage, VARIABLES, Names("a", "b"))] == ["echo", *arguments]


@pytest.mark.parametrize(
    ("word", "text"),
    [("a-b_c/d.e:f@g%h+i,j", "a-b_c/d.e:f@g%h+i,j"), ("", "''"), ("a b", "'a b'"), ("if", "'if'"), ("A=1", "'A=1'")],
)
def test_quotes_only_where_needed(word: str, text: str) -> None:
    assert quote(word) == text


def test_examples() -> None:
    assert doctest.testmod(pactsh.language.quoting).failed == 0

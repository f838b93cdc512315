"""Canonical JSON and sealing: the fast composition equals the plain definition, for anything."""

from __future__ import annotations

import doctest
import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.errors import UsageError
from pactsh.journal import chain
from pactsh.journal.chain import MAX_ENTRY_BYTES, Record, draft_of, parse_entry, reseal, same_content, seal
from pactsh.model.entry import GENESIS_HASH, Author, Draft
from tests.pactsh.journal.material import draft

NOW = "2026-01-31T12:30:00.000001Z"
# Any string that Python can hold, lone surrogates and control characters too.
text = st.text(st.characters(), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=10
)
objects = st.none() | st.dictionaries(text, json_values, max_size=4)
drafts = st.builds(
    Draft,
    client=text,
    number=st.integers(0, 2**63),
    time=text,
    type=text,
    scope=text,
    author=st.builds(Author, principal=text, roles=st.lists(text, max_size=3).map(tuple), kind=text),
    session=text,
    message=text,
    parent=st.none() | st.integers(0, 99),
    delta=objects,
    body=objects,
    ttl=st.none() | st.integers(0, 99),
    policy=text,
)


def plain(one: Draft, seq: int, prev_hash: str) -> str:
    """The definition in docs/internals.md, section 6, word by word."""
    values = {field: getattr(one, field) for field in Draft.__struct_fields__}
    values |= {"author": msgspec.to_builtins(one.author), "seq": seq, "prev_hash": prev_hash, "recorded_at": NOW}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@given(drafts)
def test_sealing_is_canonical_json_and_sha256(one: Draft) -> None:
    record = seal(one, 5, "a" * 64, NOW)
    assert record.text == plain(one, 5, "a" * 64)
    assert record.hash == hashlib.sha256(record.text.encode()).hexdigest()


@given(drafts)
def test_an_entry_comes_back_as_it_was(one: Draft) -> None:
    record = seal(one, 1, GENESIS_HASH, NOW)
    entry = record.entry()
    assert draft_of(entry) == one
    assert reseal(entry) == record
    assert same_content(one, record)


@pytest.mark.parametrize("field", ["time", "message", "body", "author", "ttl", "policy", "session"])
def test_other_content_is_not_the_same(field: str) -> None:
    record = seal(draft(1), 1, GENESIS_HASH, NOW)
    other: Any = {"body": {"x": 1}, "author": Author("eve"), "ttl": 5}.get(field, "other")
    assert not same_content(msgspec.structs.replace(draft(1), **{field: other}), record)


def test_an_entry_has_at_most_a_mebibyte() -> None:
    room = MAX_ENTRY_BYTES - len(seal(draft(1, message=""), 1, GENESIS_HASH, NOW).text)
    assert len(seal(draft(1, message="x" * room), 1, GENESIS_HASH, NOW).text) == MAX_ENTRY_BYTES
    with pytest.raises(UsageError, match=f"{MAX_ENTRY_BYTES + 1} bytes"):
        seal(draft(1, message="x" * (room + 1)), 1, GENESIS_HASH, NOW)


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"x": value}
    return value


@pytest.mark.parametrize("body", [{"x": float("inf")}, {"x": {1, 2}}, {"x": b"bytes"}, nested(100_000)])
def test_what_json_can_not_hold_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="is not JSON"):
        seal(draft(1, body=body), 1, GENESIS_HASH, NOW)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"x"', '{"hash":"x"}', "[" * 100_000, '{"seq":1}'])
def test_what_is_no_entry_is_not_parsed(content: str) -> None:
    with pytest.raises(UsageError, match="not an entry"):
        parse_entry(content, "0" * 64)


def test_an_unknown_field_is_not_an_entry() -> None:
    record = seal(draft(1), 1, GENESIS_HASH, NOW)
    with pytest.raises(UsageError, match="not an entry"):
        Record(1, record.hash, record.text[:-1] + ',"zzz":1}').entry()


def test_examples() -> None:
    assert doctest.testmod(chain).failed == 0


@pytest.mark.parametrize("depth", [63, 64, 200, 900, 5000])
def test_what_is_nested_so_deep_that_it_might_not_be_read_again_is_not_kept(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    drafts = (draft(1, body={"a": value}), draft(1, delta={"a": value}))
    for deep in drafts:
        if depth < 64:
            assert seal(deep, 1, GENESIS_HASH, "t").entry()
        else:
            with pytest.raises(UsageError, match=r"nested deeper than 64|not JSON"):
                seal(deep, 1, GENESIS_HASH, "t")

"""The bytes of the spool: what goes in comes out, and nothing that is not whole passes for a record."""

from __future__ import annotations

import msgspec
import pytest
from pact_agent.records import (
    END,
    HEADER_BYTES,
    MAX_ENTRY_BYTES,
    SegmentHeader,
    Unnumbered,
    decode_draft,
    encode_draft,
    next_record,
    pack_header,
    pack_record,
    parse_header,
    payload_of,
    record_at,
    record_bytes,
    salt_of,
)

from pactsh.model.entry import Author, JsonObject

SALT = salt_of("agent:n1:abc")
ME = Author("alice@org", ("pact-ops",))


def draft(body: JsonObject | None = None, message: str = "") -> Unnumbered:
    return Unnumbered("2026-01-31T12:00:00.000000Z", "intent", "node:n1", ME, message=message, body=body)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000])
def test_a_record_comes_back(size: int) -> None:
    payload = bytes(range(256)) * 4
    record = pack_record(5, payload[:size], SALT)
    assert len(record) == record_bytes(size)
    assert len(record) % 8 == 0
    assert payload_of(record + END, 5, SALT) == payload[:size]


def test_a_changed_byte_makes_it_none() -> None:
    record = pack_record(5, b"payload of some length", SALT)
    used = 24 + len(b"payload of some length")
    for place in range(used):
        if 20 <= place < 24:
            continue  # padding of the head
        for bit in (1, 128):
            broken = bytearray(record)
            broken[place] ^= bit
            assert payload_of(bytes(broken), 5, SALT) is None, place


def test_another_number_another_spool_or_half_a_record_is_none() -> None:
    record = pack_record(5, b"x" * 100, SALT)
    assert payload_of(record, 6, SALT) is None
    assert payload_of(record, 5, salt_of("agent:n1:abd")) is None
    for length in range(24 + 100):
        assert record_at(memoryview(record)[:length], 0, SALT) is None
    assert record_at(memoryview(END * 10), 0, SALT) is None


def test_the_next_whole_record_is_found_behind_damage() -> None:
    first, second, third = (pack_record(n, b"x" * 50, SALT) for n in (5, 6, 7))
    damaged = b"\xff" * len(second)
    data = first + damaged + third + END
    found = next_record(data, len(first), 5, SALT)
    assert found is not None
    assert (found.number, found.start) == (7, len(first) + len(damaged))
    assert found.end == len(data) - len(END)
    assert next_record(data, len(first), 7, SALT) is None  # an earlier use of the segment


def test_a_payload_that_looks_like_a_record_is_not_one() -> None:
    """Whoever types a line decides on its bytes, but not on the spool's random client id."""
    forged = pack_record(99, b"forged", salt_of("guess"))
    outer = pack_record(5, b"." * 8 + forged, SALT)
    assert next_record(outer[8:], 0, 0, SALT) is None


@pytest.mark.parametrize(
    "given",
    [
        draft(),
        draft({"argv": ["cat", "naïve", "日本", "\x7f\x00"]}),
        draft({"argv": ["caf\udce9"]}, message="\udcff"),
        draft({"n": 1 << 53, "f": 0.1, "deep": [[{"a": None, "b": True}]]}),
    ],
)
def test_drafts_come_back(given: Unnumbered) -> None:
    assert decode_draft(encode_draft(given)) == given


def test_a_draft_over_the_journals_limit_is_refused() -> None:
    fits = draft({"line": "x" * (MAX_ENTRY_BYTES - 2048)})
    assert decode_draft(encode_draft(fits)) == fits
    for text in ("x" * MAX_ENTRY_BYTES, "ä" * (MAX_ENTRY_BYTES // 5)):  # six ASCII bytes each in canonical JSON
        with pytest.raises(ValueError, match="over the limit"):
            encode_draft(draft({"line": text}))


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff", b'{"time": 3}', encode_draft(draft())[:-1]])
def test_what_is_no_draft_is_an_error(payload: bytes) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        decode_draft(payload)


def test_a_header_comes_back_or_is_none() -> None:
    header = SegmentHeader("agent:n1:abc", 1 << 40)
    data = pack_header(header)
    assert len(data) == HEADER_BYTES
    assert parse_header(data) == header
    assert parse_header(bytes(HEADER_BYTES)) is None
    assert parse_header(data[:-1]) is None
    for place in (0, 8, 16, 20, 100, 255):
        broken = bytearray(data)
        broken[place] ^= 1
        assert parse_header(bytes(broken)) is None


def test_a_number_makes_a_draft_of_the_journal() -> None:
    made = draft({"a": 1}, "m").numbered("agent:n1:abc", 7)
    assert (made.client, made.number, made.message, made.body) == ("agent:n1:abc", 7, "m", {"a": 1})

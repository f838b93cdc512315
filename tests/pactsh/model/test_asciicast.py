"""Asciicast v2: what goes in comes out, and what is no recording is told."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.errors import UsageError
from pactsh.model.asciicast import Encoder, Event, Header, Origin, parse

SOURCE = "x.cast"


def recorded(*chunks: tuple[float, bytes]) -> bytes:
    encoder = Encoder(Header(2, 80, 24))
    data = encoder.header() + b"".join(encoder.output(at, chunk) for at, chunk in chunks)
    return data + encoder.finish(max((at for at, _ in chunks), default=0.0))


def events(data: bytes) -> list[Event]:
    return list(parse(io.BytesIO(data), SOURCE)[1])


@given(st.lists(st.tuples(st.floats(0, 1e6), st.binary(max_size=40))))
def test_any_bytes_in_any_chunks_come_back_as_the_text_they_are(chunks: list[tuple[float, bytes]]) -> None:
    """However a character is cut in pieces; times never go back; each line is a JSON value of its own."""
    data = recorded(*chunks)
    found = events(data)
    whole = b"".join(chunk for _, chunk in chunks)
    assert "".join(event.data for event in found) == whole.decode("utf-8", "replace")
    times = [event.time for event in found]
    assert times == sorted(times)
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    assert all(isinstance(json.loads(line), dict if number == 0 else list) for number, line in enumerate(lines))


@given(st.text(max_size=30), st.integers(1, 500), st.integers(1, 500))
def test_a_header_says_what_was_recorded(text: str, width: int, height: int) -> None:
    header = Header(2, width, height, 1700000000, f"title {text}", {"TERM": text}, Origin("ab12", principal=text))
    assert parse([Encoder(header).header()], SOURCE)[0] == header


def test_a_header_has_the_fields_that_the_format_asks_for() -> None:
    line = json.loads(Encoder(Header(2, 100, 30, 5, "t", {"TERM": "xterm"})).header())
    assert line == {"version": 2, "width": 100, "height": 30, "timestamp": 5, "title": "t", "env": {"TERM": "xterm"}}


def test_a_character_that_is_cut_in_two_is_whole_again() -> None:
    data = "é日".encode()
    assert [e.data for e in events(recorded((0, data[:1]), (1, data[1:4]), (2, data[4:])))] == ["é", "日"]
    assert [e.data for e in events(recorded((0, data[:1])))] == ["\N{REPLACEMENT CHARACTER}"]


def test_sizes_and_markers() -> None:
    encoder = Encoder(Header(2, 80, 24))
    resize, marker = (
        parse([encoder.header(), line], SOURCE)[1] for line in (encoder.resize(1, 100, 30), encoder.marker(2, "x"))
    )
    (event,) = resize
    assert (event.code, event.size) == ("r", (100, 30))
    assert [(e.code, e.data, e.size) for e in marker] == [("m", "x", None)]
    assert Event(0, "r", "axb").size is None


def test_events_of_other_kinds_and_headers_of_other_programs_are_read() -> None:
    header = b'{"version": 2, "width": 80, "height": 24, "theme": {"fg": "#fff"}, "pact": 7, "idle_time_limit": 2}\n'
    head, found = parse([header, b'[1, "x", "?"]\n', b"\n", b'[2.5, "i", "ls"]\n'], SOURCE)
    assert (head.width, head.pact) == (80, None)
    assert list(found) == [Event(1.0, "x", "?"), Event(2.5, "i", "ls")]


def test_a_last_line_that_was_cut_is_left_out_and_others_are_not() -> None:
    data = recorded((0, b"one"), (1, b"two"))
    assert [e.data for e in events(data[:-4])] == ["one"]
    with pytest.raises(UsageError, match="line 2: not an event"):
        events(data.replace(b'[0.0,"o","one"]', b'[0.0,"o","o'))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"", "its first line is not JSON"),
        (b"#!/bin/sh\n", "its first line is not JSON"),
        (b"\xff\xfe\x00\n", "its first line is not JSON"),
        (b"[1, 2]\n", "not an asciicast"),
        (b"{}\n", "not an asciicast"),
        (b'{"version": 3, "term": {"cols": 80}}\n', "asciicast of version 3"),
        (b'{"version": 2, "height": 24}\n', "line 1: .*width"),
        (b'{"version": 2, "width": "80", "height": 24}\n', "line 1: .*width"),
        (b'{"version": 2, "width": 0, "height": 24}\n', "0 columns"),
        (b"[" * 100_000, "its first line is not JSON"),
    ],
)
def test_what_is_no_recording_is_told(line: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=f"^x.cast: .*{says}"):
        parse([line], SOURCE)


@pytest.mark.parametrize(
    "line", [b"{}", b"[1]", b'[1, "o"]', b'["1", "o", "x"]', b'[-1, "o", "x"]', b'[1, "o", 5]', b"x"]
)
def test_what_is_no_event_is_told_with_its_line(line: bytes) -> None:
    header = Encoder(Header(2, 80, 24)).header()
    with pytest.raises(UsageError, match=r"x\.cast: line 2"):
        list(parse([header, line + b"\n"], SOURCE)[1])


@given(
    st.lists(
        st.sampled_from(list('[]{},:"\\12.oe-\n'))
        | st.sampled_from(["version", '"o"', "NaN", "1e999", "\x00", "\ud800"]),
        max_size=30,
    )
)
def test_whatever_a_file_holds_it_is_a_recording_or_an_error_of_ours(pieces: list[str]) -> None:
    text = "".join(pieces).encode("utf-8", "surrogatepass")
    for data in (text, Encoder(Header(2, 80, 24)).header() + text):
        with contextlib.suppress(UsageError):
            for event in events(data):
                assert event.time >= 0
                assert event.size is None or min(event.size) >= 0

"""Scopes and moments: tables of text and value."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.cli.arguments import entry_types, parse_scope, parse_since
from pactsh.errors import UsageError
from pactsh.journal.drafts import is_time

NOW = datetime(2026, 3, 10, 15, 30, 45, 678901, tzinfo=UTC)

MOMENTS = {
    "2026-01-31T12:00:00Z": "2026-01-31T12:00:00.000000Z",
    "2026-01-31t12:00:00z": "2026-01-31T12:00:00.000000Z",
    "2026-01-31T12:00:00.25+02:00": "2026-01-31T10:00:00.250000Z",
    "2026-01-31 12:00": "2026-01-31T12:00:00.000000Z",
    "2026-01-31": "2026-01-31T00:00:00.000000Z",
    "90s": "2026-03-10T15:29:15.678901Z",
    "2h": "2026-03-10T13:30:45.678901Z",
    "2 h": "2026-03-10T13:30:45.678901Z",
    "2h ago": "2026-03-10T13:30:45.678901Z",
    "3 days ago": "2026-03-07T15:30:45.678901Z",
    "1 week ago": "2026-03-03T15:30:45.678901Z",
    "5 minutes": "2026-03-10T15:25:45.678901Z",
    "Yesterday": "2026-03-09T00:00:00.000000Z",
    "today": "2026-03-10T00:00:00.000000Z",
}


@pytest.mark.parametrize("text", MOMENTS)
def test_since(text: str) -> None:
    assert parse_since(text, NOW) == MOMENTS[text]


@pytest.mark.parametrize(
    "text", ["", "soon", "-2h", "2", "2 months ago", "2h 3m", "12:00", "tomorrow", "999999w", "2026-13-01", "٣h"]
)
def test_no_moment(text: str) -> None:
    with pytest.raises(UsageError, match="--since: no time"):
        parse_since(text, NOW)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_of_the_entries_form_or_an_error(text: str) -> None:
    try:
        moment = parse_since(text, NOW)
    except UsageError:
        return
    assert is_time(moment)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("global", "global"),
        ("vc:ml-training", "vcluster:ml-training"),
        ("vcluster:io", "vcluster:io"),
        ("node:node042", "node:node042"),
        ("node042", None),
        ("node:", None),
        ("node:Node", None),
        ("node:a b", None),
        ("vc:../x", None),
        ("Global", None),
        ("", None),
        ("pod:x", None),
    ],
)
def test_scope(text: str, scope: str | None) -> None:
    assert parse_scope(text) == scope


def test_the_types_of_internals_are_known() -> None:
    assert {"intent", "outcome", "refusal", "session.start"} <= set(entry_types())

"""What the journal says of itself, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pactsh.cli.journaltext import age_s, head_text
from pactsh.rpc import pact_pb2 as pb

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SIGNED = "2026-01-31T11:57:00.000000Z"


@pytest.mark.parametrize(
    ("last", "signed", "text"),
    [
        (0, 0, "seq:0, nothing to sign"),
        (7, 0, "seq:7, not signed yet"),
        (7, 7, "seq:7, signed 3 min ago"),
        (9, 7, "seq:9, signed to seq:7 3 min ago"),
    ],
)
def test_a_head(last: int, signed: int, text: str) -> None:
    assert head_text(pb.JournalStatus(last_seq=last, signed_seq=signed, signed_time=SIGNED), NOW) == text


@pytest.mark.parametrize(
    ("time", "age"), [(SIGNED, 180.0), ("2027-01-01T00:00:00Z", 0.0), ("", 0.0), ("2026-01-31", 0.0), ("x", 0.0)]
)
def test_an_age_is_never_negative_nor_an_error(time: str, age: float) -> None:
    assert age_s(time, NOW) == age

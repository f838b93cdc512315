"""What the journal says of itself, in words. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pactsh.cli.changes import lasts

if TYPE_CHECKING:
    from pactsh.rpc import pact_pb2 as pb


def age_s(time: str, now: datetime) -> float:
    """How long ago that is (RFC 3339); 0 for what is no time, or of a clock that is ahead.

    >>> from datetime import UTC
    >>> age_s("2026-01-31T12:00:00.000000Z", datetime(2026, 1, 31, 13, tzinfo=UTC)), age_s("", datetime.now(UTC))
    (3600.0, 0.0)
    """
    try:
        return max(0.0, (now - datetime.fromisoformat(time)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def head_text(status: pb.JournalStatus, now: datetime) -> str:
    """The last entry, how far the chain is signed, and since when."""
    signed = f"{lasts(age_s(status.signed_time, now))} ago"
    if not status.last_seq:
        return "seq:0, nothing to sign"
    if not status.signed_seq:
        return f"seq:{status.last_seq}, not signed yet"
    if status.signed_seq == status.last_seq:
        return f"seq:{status.last_seq}, signed {signed}"
    return f"seq:{status.last_seq}, signed to seq:{status.signed_seq} {signed}"

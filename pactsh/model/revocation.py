"""What no longer counts: all that was issued to a person, or to a node, before a moment. Folded from `revoke` entries.

Tokens and certificates carry whole seconds, rounded down. So the moment is a whole second too, the next one after the
revocation: what was issued within the same second, before or after it, does not count. Who signs in again within that
second is refused once more; the other way round something that was stolen would still open doors.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec

from pactsh.model.entry import Entry

TYPE = "revoke"
PERSON, NODE = "person", "node"
KINDS = (PERSON, NODE)

Key = tuple[str, str]


class Revocation(msgspec.Struct, frozen=True):
    """Of whom (`kind`: person or node), by whom, when (RFC 3339). `before` is in seconds since the epoch."""

    kind: str
    subject: str
    before: int
    by: str
    time: str
    message: str = ""
    seq: int = 0

    @property
    def key(self) -> Key:
        """What it is known by."""
        return key_of(self.kind, self.subject)

    def covers(self, issued_at: float) -> bool:
        """Whether what was issued then (seconds since the epoch) no longer counts."""
        return issued_at < self.before

    def __str__(self) -> str:
        return f"{self.subject} was revoked by {self.by} at {self.time[:19]}Z"


def key_of(kind: str, subject: str) -> Key:
    """Issuers spell one person in several ways: however it is spelled, it is revoked.

    >>> key_of("person", "Alice@Example.org")
    ('person', 'alice@example.org')
    """
    return kind, subject.casefold()


def before_of(now: float) -> int:
    """The first whole second of which nothing was issued before `now`.

    >>> before_of(10.0), before_of(10.9)
    (11, 11)
    """
    return math.floor(now) + 1


def later(one: Revocation | None, other: Revocation) -> Revocation:
    """Of two about the same subject the one that takes back more: a clock that was put back opens nothing again."""
    return one if one is not None and one.before >= other.before else other


def fold(known: dict[Key, Revocation], entry: Entry) -> Revocation | None:
    """Take one entry in, and return what it says. One that can't be read is left out: the journal writes none."""
    body = entry.body or {}
    kind, subject, text = (str(body.get(name)) for name in ("kind", "subject", "before"))
    try:
        before = round(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None
    if kind not in KINDS:
        return None
    made = Revocation(kind, subject, before, entry.author.principal, entry.time, entry.message, entry.seq)
    known[made.key] = later(known.get(made.key), made)
    return made


def text_of(before: int) -> str:
    """The moment as entries have times."""
    return datetime.fromtimestamp(before, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

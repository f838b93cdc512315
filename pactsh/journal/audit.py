"""The walk that checks a chain: entries against each other, their columns, and signed heads. Pure.

It names the first bad entry and what is wrong with it. What a chain can't show by itself (a cut
tail, a history rewritten from some point on) is found with heads: those kept beside the
entries, and better, those that others have kept (`anchors`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from pactsh.errors import UsageError
from pactsh.journal.chain import hash_text, parse_entry, reseal
from pactsh.journal.store import Columns, Row
from pactsh.model.entry import GENESIS_HASH, Entry, Head

_LOOKAHEAD = 2000  # entries after a bad one that are looked at to say what was done


class Kind(enum.StrEnum):
    """What is wrong with an entry (or head)."""

    ALTERED = "altered"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    CUT = "cut"
    COLUMN = "column"
    DUPLICATE = "duplicate"
    FORGED_HEAD = "forged-head"
    REWRITTEN = "rewritten"


class Problem(msgspec.Struct, frozen=True):
    """The first bad entry: its number, what was done, and how that shows."""

    seq: int
    kind: Kind
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """What a walk found. `signed_seq` is the last entry that a genuine head vouches for;
    what comes after it is chained but not yet signed."""

    entries: int
    last_seq: int
    last_hash: str
    signed_seq: int
    redacted: int
    problem: Problem | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None


class _Seen(msgspec.Struct, frozen=True):
    """One row, read: its entry if it can be read, and the hash its content really has."""

    row: Row
    entry: Entry | None
    actual_hash: str

    @property
    def prev_hash(self) -> str:
        return self.row.prev_hash if self.entry is None else self.entry.prev_hash

    @property
    def seq(self) -> int:
        """The number in what was sealed; of a redacted entry the number it was sent with."""
        return self.row.seq if self.entry is None else self.entry.seq


class _Numbers:
    """Which (client, number) pairs were seen. Clients count upwards, so a range does for most."""

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[int, int]] = {}
        self._others: set[tuple[str, int]] = set()

    def is_new(self, client: str, number: int) -> bool:
        low, high = self._ranges.setdefault(client, (number, number - 1))
        if low <= number <= high or (client, number) in self._others:
            return False
        if number == high + 1:
            self._ranges[client] = (low, number)
        else:
            self._others.add((client, number))
        return True


def verify(
    rows: Iterable[Row],
    heads: Sequence[Head],
    is_genuine: Callable[[Head], bool],
    *,
    anchors: Sequence[Head] = (),
) -> Verdict:
    """Walk `rows` (in the order they are kept, from entry 1) and check them against all heads.

    `is_genuine` says whether a head carries the journal's signature (`heads.head_checker`).
    """
    return _Walk(heads, anchors, is_genuine).run(iter(rows))


class _Walk:
    def __init__(self, heads: Sequence[Head], anchors: Sequence[Head], is_genuine: Callable[[Head], bool]) -> None:
        self._forged: Problem | None = None
        self._heads: dict[int, str] = {}
        self._known_to = 0  # the highest number that a genuine head speaks of
        for head in (*heads, *anchors):
            self._take(head, is_genuine)
        self._prev = GENESIS_HASH
        self._next = 1
        self._entries = self._redacted = self._signed = 0
        self._numbers = _Numbers()

    def _take(self, head: Head, is_genuine: Callable[[Head], bool]) -> None:
        if not is_genuine(head):
            problem = Problem(head.seq, Kind.FORGED_HEAD, f"the head at seq:{head.seq} has no genuine signature")
        elif self._heads.get(head.seq, head.hash) != head.hash:
            problem = Problem(head.seq, Kind.REWRITTEN, f"two genuine heads name different entries seq:{head.seq}")
        else:
            self._heads[head.seq] = head.hash
            self._known_to = max(self._known_to, head.seq)
            return
        if self._forged is None or problem.seq < self._forged.seq:
            self._forged = problem

    def run(self, rows: Iterator[Row]) -> Verdict:
        problem: Problem | None = None
        for row in rows:
            seen = _read(row)
            problem = self._own_fault(seen) or self._link_fault(seen, rows) or self._head_fault(seen, rows)
            if problem is not None:
                break
            self._accept(seen)
        else:
            if self._known_to >= self._next:
                problem = Problem(
                    self._next,
                    Kind.CUT,
                    f"the chain ends at seq:{self._next - 1}, but a signed head names seq:{self._known_to}",
                )
        if self._forged is not None and (problem is None or self._forged.seq < problem.seq):
            problem = self._forged
        return Verdict(self._entries, self._next - 1, self._prev, self._signed, self._redacted, problem)

    def _accept(self, seen: _Seen) -> None:
        self._entries += 1
        self._redacted += seen.entry is None
        self._prev, self._next = seen.row.hash, seen.seq + 1
        if seen.seq in self._heads:
            self._signed = seen.seq

    def _own_fault(self, seen: _Seen) -> Problem | None:
        """What is wrong with a row whatever its neighbours are."""
        row, entry = seen.row, seen.entry
        if entry is None:
            # Without text it may be redacted; but a store keeps no redacted entries.
            if row.text or row.columns is not None:
                return Problem(row.seq, Kind.ALTERED, "it can't be read as an entry")
            return None
        if seen.actual_hash != row.hash:
            return Problem(row.seq, Kind.ALTERED, "its content does not match its hash")
        if reseal(entry).text != row.text:
            return Problem(row.seq, Kind.ALTERED, "its content is not canonical JSON")
        return None

    def _link_fault(self, seen: _Seen, rest: Iterator[Row]) -> Problem | None:
        """What is wrong with a row's place; looks ahead to say what was done."""
        if seen.seq == self._next and seen.prev_hash == self._prev:
            return self._detail_fault(seen)
        later = [_read(row) for row in islice(rest, _LOOKAHEAD)]
        if seen.seq > self._next:
            if any(other.seq == self._next for other in later):
                return Problem(self._next, Kind.REORDERED, f"seq:{seen.seq} stands in its place")
            gap = f"seq:{self._next} to seq:{seen.seq - 1} are missing"
            return Problem(self._next, Kind.REMOVED, gap)
        if seen.seq < self._next:
            return Problem(seen.seq, Kind.INSERTED, f"there are two entries seq:{seen.seq}")
        hashes = {other.row.hash for other in later}
        if seen.prev_hash in hashes:
            return Problem(seen.seq, Kind.REORDERED, "it seals an entry that stands after it")
        follows = later and later[0].prev_hash == seen.row.hash
        if self._next > 1 and follows:
            # This one and its followers agree; so it is the entry before that was sealed anew.
            return Problem(self._next - 1, Kind.ALTERED, f"seq:{seen.seq} seals another content of it")
        return Problem(seen.seq, Kind.ALTERED, "it does not seal the entry before it")

    def _detail_fault(self, seen: _Seen) -> Problem | None:
        entry, columns = seen.entry, seen.row.columns
        if entry is None:
            return None
        if columns is not None and columns != _columns(entry):
            wrong = [
                name for name, kept, true in zip(Columns._fields, columns, _columns(entry), strict=True) if kept != true
            ]
            return Problem(entry.seq, Kind.COLUMN, f"column {', '.join(wrong)} does not say what the entry says")
        if not self._numbers.is_new(entry.client, entry.number):
            return Problem(entry.seq, Kind.DUPLICATE, f"{entry.client} number {entry.number} is in the chain already")
        return None

    def _head_fault(self, seen: _Seen, rest: Iterator[Row]) -> Problem | None:
        signed = self._heads.get(seen.seq)
        if signed is None or signed == seen.row.hash:
            return None
        follower = next(rest, None)
        if follower is not None and _read(follower).prev_hash == signed:
            return Problem(seen.seq, Kind.ALTERED, "it is not the entry that was signed and that the next one seals")
        return Problem(
            self._signed + 1,
            Kind.REWRITTEN,
            f"seq:{seen.seq} is not the entry that was signed: something from seq:{self._signed + 1} to"
            f" seq:{seen.seq} was altered and sealed anew",
        )


def _columns(entry: Entry) -> Columns:
    return Columns(
        entry.seq,
        entry.client,
        entry.number,
        entry.type,
        entry.scope,
        entry.author.principal,
        entry.time,
        entry.session,
    )


def _read(row: Row) -> _Seen:
    if not row.text:
        return _Seen(row, None, row.hash)
    try:
        return _Seen(row, parse_entry(row.text, row.hash), hash_text(row.text))
    except (UsageError, UnicodeEncodeError):
        return _Seen(row, None, "")

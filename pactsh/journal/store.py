"""The store protocol: what keeps entries and heads. `tests/.../store_suite.py` says what each must do.

A store numbers and seals what it is given, keeps it, and promises:
- an append is acknowledged after it is durable, and never lost from then on;
- numbers start at 1 and have no gaps; each entry seals the one before it;
- at most one entry for a (client, number): a retry gets the entry that is already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from pactsh.errors import PactError, UnreachableError
from pactsh.journal.chain import Record, Tip
from pactsh.model.entry import Draft, Head


class StoreError(UnreachableError):
    """The store can't write or read now (disk full, I/O error); nothing was acknowledged."""


class CorruptError(PactError):
    """What the store holds is damaged; it refuses to add to it."""


class Query(msgspec.Struct, frozen=True):
    """Which entries, and how many. Empty strings and `None` mean any; bounds are inclusive.

    `since` compares with an entry's `time`; `scopes` is the set the caller may read.
    """

    scope: str = ""
    type: str = ""
    types: tuple[str, ...] = ()
    author: str = ""
    since: str = ""
    session: str = ""
    scopes: frozenset[str] | None = None
    from_seq: int = 1
    to_seq: int | None = None
    limit: int = 1000
    newest_first: bool = False


class Columns(NamedTuple):
    """What a store keeps beside the canonical JSON, for look-ups; must agree with it."""

    seq: int
    client: str
    number: int
    type: str
    scope: str
    author: str
    time: str
    session: str


class Space(NamedTuple):
    """What the store takes of its disk, and what is left there."""

    size_bytes: int
    free_bytes: int


class Row(msgspec.Struct, frozen=True):
    """A record as it lies in the store, with the columns beside it, for verification.

    `text` is empty where the reader may not see the entry; `prev_hash` stands in for it then.
    """

    seq: int
    hash: str
    text: str
    columns: Columns | None = None
    prev_hash: str = ""


Outcome = Record | PactError


class Store(Protocol):
    """Entries and heads, kept durably. `kind` says what keeps them."""

    kind: str

    async def append(self, draft: Draft) -> Record:
        """Keep one entry; raises `ConflictError` when its (client, number) holds something else,
        `UsageError` when it can't be an entry, `StoreError` when it can't be kept."""

    async def append_batch(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Keep several, in order; each has its own outcome, `StoreError` is raised for all."""

    async def get(self, seq: int) -> Record | None:
        """The entry with this number."""

    async def by_number(self, client: str, number: int) -> Record | None:
        """The entry of a client's append."""

    async def query(self, query: Query) -> list[Record]:
        """Entries in order of `seq` (or the reverse), at most `query.limit`."""

    async def rows(self, from_seq: int, limit: int) -> list[Row]:
        """Entries exactly as kept, for verification."""

    async def last(self) -> Tip:
        """The last durable entry."""

    async def wait_beyond(self, seq: int) -> int:
        """Wait until there is an entry after `seq`; returns the last number. Watches build on it."""

    async def add_head(self, head: Head) -> None:
        """Keep a signed head."""

    async def heads(self, from_seq: int = 0, limit: int = 1000) -> list[Head]:
        """Heads from this number on, in order."""

    async def last_head(self) -> Head | None:
        """The head with the highest number."""

    async def space(self) -> Space:
        """How much disk it takes; raises `StoreError` when it can't be seen."""

    async def close(self) -> None:
        """Finish what is waiting and let go of everything."""

"""The reading half of the SQLite store: one connection, one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pactsh.journal.chain import Record
from pactsh.journal.store import Columns, Query, Row, StoreError
from pactsh.model.entry import Head

MAX_SEQ = (1 << 63) - 1
_COMMON_TYPES = ("intent", "outcome")


def to_store_error(error: sqlite3.Error, doing: str) -> StoreError:
    """What a user may know of an SQLite failure."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return StoreError(
            "the journal's disk is full; nothing was recorded",
            hint="make room on the journal's data directory; it goes on by itself",
            detail=f"{doing}: {error}",
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreError(f"the journal's store failed ({name})", detail=f"{doing}: {error}")


class Reader:
    """Read-only look-ups on a journal file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._connection.execute("PRAGMA query_only = 1")

    def get(self, seq: int) -> Record | None:
        """The entry with this number."""
        row = self._connection.execute("SELECT seq, hash, text FROM entries WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else Record(*row)

    def by_number(self, client: str, number: int) -> Record | None:
        """The entry of a client's append."""
        row = self._connection.execute(
            "SELECT seq, hash, text FROM entries WHERE number = ? AND client = ?", (number, client)
        ).fetchone()
        return None if row is None else Record(*row)

    def query(self, query: Query) -> list[Record]:
        """Entries that match, in the wanted order."""
        conditions = ["seq >= ?"]
        values: list[object] = [query.from_seq]
        if query.to_seq is not None:
            conditions.append("seq <= ?")
            values.append(query.to_seq)
        for column in ("scope", "type", "author", "session"):
            wanted = getattr(query, column)
            if wanted:
                conditions.append(f"{column} = ?")
                values.append(wanted)
        if query.types:
            conditions.append(f"type IN ({','.join('?' * len(query.types))})")
            values.extend(query.types)
        wanted_types = {query.type, *query.types} - {""}
        if wanted_types and not wanted_types & set(_COMMON_TYPES):
            conditions.append(f"type NOT IN {_COMMON_TYPES}")  # lets SQLite use the partial index
        if query.since:
            conditions.append("time >= ?")
            values.append(query.since)
        if query.scopes is not None:
            conditions.append(f"scope IN ({','.join('?' * len(query.scopes))})")
            values.extend(sorted(query.scopes))
        direction = "DESC" if query.newest_first else "ASC"
        sql = f"SELECT seq, hash, text FROM entries WHERE {' AND '.join(conditions)} ORDER BY seq {direction} LIMIT ?"  # noqa: S608  names are literals above
        return [Record(*row) for row in self._connection.execute(sql, (*values, query.limit))]

    def rows(self, from_seq: int, limit: int) -> list[Row]:
        """Entries as kept, columns and all."""
        found = self._connection.execute(
            "SELECT seq, hash, text, client, number, type, scope, author, time, session"
            " FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?",
            (from_seq, limit),
        )
        # SQLite keeps any type in any column: what isn't text there was not written by a journal.
        return [
            Row(seq, str(entry_hash), text if isinstance(text, str) else "", Columns(seq, *rest))
            for seq, entry_hash, text, *rest in found
        ]

    def all_rows(self) -> Iterator[Row]:
        """Every entry as kept, read in pieces."""
        seq = -MAX_SEQ
        while rows := self.rows(seq, 500):
            yield from rows
            seq = rows[-1].seq + 1

    def all_heads(self) -> list[Head]:
        """Every head."""
        return self.heads(-MAX_SEQ, -1)

    def heads(self, from_seq: int, limit: int) -> list[Head]:
        """Heads from this number on."""
        found = self._connection.execute(
            "SELECT seq, hash, time, key_id, signature FROM heads WHERE seq >= ? ORDER BY seq LIMIT ?",
            (from_seq, limit),
        )
        return [Head(*row) for row in found]

    def last_head(self) -> Head | None:
        """The newest head."""
        found = self._connection.execute(
            "SELECT seq, hash, time, key_id, signature FROM heads ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        return None if found is None else Head(*found)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

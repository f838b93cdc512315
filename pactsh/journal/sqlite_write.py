"""The writing half of the SQLite store: schema, one transaction at a time, sealing. One thread's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from pactsh.errors import ConflictError, PactError, UsageError
from pactsh.journal.chain import Record, Tip, hash_text, same_content, seal
from pactsh.journal.store import CorruptError, Outcome
from pactsh.model.entry import Draft, Head

APPLICATION_ID = 0x70616374  # "pact"
SCHEMA_VERSION = 1
MAX_NUMBER = (1 << 63) - 1
MAX_CLIENTS = 20_000

# `type` is indexed where it is rare: nearly every entry is an intent or an outcome, and an
# index row for each of those would be paid at every append and never help a look-up. The
# number comes before the client because agents that count alike then share index pages.
COMMON_TYPES = "('intent','outcome')"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entries (
  seq INTEGER PRIMARY KEY, client TEXT NOT NULL, number INTEGER NOT NULL, type TEXT NOT NULL,
  scope TEXT NOT NULL, author TEXT NOT NULL, time TEXT NOT NULL, session TEXT NOT NULL,
  hash TEXT NOT NULL, text TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS entries_number ON entries (number, client);
CREATE INDEX IF NOT EXISTS entries_scope ON entries (scope);
CREATE INDEX IF NOT EXISTS entries_type ON entries (type) WHERE type NOT IN {COMMON_TYPES};
CREATE TABLE IF NOT EXISTS heads (
  seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, time TEXT NOT NULL, key_id TEXT NOT NULL, signature TEXT NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
_INSERT = "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?)"
_INSERT_HEAD = "INSERT OR IGNORE INTO heads VALUES (?,?,?,?,?)"


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create the file for writing; raises sqlite3.Error, or `CorruptError` for a foreign file."""
    created = not path.exists()
    if created:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if version not in {0, SCHEMA_VERSION} or application not in {0, APPLICATION_ID}:
            raise CorruptError(f"{path} is not a journal of this version (schema {version})")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -65536")  # KiB
        if version == 0:
            connection.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


class Writer:
    """Adds entries to the chain inside a transaction. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], str]) -> None:
        self._connection = connection
        self._clock = clock
        self._numbers: dict[str, int] = {}  # client -> its highest number, kept or pending
        self._pending: list[tuple[object, ...]] = []
        self._pending_records: dict[tuple[str, int], Record] = {}
        self._recorded_at = ""
        self.is_careful = False
        self.tip = self._load_tip()
        self._seq, self._hash = self.tip.seq, self.tip.hash

    def _load_tip(self) -> Tip:
        row = self._connection.execute("SELECT seq, hash, text FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        if row is None:
            tip = Tip()
        else:
            seq, entry_hash, text = row
            try:
                actual = hash_text(text)
            except UnicodeEncodeError:
                actual = ""
            if actual != entry_hash:
                raise CorruptError(
                    f"entry {seq}, the last one, does not match its hash", hint="run pact-journal verify"
                )
            tip = Tip(seq, entry_hash)
        row = self._connection.execute("SELECT max(seq) FROM heads").fetchone()
        if row[0] is not None and row[0] > tip.seq:
            raise CorruptError(
                f"the journal ends at entry {tip.seq} but has signed entry {row[0]}: its tail is missing",
                hint="run pact-journal verify, and restore the database from a backup",
            )
        return tip

    def begin(self) -> None:
        """Start a transaction; everything added until `commit` is one."""
        self._connection.execute("BEGIN IMMEDIATE")
        # Time never runs backwards along the chain, whatever the clock does.
        self._recorded_at = max(self._recorded_at, self._clock())

    def add(self, draft: Draft) -> Outcome:
        """Seal `draft` as the next entry, or give the entry that its number already has."""
        try:
            columns = _columns(draft)
            existing = self._existing(draft)
            if existing is not None:
                self._numbers[draft.client] = max(self._numbers[draft.client], draft.number)
                return _retry(draft, existing)
            record = seal(draft, self._seq + 1, self._hash, self._recorded_at)
        except PactError as error:
            return error
        self._seq, self._hash = record.seq, record.hash
        self._pending.append((record.seq, *columns, record.hash, record.text))
        self._pending_records[draft.client, draft.number] = record
        self._numbers[draft.client] = max(self._numbers[draft.client], draft.number)
        return record

    def _existing(self, draft: Draft) -> Record | None:
        """The entry that has this draft's number already.

        A number above all that this process has seen of a client is taken to be new without a
        look-up. When that is wrong (a retry of something older than this process), the unique
        index says so at `commit`, and the caller does it all again with `is_careful`.
        """
        highest = self._numbers.setdefault(draft.client, -1)
        if draft.number > highest >= 0 and not self.is_careful:
            return None
        pending = self._pending_records.get((draft.client, draft.number))
        if pending is not None:
            return pending
        row = self._connection.execute(
            "SELECT seq, hash, text FROM entries WHERE number = ? AND client = ?", (draft.number, draft.client)
        ).fetchone()
        return None if row is None else Record(*row)

    def add_head(self, head: Head) -> None:
        """Keep a signed head in this transaction."""
        self._connection.execute(_INSERT_HEAD, (head.seq, head.hash, head.time, head.key_id, head.signature))

    def commit(self) -> None:
        """Make everything added since `begin` durable."""
        if self._pending:
            self._connection.executemany(_INSERT, self._pending)
        self._connection.execute("COMMIT")
        self.tip = Tip(self._seq, self._hash)
        self._forget()

    def abandon(self) -> None:
        """Undo everything since `begin`; the chain is where it was."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:  # SQLite has rolled back by itself
                pass
        self._seq, self._hash = self.tip.seq, self.tip.hash
        self._numbers.clear()
        self._forget()

    def _forget(self) -> None:
        self._pending = []
        self._pending_records.clear()
        if len(self._numbers) > MAX_CLIENTS:
            self._numbers.clear()

    def close(self) -> None:
        """Close the connection, which also empties the WAL."""
        self._connection.close()


def _columns(draft: Draft) -> tuple[str, int, str, str, str, str, str]:
    if not 0 <= draft.number <= MAX_NUMBER:
        raise UsageError(f"number {draft.number} of client {draft.client!r} is out of range")
    author = draft.author.principal
    try:
        f"{draft.client}{draft.type}{draft.scope}{author}{draft.time}{draft.session}".encode()
    except UnicodeEncodeError as error:
        raise UsageError("client, type, scope, author, time and session must be Unicode text") from error
    return (draft.client, draft.number, draft.type, draft.scope, author, draft.time, draft.session)


def _retry(draft: Draft, existing: Record) -> Outcome:
    if same_content(draft, existing):
        return existing
    return ConflictError(
        f"{draft.client} has used number {draft.number} for another entry (seq:{existing.seq})",
        hint="numbers must never be reused; has the spool been restored from a backup?",
    )

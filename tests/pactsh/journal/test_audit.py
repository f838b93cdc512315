"""Tampering, done on the real database file: each kind is found and the first bad entry named."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pactsh.journal.audit import Kind, Verdict, verify
from pactsh.journal.chain import Record, draft_of, hash_text, parse_entry, seal
from pactsh.journal.heads import head_checker, public_bytes, sign_head
from pactsh.journal.sqlite_read import Reader
from pactsh.journal.store import Row
from pactsh.model.entry import GENESIS_HASH, Head
from tests.pactsh.journal.material import draft, sqlite_store

KEY = Ed25519PrivateKey.generate()
NOW = "2026-01-31T12:00:00.000000Z"
ENTRIES = 20
SIGNED = (8, 16)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Twenty entries, heads signed at 8 and 16."""

    async def fill() -> None:
        store = await sqlite_store(tmp_path)
        await store.append_batch([draft(n) for n in range(1, ENTRIES + 1)])
        for seq in SIGNED:
            record = await store.get(seq)
            assert record is not None
            await store.add_head(sign_head(KEY, seq, record.hash, NOW))
        await store.close()

    asyncio.run(fill())
    return tmp_path / "journal.db"


def audit(path: Path, *anchors: Head) -> Verdict:
    reader = Reader(path)
    try:
        return verify(reader.all_rows(), reader.all_heads(), head_checker(public_bytes(KEY)), anchors=anchors)
    finally:
        reader.close()


Tamper = Callable[[sqlite3.Connection], object]


def change(path: Path, tamper: Tamper) -> None:
    connection = sqlite3.connect(path)
    with connection:
        tamper(connection)
    connection.close()


def sql(*statements: str) -> Tamper:
    def run(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    return run


def text_of(connection: sqlite3.Connection, seq: int) -> str:
    return str(connection.execute("SELECT text FROM entries WHERE seq = ?", (seq,)).fetchone()[0])


def altered_and_resealed(seq: int) -> Tamper:
    """What someone does who knows that the hash must fit: the entry is consistent in itself."""

    def run(connection: sqlite3.Connection) -> None:
        values = json.loads(text_of(connection, seq)) | {"message": "nothing to see here"}
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        connection.execute("UPDATE entries SET text = ?, hash = ? WHERE seq = ?", (text, hash_text(text), seq))

    return run


def rewritten_from(seq: int) -> Tamper:
    """The most thorough: alter one and seal anew everything after it."""

    def run(connection: sqlite3.Connection) -> None:
        prev = connection.execute("SELECT hash FROM entries WHERE seq = ?", (seq - 1,)).fetchone()
        prev_hash = prev[0] if prev else GENESIS_HASH
        for number in range(seq, ENTRIES + 1):
            entry = parse_entry(text_of(connection, number), "")
            message = "nothing to see here" if number == seq else entry.message
            one = msgspec.structs.replace(draft_of(entry), message=message)
            record = seal(one, number, prev_hash, entry.recorded_at)
            connection.execute(
                "UPDATE entries SET text = ?, hash = ? WHERE seq = ?", (record.text, record.hash, number)
            )
            prev_hash = record.hash

    return run


def inserted_after(seq: int) -> Tamper:
    """A forged entry that seals its predecessor properly; the rest is moved up by one row."""

    def run(connection: sqlite3.Connection) -> None:
        prev = parse_entry(text_of(connection, seq), "")
        (prev_hash,) = connection.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()
        connection.execute("UPDATE entries SET seq = -seq WHERE seq > ?", (seq,))
        connection.execute("UPDATE entries SET seq = 1 - seq WHERE seq < 0")
        put(connection, seal(draft(999), seq + 1, prev_hash, prev.recorded_at))

    return run


def put(connection: sqlite3.Connection, record: Record) -> None:
    e = record.entry()
    connection.execute(
        "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?)",
        (e.seq, e.client, e.number, e.type, e.scope, e.author.principal, e.time, e.session, e.hash, record.text),
    )


def duplicated(connection: sqlite3.Connection) -> None:
    """The same append twice in an otherwise perfect chain: what the unique index should prevent."""
    connection.execute("DROP INDEX entries_number")
    last = parse_entry(text_of(connection, ENTRIES), "")
    (last_hash,) = connection.execute("SELECT hash FROM entries WHERE seq = ?", (ENTRIES,)).fetchone()
    put(connection, seal(draft(3), ENTRIES + 1, last_hash, last.recorded_at))


def swapped(one: int, other: int) -> Tamper:
    return sql(
        f"UPDATE entries SET seq = -1 WHERE seq = {one}",
        f"UPDATE entries SET seq = {one} WHERE seq = {other}",
        f"UPDATE entries SET seq = {other} WHERE seq = -1",
    )


def forged_head(connection: sqlite3.Connection) -> None:
    head = sign_head(Ed25519PrivateKey.generate(), 12, "ab" * 32, NOW)
    connection.execute("INSERT INTO heads VALUES (?,?,?,?,?)", msgspec.structs.astuple(head))


TABLE: dict[str, tuple[Tamper, int, Kind]] = {
    "a word altered": (
        sql("UPDATE entries SET text = replace(text, 'line 5', 'line x') WHERE seq = 5"),
        5,
        Kind.ALTERED,
    ),
    "the first altered": (
        sql("UPDATE entries SET text = replace(text, 'line 1', 'line x') WHERE seq = 1"),
        1,
        Kind.ALTERED,
    ),
    "the last altered": (
        sql("UPDATE entries SET text = replace(text, 'line 20', 'x') WHERE seq = 20"),
        20,
        Kind.ALTERED,
    ),
    "the author altered": (
        sql("UPDATE entries SET text = replace(text, 'alice', 'bobby'), author = 'bobby@example.org' WHERE seq = 9"),
        9,
        Kind.ALTERED,
    ),
    "white space added": (sql("UPDATE entries SET text = text || ' ' WHERE seq = 5"), 5, Kind.ALTERED),
    "emptied": (sql("UPDATE entries SET text = '' WHERE seq = 5"), 5, Kind.ALTERED),
    "made a blob": (sql("UPDATE entries SET text = CAST(text AS BLOB) WHERE seq = 5"), 5, Kind.ALTERED),
    "made garbage": (sql("UPDATE entries SET text = 'é{' WHERE seq = 5"), 5, Kind.ALTERED),
    "hash altered": (sql("UPDATE entries SET hash = upper(hash) WHERE seq = 5"), 5, Kind.ALTERED),
    "altered and resealed": (altered_and_resealed(5), 5, Kind.ALTERED),
    "the last of a signed stretch altered and resealed": (altered_and_resealed(8), 8, Kind.ALTERED),
    "rewritten below a head": (rewritten_from(10), 9, Kind.REWRITTEN),
    "rewritten from the start": (rewritten_from(1), 1, Kind.REWRITTEN),
    "one removed": (sql("DELETE FROM entries WHERE seq = 5"), 5, Kind.REMOVED),
    "the first removed": (sql("DELETE FROM entries WHERE seq = 1"), 1, Kind.REMOVED),
    "several removed": (sql("DELETE FROM entries WHERE seq BETWEEN 5 AND 7"), 5, Kind.REMOVED),
    "removed and closed up": (
        sql("DELETE FROM entries WHERE seq = 5", "UPDATE entries SET seq = seq - 1 WHERE seq > 5"),
        5,
        Kind.REMOVED,
    ),
    "two swapped": (swapped(5, 6), 5, Kind.REORDERED),
    "two far ones swapped": (swapped(3, 12), 3, Kind.REORDERED),
    "one inserted": (inserted_after(5), 6, Kind.INSERTED),
    "the tail cut": (sql("DELETE FROM entries WHERE seq > 14"), 15, Kind.CUT),
    "everything removed": (sql("DELETE FROM entries"), 1, Kind.CUT),
    "the same append twice": (duplicated, ENTRIES + 1, Kind.DUPLICATE),
    "a forged head": (forged_head, 12, Kind.FORGED_HEAD),
    "a head's signature altered": (sql("UPDATE heads SET signature = 'AAAA' WHERE seq = 8"), 8, Kind.FORGED_HEAD),
    "a head moved": (sql("UPDATE heads SET seq = 9 WHERE seq = 8"), 9, Kind.FORGED_HEAD),
    "a head emptied": (sql("UPDATE heads SET signature = x'00' WHERE seq = 8"), 8, Kind.FORGED_HEAD),
    **{
        f"column {column}": (sql(f"UPDATE entries SET {column} = {value} WHERE seq = 5"), 5, Kind.COLUMN)
        for column, value in {
            "client": "'agent:node042:other'",
            "number": "5000",
            "type": "'refusal'",
            "scope": "'node:node041'",
            "author": "'bob@example.org'",
            "time": "'2020-01-01T00:00:00.000000Z'",
            "session": "'s2'",
        }.items()
    },
}


@pytest.mark.parametrize("name", TABLE)
def test_tampering_is_found(database: Path, name: str) -> None:
    tamper, seq, kind = TABLE[name]
    change(database, tamper)
    problem = audit(database).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (seq, kind), problem


def test_an_untouched_chain_is_good(database: Path) -> None:
    verdict = audit(database)
    assert verdict.ok
    assert (verdict.entries, verdict.last_seq, verdict.signed_seq, verdict.redacted) == (20, 20, 16, 0)


def test_what_was_cut_with_its_heads_only_a_kept_head_can_tell(database: Path) -> None:
    reader = Reader(database)
    kept = reader.all_heads()[-1]
    reader.close()
    change(database, sql("DELETE FROM entries WHERE seq > 10", "DELETE FROM heads WHERE seq > 10"))
    assert audit(database).ok
    problem = audit(database, kept).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (11, Kind.CUT)


def test_a_rewritten_chain_signed_anew_is_caught_by_a_kept_head(database: Path) -> None:
    """Even the keeper of the key can't undo what it has signed before."""
    reader = Reader(database)
    kept = reader.all_heads()[0]
    reader.close()

    def sign_anew(connection: sqlite3.Connection) -> None:
        rewritten_from(4)(connection)
        connection.execute("DELETE FROM heads")
        (entry_hash,) = connection.execute("SELECT hash FROM entries WHERE seq = 20").fetchone()
        head = sign_head(KEY, 20, entry_hash, NOW)
        connection.execute("INSERT INTO heads VALUES (?,?,?,?,?)", msgspec.structs.astuple(head))

    change(database, sign_anew)
    assert audit(database).ok
    problem = audit(database, kept).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (1, Kind.REWRITTEN)


def test_two_genuine_heads_that_disagree_convict_the_journal(database: Path) -> None:
    problem = audit(database, sign_head(KEY, 16, "ab" * 32, NOW)).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (16, Kind.REWRITTEN)


def test_a_strangers_anchor_is_named(database: Path) -> None:
    stranger = sign_head(Ed25519PrivateKey.generate(), 3, "ab" * 32, NOW)
    problem = audit(database, stranger).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (3, Kind.FORGED_HEAD)


def redacted(row: Row) -> Row:
    return Row(row.seq, row.hash, "", prev_hash=parse_entry(row.text, row.hash).prev_hash)


def rows_of(path: Path) -> list[Row]:
    reader = Reader(path)
    try:
        return list(reader.all_rows())
    finally:
        reader.close()


def test_redacted_entries_are_held_by_their_links(database: Path) -> None:
    rows = [redacted(row) if row.seq % 3 else row for row in rows_of(database)]
    assert verify(rows, [], lambda _: True).redacted == 14
    without = [row for row in rows if row.seq != 7]
    problem = verify(without, [], lambda _: True).problem
    assert problem is not None
    assert (problem.seq, problem.kind) == (7, Kind.REMOVED)


@given(st.data())
def test_any_single_change_of_text_is_found(data: st.DataObject) -> None:
    records, prev_hash = [], GENESIS_HASH
    for n in range(1, 6):
        records.append(seal(draft(n), n, prev_hash, NOW))
        prev_hash = records[-1].hash
    rows = [Row(r.seq, r.hash, r.text) for r in records]
    which = data.draw(st.integers(0, 4))
    place = data.draw(st.integers(0, len(rows[which].text) - 1))
    old = rows[which].text
    new = old[:place] + data.draw(st.characters()) + old[place + 1 :]
    rows[which] = msgspec.structs.replace(rows[which], text=new)
    problem = verify(rows, [], lambda _: True).problem
    assert (problem is None) == (new == old)
    assert problem is None or problem.seq == which + 1

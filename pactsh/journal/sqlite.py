"""The embedded store: one SQLite file, WAL, `synchronous=FULL`, group commit.

One thread writes. It takes every append that waits into one transaction and answers them
all after the commit has been synced, so many writers share one sync. Readers have
connections of their own, which WAL keeps out of the writer's way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from pactsh.errors import PactError
from pactsh.journal.chain import Record, Tip
from pactsh.journal.sqlite_read import Reader, to_store_error
from pactsh.journal.sqlite_write import Writer, open_database
from pactsh.journal.store import Outcome, Query, Row, Space, StoreError
from pactsh.model.entry import Draft, Head

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
MAX_BATCH = 4096


class _Append(NamedTuple):
    drafts: Sequence[Draft]
    future: asyncio.Future[Any]
    single: bool


class _AddHead(NamedTuple):
    head: Head
    future: asyncio.Future[Any]


_Answer = tuple["asyncio.Future[Any]", object]


class SqliteStore:
    """A `Store` in one file. Open it with `SqliteStore.open` in the loop that will use it."""

    kind = "sqlite"

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, writer: Writer) -> None:
        self._path = path
        self._loop = loop
        self._writer = writer
        self._tip = writer.tip
        self._queue: queue.SimpleQueue[_Append | _AddHead | None] = queue.SimpleQueue()
        self._waiters: set[asyncio.Future[None]] = set()
        self._closed = False
        self._local = threading.local()
        self._readers: list[Reader] = []
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="journal-read")
        self._thread = threading.Thread(target=self._write_all, name="journal-write", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path, *, clock: Callable[[], str]) -> SqliteStore:
        """Open or create the file; `clock` gives the time as `model.entry.Draft.time` has it.

        Raises `StoreError` when it can't be opened, `CorruptError` when it is damaged.
        """
        loop = asyncio.get_running_loop()

        def start() -> Writer:
            try:
                connection = open_database(path)
                try:
                    return Writer(connection, clock)
                except BaseException:
                    connection.close()
                    raise
            except sqlite3.Error as error:
                raise to_store_error(error, f"opening {path}") from error

        return cls(path, loop, await loop.run_in_executor(None, start))

    # -- writing

    async def append(self, draft: Draft) -> Record:
        """Keep one entry (see `Store.append`)."""
        return cast("Record", await self._submit(lambda f: _Append((draft,), f, single=True)))

    async def append_batch(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Keep several in one transaction (see `Store.append_batch`)."""
        if not drafts:
            return []
        return cast("list[Outcome]", await self._submit(lambda f: _Append(drafts, f, single=False)))

    async def add_head(self, head: Head) -> None:
        """Keep a signed head; the same number again keeps the first."""
        await self._submit(lambda f: _AddHead(head, f))

    def _submit(self, make: Callable[[asyncio.Future[Any]], _Append | _AddHead]) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError("the journal's store is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(make(future))
        return future

    def _write_all(self) -> None:
        """The writer thread: until the `None` of `close`."""
        stop = False
        while not stop:
            operations: list[_Append | _AddHead] = []
            first = self._queue.get()
            stop = first is None
            if first is not None:
                operations.append(first)
                stop = self._drain(operations)
            if operations:
                answers = self._commit(operations)
                self._loop.call_soon_threadsafe(self._deliver, answers, self._writer.tip)
        self._writer.close()

    def _drain(self, operations: list[_Append | _AddHead]) -> bool:
        """Take what else waits, up to `MAX_BATCH`; says whether the end was among it."""
        while len(operations) < MAX_BATCH:
            try:
                operation = self._queue.get_nowait()
            except queue.Empty:
                return False
            if operation is None:
                return True
            operations.append(operation)
        return False

    def _commit(self, operations: Sequence[_Append | _AddHead]) -> list[_Answer]:
        try:
            try:
                return self._transact(operations)
            except sqlite3.IntegrityError:
                # Some number is there already though nobody here knew it (see `Writer.add`).
                self._writer.abandon()
                self._writer.is_careful = True
                return self._transact(operations)
            finally:
                self._writer.is_careful = False
        except sqlite3.Error as error:
            return self._failed(operations, to_store_error(error, f"writing {self._path}"))
        except Exception as error:  # noqa: BLE001  the top of this thread: it must outlive whatever goes wrong
            _log.exception("journal: append failed")
            return self._failed(operations, StoreError("the journal failed to write", detail=str(error)))

    def _transact(self, operations: Sequence[_Append | _AddHead]) -> list[_Answer]:
        """All of `operations` in one transaction; the answers are good once this returns."""
        writer = self._writer
        answers: list[_Answer] = []
        writer.begin()
        for operation in operations:
            if isinstance(operation, _AddHead):
                writer.add_head(operation.head)
                answers.append((operation.future, None))
            elif operation.single:
                answers.append((operation.future, writer.add(operation.drafts[0])))
            else:
                answers.append((operation.future, [writer.add(draft) for draft in operation.drafts]))
        writer.commit()
        return answers

    def _failed(self, operations: Sequence[_Append | _AddHead], error: PactError) -> list[_Answer]:
        _log.error("journal: %s (%s); %d appends refused", error.message, error.detail, len(operations))
        self._writer.abandon()
        return [(operation.future, error) for operation in operations]

    def _deliver(self, answers: Sequence[_Answer], tip: Tip) -> None:
        for future, result in answers:
            if future.done():  # its caller has gone
                continue
            if isinstance(result, PactError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if tip.seq > self._tip.seq:
            self._tip = tip
            waiters, self._waiters = self._waiters, set()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    # -- reading

    async def last(self) -> Tip:
        """The last durable entry."""
        return self._tip

    async def wait_beyond(self, seq: int) -> int:
        """Wait until there is an entry after `seq`."""
        while self._tip.seq <= seq:
            if self._closed:
                raise StoreError("the journal is stopping")
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        return self._tip.seq

    async def get(self, seq: int) -> Record | None:
        """The entry with this number."""
        return await self._read(partial(Reader.get, seq=seq))

    async def by_number(self, client: str, number: int) -> Record | None:
        """The entry of a client's append."""
        return await self._read(partial(Reader.by_number, client=client, number=number))

    async def query(self, query: Query) -> list[Record]:
        """Entries that match."""
        return await self._read(partial(Reader.query, query=query))

    async def rows(self, from_seq: int, limit: int) -> list[Row]:
        """Entries as kept, with their columns."""
        return await self._read(partial(Reader.rows, from_seq=from_seq, limit=limit))

    async def heads(self, from_seq: int = 0, limit: int = 1000) -> list[Head]:
        """Heads from this number on."""
        return await self._read(partial(Reader.heads, from_seq=from_seq, limit=limit))

    async def last_head(self) -> Head | None:
        """The newest head."""
        return await self._read(Reader.last_head)

    async def space(self) -> Space:
        """The database with its log and index of it, and what is left on its disk."""
        return await self._loop.run_in_executor(self._pool, self._space)

    def _space(self) -> Space:
        size = 0
        try:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    size += os.stat(f"{self._path}{suffix}").st_size
            disk = os.statvfs(self._path.parent)
        except OSError as error:
            raise StoreError(f"the journal's disk can't be seen: {error.strerror}", detail=str(error)) from error
        return Space(size, disk.f_bavail * disk.f_frsize)

    async def _read(self, read: Callable[[Reader], _T]) -> _T:
        if self._closed:
            raise StoreError("the journal's store is closed")
        return await self._loop.run_in_executor(self._pool, self._with_reader, read)

    def _with_reader(self, read: Callable[[Reader], _T]) -> _T:
        reader: Reader | None = getattr(self._local, "reader", None)
        try:
            if reader is None:
                reader = self._local.reader = Reader(self._path)
                self._readers.append(reader)
            return read(reader)
        except sqlite3.Error as error:
            raise to_store_error(error, f"reading {self._path}") from error

    async def close(self) -> None:
        """Commit what waits, then close; later calls raise `StoreError`."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._pool.shutdown(wait=True)
        for reader in self._readers:
            reader.close()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(StoreError("the journal is stopping"))
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

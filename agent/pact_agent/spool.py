"""The spool: where an entry is safe before anything happens, on the way to the journal.

`append` returns once the entry is on the medium. Appends that wait at the same time share one write and one
sync, made by a thread of the spool's own. Space is reserved at start, so a full disk does not stop recording.
What can't be recorded is refused (`SpoolFull`, `SpoolError`), and so must be what it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from pact_agent.clock import Clock, timestamp
from pact_agent.heads import HeadFile
from pact_agent.records import Unnumbered, decode_draft, encode_draft, record_bytes
from pact_agent.segments import Disk
from pact_agent.spoolfiles import SpoolError, SpoolFull, lock_spool
from pact_agent.spoolstore import Recovery, open_store, prepare_directory
from pactsh.model.entry import Author, Draft, Head

__all__ = ["Level", "Recovery", "Spool", "SpoolError", "SpoolFull", "Unnumbered"]

log = logging.getLogger(__name__)

Level: TypeAlias = Literal["normal", "read-only", "unwritable"]
LevelCallback: TypeAlias = Callable[[Level, Level, str], None]

# Read-only from 75 % on, normal again from 50 % down: else each entry at the edge would change the level.
READ_ONLY_AT = 0.75
NORMAL_AT = 0.50
# The last part is for entries that end what has begun: a command that ran must get its outcome.
LAST_WORDS = frozenset({"outcome", "service.done", "session.end", "audit.degraded", "audit.restored", "agent.stop"})
LAST_WORDS_SHARE = 0.04
PROBE_INTERVAL_S = 1.0
MAX_BATCH = 256


@dataclass(slots=True)
class _Waiting:
    payload: bytes
    last_word: bool
    future: asyncio.Future[int]
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    head: Head | None


_Item: TypeAlias = "_Waiting | _Acknowledged | None"
_Settled: TypeAlias = "list[tuple[asyncio.Future[int], int | SpoolError]]"


class Spool:
    """An agent's spool. Opening it recovers what a crash left; `recovery` says what was found.

    Raises `SpoolError` when another process has it, it belongs to another node, or it can't be set up. Apart from
    the constructor and `close`, methods are for the thread of the event loop.
    """

    def __init__(
        self,
        directory: Path,
        *,
        node: str,
        reserve_bytes: int = 64 << 20,
        clock: Clock,
        disk: Disk | None = None,
    ) -> None:
        self._node = node
        self._clock = clock
        lock: int | None = None
        try:
            prepare_directory(directory)
            lock = lock_spool(directory)
            self._store, self.recovery = open_store(directory, node, reserve_bytes, disk or Disk())
            self._heads = HeadFile(directory / "heads.jsonl")
        except OSError as error:
            if lock is not None:
                os.close(lock)
            raise SpoolError(f"{directory}: can't open the spool: {error.strerror or error}") from error
        except SpoolError:
            if lock is not None:
                os.close(lock)
            raise
        self._lock_fd = lock
        self.client = self._store.client
        self.arrived = asyncio.Event()
        self.awaited = asyncio.Event()
        """Set when an entry has been recorded; for the uplink, which clears it."""
        self._error = ""
        self._level: Level = "normal"
        self._watcher: tuple[asyncio.AbstractEventLoop, LevelCallback] | None = None
        self._waiters: list[tuple[int, asyncio.Future[bool]]] = []
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._closed = False
        self._update_level()
        self._thread = threading.Thread(target=self._write_forever, name="spool", daemon=True)
        self._thread.start()

    # The agent's side

    async def append(self, draft: Unnumbered) -> int:
        """Record `draft`; returns its number once it is on the medium. Raises `SpoolFull`, `SpoolError`."""
        if self._closed:
            raise SpoolError("the spool is closed")
        try:
            payload = encode_draft(draft)
        except ValueError as error:
            raise SpoolError(f"can't record {draft.type}: {error}") from error
        if record_bytes(len(payload)) > self._store.largest:
            raise SpoolError(f"can't record {draft.type}: {len(payload)} bytes are too many for this spool")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._queue.put(_Waiting(payload, draft.type in LAST_WORDS, future, loop))
        return await future

    def level(self) -> Level:
        """What may be done at the moment: everything, class `read` alone, or nothing."""
        return self._level

    def watch_level(self, callback: LevelCallback) -> None:
        """Have `callback(old, new, why)` called in the running loop at each change of the level."""
        self._watcher = (asyncio.get_running_loop(), callback)

    def pending(self) -> int:
        """How many entries the journal has not acknowledged yet."""
        return self._store.last - self._store.acked

    def heads(self) -> tuple[Head, ...]:
        """The journal's signed heads this agent has seen, oldest first."""
        return self._heads.heads()

    async def wait_acknowledged(self, number: int, timeout_s: float) -> bool:
        """Wait until the journal has entry `number`; false when it hasn't within `timeout_s`."""
        if self._store.acked >= number:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiter = (number, future)
        self._waiters.append(waiter)
        self.awaited.set()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return False
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if not self._waiters:
                self.awaited.clear()

    # The uplink's side

    def acknowledged(self) -> int:
        """The number up to which the journal has everything."""
        return self._store.acked

    def read_from(self, number: int, limit: int) -> list[Draft]:
        """At most `limit` entries from `number` on, none that is not yet on the medium or already acknowledged.

        In the place of an entry that can't be read stands an `audit.degraded` one that says so.
        """
        start = max(number, self._store.acked + 1)
        return [self._draft(n) for n in range(start, min(start + limit, self._store.last + 1))]

    def _draft(self, number: int) -> Draft:
        payload = self._store.read(number)
        if payload is not None:
            try:
                return decode_draft(payload).numbered(self.client, number)
            except (msgspec.ValidationError, ValueError):
                log.error("spool: entry %d is whole but not an entry", number)
        return Unnumbered(
            time=timestamp(self._clock.now()),
            type="audit.degraded",
            scope=f"node:{self._node}",
            author=Author(principal=f"agent:{self._node}", kind="agent"),
            message=f"entry {number} of {self.client} can't be read from the spool",
            body={"reason": "unreadable", "client": self.client, "number": number},
        ).numbered(self.client, number)

    def acknowledge(self, number: int, head: Head | None) -> None:
        """Take everything up to `number` as durable in the journal; keep `head`.

        Written down soon, not at once: after a crash a little more is sent again, and the journal knows it.
        """
        self._store.acknowledge(number)
        acked = self._store.acked
        for waiter in [w for w in self._waiters if w[0] <= acked]:
            self._waiters.remove(waiter)
            if not waiter[1].done():
                waiter[1].set_result(True)
        self._queue.put(_Acknowledged(head))

    def close(self) -> None:
        """Record what is waiting, write down the acknowledgement, give up the lock."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._store.close()
        os.close(self._lock_fd)

    # The writer thread

    def _write_forever(self) -> None:
        while True:
            items = self._collect()
            waiting = [i for i in items if isinstance(i, _Waiting)]
            if waiting:
                self._write(waiting)
            elif self._error:
                self._probe()
            for item in items:
                if isinstance(item, _Acknowledged) and item.head is not None:
                    self._keep(lambda head=item.head: self._heads.add(head))  # type: ignore[misc]
            stop = None in items
            self._keep(lambda stop=stop: self._store.keep_acknowledged(sync=stop))  # type: ignore[misc]
            self._update_level()
            if stop:
                return

    def _collect(self) -> list[_Item]:
        """Everything that waits, at least one item; empty when it is time to probe a failed disk."""
        items: list[_Item] = []
        with contextlib.suppress(queue.Empty):
            items.append(self._queue.get(timeout=PROBE_INTERVAL_S if self._error else None))
            while len(items) < MAX_BATCH:
                items.append(self._queue.get_nowait())
        return items

    def _write(self, waiting: list[_Waiting]) -> None:
        """Write a batch, segment by segment, and settle each future when its entry is safe or refused."""
        budget = self._store.free_bytes()
        reserved = int(self._store.total * LAST_WORDS_SHARE)
        ready: list[_Waiting] = []
        settled: list[tuple[_Waiting, int | SpoolError]] = []
        for item in waiting:
            need = record_bytes(len(item.payload))
            if budget - need < (0 if item.last_word else reserved):
                settled.append((item, SpoolFull("the spool is full: the journal has been away for too long")))
                continue
            budget -= need
            ready.append(item)
        while ready:
            try:
                count = self._store.write([i.payload for i in ready])
            except SpoolFull as error:
                settled.append((ready.pop(0), error))
                continue
            except OSError as error:
                self._error = error.strerror or str(error)
                settled += [(i, SpoolError(f"can't write the spool: {self._error}")) for i in ready]
                break
            self._error = ""
            first = self._store.last - count + 1
            settled += [(item, first + index) for index, item in enumerate(ready[:count])]
            del ready[:count]
        self._update_level()  # before those who wait are told: they may look at it
        self._settle(settled)

    def _settle(self, settled: list[tuple[_Waiting, int | SpoolError]]) -> None:
        for loop in {item.loop for item, _ in settled}:
            outcomes = [(item.future, outcome) for item, outcome in settled if item.loop is loop]
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._deliver, outcomes)

    def _deliver(self, outcomes: _Settled) -> None:
        for future, outcome in outcomes:
            if future.done():
                continue  # the one who waited was cancelled; the entry is recorded all the same
            if isinstance(outcome, SpoolError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self.arrived.set()

    def _probe(self) -> None:
        try:
            self._store.probe()
        except OSError as error:
            self._error = error.strerror or str(error)
        else:
            self._error = ""

    def _keep(self, write: Callable[[], None]) -> None:
        """Write something that may lag behind; a failure is logged and tried again with the next one."""
        try:
            write()
        except OSError as error:
            log.warning("spool: can't write: %s", error)

    def _update_level(self) -> None:
        free = self._store.free_bytes()
        used = 1 - free / self._store.total
        old = self._level
        if self._error:
            self._level, why = "unwritable", self._error
        elif free < self._store.total * LAST_WORDS_SHARE:
            self._level, why = "unwritable", "the spool is full"
        elif used >= READ_ONLY_AT or (used > NORMAL_AT and old == "read-only"):
            self._level, why = "read-only", f"{used:.0%} of the spool is used"
        else:
            self._level, why = "normal", f"{used:.0%} of the spool is used"
        if self._level == old:
            return
        log.warning("spool: %s, was %s: %s", self._level, old, why)
        if self._watcher is not None:
            loop, callback = self._watcher
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(callback, old, self._level, why)

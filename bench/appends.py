"""Journal appends: one writer and 64, on the store alone and through gRPC with TLS."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import CaseError, median
from bench.report import Row, Section
from bench.system import BIN
from pactsh.auth.ca import Authority, new_agent_request
from pactsh.journal.ledger import now_text
from pactsh.journal.sqlite import SqliteStore
from pactsh.model.entry import Author, Draft, JsonObject
from pactsh.rpc.client import Journal

TITLE = "Journal appends, each acknowledged after it is durable"
WRITERS = 64
TARGET = 20.0
READY_TIMEOUT_S = 20

BATCH = 32

Append = Callable[[list[Draft]], Awaitable[object]]

_STAGE: JsonObject = {"argv": ["/usr/bin/uname", "-a"], "class": "read", "builtin": False}
_BODY: JsonObject = {
    "id": "5b0e6a1c-17",
    "line": "uname -a",
    "action": "shell",
    "class": "read",
    "dimension": None,
    "decision": {"verdict": "allow", "code": "", "rule": "catalog:uname", "degraded": False},
    "stages": [_STAGE],
    "cwd": "/",
}


def measure(directory: Path, rounds: int, seconds: float) -> Section:
    """`rounds` turns of `seconds` each for each of the four cases, interleaved."""
    rates = asyncio.run(_measure(directory, rounds, seconds))
    one, many = median(rates["store, one writer"]), median(rates[f"store, {WRITERS} writers"])
    wire_one, wire_many = median(rates["gRPC, one writer"]), median(rates[f"gRPC, {WRITERS} writers"])
    syncs = median(rates["write and fdatasync, nothing else"])
    batched = median(rates["gRPC, batches"])

    def row(name: str, value: float, against: float, *, judged: bool = False) -> Row:
        limit = TARGET if judged else None
        return Row(name, value, "/s", value / against, limit=limit, at_least=True, judged="ratio", samples=rounds)

    rows = [
        Row("write and fdatasync, nothing else", syncs, "/s", samples=rounds),
        row("store, one writer", one, one),
        row(f"store, {WRITERS} writers", many, one, judged=True),
        row("gRPC, one writer (ratio: to the store)", wire_one, one),
        row(f"gRPC, {WRITERS} writers (ratio: to one writer)", wire_many, wire_one, judged=True),
        row(f"gRPC, {WRITERS} writers (ratio: to the store)", wire_many, many),
        row(f"gRPC, {WRITERS} writers, {BATCH} a message (ratio: to the store)", batched, many),
    ]
    waiting = f"a sync takes {1e3 / syncs:.2f} ms on this disk, an append of one writer {1e3 / one:.2f} ms"
    notes = [
        "one draft at a time and writer unless it says otherwise: each waits for its acknowledgement",
        f"{waiting}: only the wait for the disk can be shared by many writers",
    ]
    return Section(TITLE, rows, notes)


async def _measure(directory: Path, rounds: int, seconds: float) -> dict[str, list[float]]:
    store = await SqliteStore.open(directory / "bare.db", clock=now_text)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        fleet = stack.enter_context(_journal(directory))
        writers = [await fleet.writer(stack, number) for number in range(WRITERS)]
        bare = [_Writer(lambda drafts: store.append(drafts[0]), number, "bare") for number in range(WRITERS)]
        cases: dict[str, list[_Writer]] = {
            "store, one writer": bare[:1],
            "gRPC, one writer": writers[:1],
            f"store, {WRITERS} writers": bare,
            f"gRPC, {WRITERS} writers": writers,
            "gRPC, batches": writers,
        }
        rates: dict[str, list[float]] = {name: [] for name in cases}
        rates["write and fdatasync, nothing else"] = []
        for number in range(rounds + 1):
            turn = {name: await _rate(case, seconds, BATCH if "batch" in name else 1) for name, case in cases.items()}
            turn["write and fdatasync, nothing else"] = _syncs(directory / "sync", seconds / 2)
            if number:  # the first turn fills caches
                for name, rate in turn.items():
                    rates[name].append(rate)
        return rates


class _Writer:
    """One client that appends without end, one draft at a time."""

    def __init__(self, append: Append, number: int, prefix: str) -> None:
        self._append = append
        self._node = f"node{number:03}"
        self._client = f"agent:{self._node}:{prefix}"
        self._number = 0
        self._author = Author("admin@example.org", ("pact-platform-admin",))

    async def run(self, until: float, batch: int) -> int:
        count = 0
        while time.perf_counter() < until:
            await self._append([self._draft() for _ in range(batch)])
            count += batch
        return count

    def _draft(self) -> Draft:
        """Made as cheaply as can be: the writers' own work is not what is measured."""
        self._number += 1
        return Draft(
            client=self._client,
            number=self._number,
            time="2026-01-31T12:00:00.000000Z",
            type="intent",
            scope=f"node:{self._node}",
            author=self._author,
            session="5b0e6a1c-7f63-4b0e-9d7b-0d5d3a1f8c11",
            body=_BODY,
        )


async def _rate(writers: list[_Writer], seconds: float, batch: int) -> float:
    started = time.perf_counter()
    counts = await asyncio.gather(*(writer.run(started + seconds, batch) for writer in writers))
    return sum(counts) / (time.perf_counter() - started)


def _syncs(path: Path, seconds: float) -> float:
    """How often this disk syncs an appended 4 KiB a second: what one writer can't exceed."""
    block, count = bytes(4096), 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        os.write(fd, block)
        os.fdatasync(fd)
        count += 1
    spent = time.perf_counter() - started
    os.close(fd)
    return count / spent


@dataclass(frozen=True, slots=True)
class _Fleet:
    """A journal that is up, and the authority that lets agents speak to it."""

    endpoint: str
    authority: Authority

    async def writer(self, stack: AsyncExitStack, number: int) -> _Writer:
        """A writer with a certificate, a connection and a stream of its own."""
        node = f"node{number:03}"
        key, request = new_agent_request(node)
        certificate = self.authority.agent_certificate(node, request)
        journal = Journal(self.endpoint, ca=self.authority.ca_pem, cert=certificate, key=key)
        await stack.enter_async_context(journal)
        stream = await stack.enter_async_context(journal.open_append())

        async def append(drafts: list[Draft]) -> None:
            await stream.send(drafts)
            acks, _head = await stream.receive()
            if len(acks) != len(drafts) or any(ack.error is not None for ack in acks):
                raise CaseError(f"an append was refused: {acks}")

        writer = _Writer(append, number, "wire")
        await writer.run(time.perf_counter() + 0.01, 1)  # connects
        return writer


@contextmanager
def _journal(directory: Path) -> Iterator[_Fleet]:
    data, ready = directory / "journal", directory / "ready.json"
    options = ("--listen", "127.0.0.1:0", "--listen-agents", "127.0.0.1:0", "--ready-file", str(ready))
    with open(directory / "journal.log", "wb") as log:
        process = subprocess.Popen(
            [BIN / "pact-journal", "serve", "--data-dir", data, *options], stdout=log, stderr=log, cwd="/"
        )
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CaseError(f"pact-journal is not ready: {(directory / 'journal.log').read_text()[-800:]}")
            time.sleep(0.05)
        yield _Fleet(json.loads(ready.read_text())["agents"], Authority.load(data / "ca"))
    finally:
        process.terminate()
        process.wait()

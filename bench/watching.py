"""`pact watch` at 1,000 events a second: what it costs, and that a kill -9 of the journal loses and repeats nothing."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Self

from bench.measure import CaseError, median, quantile
from bench.report import Row, Section
from bench.serving import Serving, serving
from bench.system import BIN
from pactsh.auth.ca import new_agent_request
from pactsh.errors import PactError
from pactsh.model.entry import Author, Draft, JsonObject
from pactsh.rpc.append import AppendStream
from pactsh.rpc.client import Journal
from pactsh.rpc.wire import Ack

TITLE = "pact watch of 1,000 events a second, over gRPC with TLS"
RATE, AGENTS = 1000, 20
_SEQ = re.compile(rb'(?:\{"seq": )? *(\d+)')
_PATIENCE_S = 60.0
_CLOCK = os.sysconf("SC_CLK_TCK")


def measure(directory: Path, seconds: float) -> Section:
    """A run as text and one as JSON, one with a kill -9 of the journal in the middle, and a reader that sleeps."""
    with serving(directory / "watch") as journal:
        rows = [
            *_peace(journal, "text", (), seconds),
            *_peace(journal, "JSON", ("--output", "json"), seconds),
            *_killed(journal, seconds),
            *_asleep(journal),
        ]
    notes = [
        f"{AGENTS} agents append one entry after the other; delays: from there to the line printed",
        "CPU is of one core; the journal's is for the appends as well",
        "every run compares what was printed with what was appended: none missing, none twice, in order",
    ]
    return Section(TITLE, rows, notes)


def _peace(journal: Serving, name: str, options: tuple[str, ...], seconds: float) -> Iterator[Row]:
    agents = _Agents(journal)
    with _watching(journal, options) as watch:
        agents.run(1)  # the watch is there when it has come
        watch.wait_for(agents)
        before, started = (_cpu_s(watch.pid), _cpu_s(journal.pid)), time.monotonic()
        agents.run(round(seconds * RATE))
        watch.wait_for(agents)
        spent = time.monotonic() - started
        used = (_cpu_s(watch.pid) - before[0], _cpu_s(journal.pid) - before[1])
    delays = watch.compared(agents)[1:]
    yield Row(f"{name}: events printed", len(delays) / spent, "/s", limit=0.95 * RATE, at_least=True)
    yield Row(f"{name}: delay, median", 1e3 * median(delays), "ms", samples=len(delays))
    yield Row(f"{name}: delay, p99", 1e3 * quantile(delays, 0.99), "ms", samples=len(delays))
    yield Row(f"{name}: CPU of pact watch", 100 * used[0] / spent, "%")
    yield Row(f"{name}: CPU of pact-journal", 100 * used[1] / spent, "%")


def _killed(journal: Serving, seconds: float) -> Iterator[Row]:
    agents = _Agents(journal)
    with _watching(journal, ()) as watch:
        agents.run(1)
        watch.wait_for(agents)
        appending = threading.Thread(target=agents.run, args=(round(seconds * RATE),))
        appending.start()
        time.sleep(seconds / 2)
        journal.kill()
        killed = time.monotonic()
        journal.start()
        up = time.monotonic()
        appending.join()
        watch.wait_for(agents)
    watch.compared(agents)
    first = min(at for _, at in watch.seen if at > up)
    yield Row("kill -9 in the middle: events missing or twice", 0, "", limit=0)
    yield Row("kill -9 in the middle: the next event after it", first - killed, "s")
    yield Row("kill -9 in the middle: of that the journal's start", up - killed, "s")


def _asleep(journal: Serving) -> Iterator[Row]:
    """A reader that stops reading: what is on its way fills up with the first 40 MB, and no more with the next."""
    _Agents(journal, 8000).run(5000, 50)  # what the appends themselves take
    agents = _Agents(journal, 8000)
    with _watching(journal, ("--output", "json")) as watch:
        agents.run(1)
        watch.wait_for(agents)
        watch.awake.clear()
        agents.run(5000, 50)
        journal_had, watch_had = _resident(journal.pid), _resident(watch.pid)
        agents.run(5000, 50)
        journal_has, watch_has = _resident(journal.pid), _resident(watch.pid)
        watch.awake.set()
        watch.wait_for(agents)
    watch.compared(agents)
    yield Row("reader asleep, 40 MB more: the journal grows by", (journal_has - journal_had) / 1e6, "MB", limit=20.0)
    yield Row("reader asleep, 40 MB more: pact watch grows by", (watch_has - watch_had) / 1e6, "MB", limit=20.0)


class _Agents:
    """Agents that append one event after the other, `RATE` a second together, and again what was not acknowledged."""

    _runs = 0

    def __init__(self, journal: Serving, padding: int = 0) -> None:
        _Agents._runs += 1
        self._journal, self._run_name, self._padding = journal, f"bench-{_Agents._runs}", "x" * padding
        self._proofs = []
        for number in range(AGENTS):
            key, request = new_agent_request(f"node{number:03}")
            self._proofs.append((journal.authority.agent_certificate(f"node{number:03}", request), key))
        self._numbers = [0] * AGENTS
        self.sent: dict[int, float] = {}  # an event's number in the journal, and when it was handed over
        self.failed = ""

    def run(self, count: int, batch: int = 1) -> None:
        """Append so many, a few more at most."""
        asyncio.run(self._run(count, batch))

    async def _run(self, count: int, batch: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(AGENTS, count)):
                    group.create_task(self._agent(number, -(-count // AGENTS), batch))
        except* (PactError, CaseError) as errors:
            self.failed = str(errors.exceptions[0])

    async def _agent(self, number: int, count: int, batch: int) -> None:
        certificate, key = self._proofs[number]
        pace = AGENTS / RATE
        due = time.monotonic() + pace * number / AGENTS
        deadline = due + count * pace + _PATIENCE_S
        at, ca = self._journal.agents, self._journal.authority.ca_pem
        async with (
            Journal(at, ca=ca, cert=certificate, key=key, timeout_s=5) as journal,
            _Appending(journal) as appending,
        ):
            for first in range(0, count, batch):
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                due += pace * batch
                drafts = [self._draft(number) for _ in range(min(batch, count - first))]
                now = time.monotonic()
                for ack in await appending.send(drafts, deadline):
                    self.sent[ack.seq] = now

    def _draft(self, agent: int) -> Draft:
        node = f"node{agent:03}"
        self._numbers[agent] += 1
        body: JsonObject = {"kind": "interactive", "source": "ssh", "peer": "10.0.0.9"}
        return Draft(
            client=f"agent:{node}:{self._run_name}",
            number=self._numbers[agent],
            time="2026-01-31T12:00:00.000000Z",
            type="session.start",
            scope=f"node:{node}",
            author=Author("admin@example.org", ("pact-platform-admin",)),
            session=f"{node}-{self._numbers[agent]}",
            body=body | ({"padding": self._padding} if self._padding else {}),
        )


class _Appending:
    """A stream of appends that is opened again after it broke, as an agent does."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._stack = AsyncExitStack()
        self._stream: AppendStream | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def send(self, drafts: list[Draft], deadline: float) -> list[Ack]:
        """Returns when all are durable; raises `CaseError` when that takes too long, or they are refused."""
        while True:
            try:
                if self._stream is None:
                    self._stream = await self._stack.enter_async_context(self._journal.open_append())
                await self._stream.send(drafts)
                acks, _head = await self._stream.receive()
                if any(ack.error is not None for ack in acks):
                    raise CaseError(f"an append was refused: {acks}")
                return acks
            except PactError as error:
                if time.monotonic() > deadline:
                    raise CaseError(f"no append in time: {error.message}") from error
                self._stream = None
                await self._stack.aclose()
                await asyncio.sleep(0.05)


class _Watch:
    """A `pact watch` and what it printed, and when."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self.pid = process, process.pid
        self.seen: list[tuple[int, float]] = []  # an event's number in the journal, and when it was printed
        self.awake = threading.Event()
        self.awake.set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = _SEQ.match(line)
            self.seen.append((int(found[1]) if found else -1, time.monotonic()))
            self.awake.wait()

    def wait_for(self, agents: _Agents) -> None:
        """Until all that was appended has been printed."""
        deadline = time.monotonic() + _PATIENCE_S
        while len(self.seen) < len(agents.sent):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise CaseError(f"pact watch printed {len(self.seen)} of {len(agents.sent)} events")
            time.sleep(0.01)

    def compared(self, agents: _Agents) -> list[float]:
        """The delays; raises `CaseError` when something is missing, twice or out of order."""
        if agents.failed:
            raise CaseError(agents.failed)
        printed, wanted = [seq for seq, _ in self.seen], sorted(agents.sent)
        if printed != wanted:
            wrong = next((i for i, (a, b) in enumerate(zip(printed, wanted, strict=False)) if a != b), len(wanted) - 1)
            raise CaseError(f"pact watch: seq:{wanted[wrong]} is missing, or another came in its place")
        return [at - agents.sent[seq] for seq, at in self.seen]


@contextmanager
def _watching(journal: Serving, options: tuple[str, ...]) -> Iterator[_Watch]:
    since = asyncio.run(_last(journal)) + 1
    command = [str(BIN / "pact"), "watch", "--from", str(since), "--type", "session.start", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=journal.environ()) as process:
        try:
            yield _Watch(process)
        finally:
            process.kill()


async def _last(journal: Serving) -> int:
    async with Journal(journal.endpoint, ca=journal.authority.ca_pem, token=journal.token()) as admin:
        newest = await admin.list(1)
        return newest[0].seq if newest else 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

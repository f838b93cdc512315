"""kill -9 of the agent or the journal at random moments: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from pactsh.model.entry import Entry
from tests.e2e.site import Site, site
from tests.pact_agent.localnode import BIN

KILLS = int(os.environ.get("PACT_TEST_KILLS", "200"))
SEED = 20261123
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


class Typist:
    """Types numbered lines into the node's shell for as long as it is let, and notes what it was told."""

    def __init__(self, where: Site) -> None:
        self._site = where
        self.next = 0
        self.started: set[int] = set()
        self.ended: set[int] = set()
        self.stop = asyncio.Event()

    async def run(self) -> None:
        while not self.stop.is_set():
            try:
                await asyncio.to_thread(self._session)
            except (OSError, AssertionError):
                await asyncio.sleep(0.02)  # the agent is down; it comes back

    def _session(self) -> None:
        with self._site.connect() as wire:
            wire.sock.settimeout(60)
            wire.send({"op": "session", "kind": "script", "term": "dumb"})
            wire.until("session")
            null = os.open(os.devnull, os.O_RDWR)
            try:
                while not self.stop.is_set():
                    number, self.next = self.next, self.next + 1
                    wire.send({"op": "run", "line": f"echo line-{number}", "fds": 3}, (null, null, null))
                    wire.until("started")
                    self.started.add(number)
                    assert wire.until("exit")["status"] == 0
                    self.ended.add(number)
            finally:
                os.close(null)


async def killings(where: Site, typist: Typist, kills: int) -> None:
    chance = random.Random(SEED)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.0, 0.4))
        if chance.random() < 0.5:
            await where.kill_agent()
            await asyncio.sleep(chance.uniform(0.0, 0.05))
            await where.start_agent()
        else:
            await where.kill_journal()
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            await where.start_journal()
    typist.stop.set()


async def everything(where: Site) -> list[Entry]:
    """All entries, oldest first, a page at a time."""
    entries: list[Entry] = []
    before = 0
    while page := await where.journal.client().list(1000, before_seq=before):
        entries += page
        before = page[-1].seq
        if before == 1:
            break
    return entries[::-1]


def number_of(entry: Entry) -> int:
    return int(str((entry.body or {})["line"]).removeprefix("echo line-"))


def check(entries: list[Entry], typist: Typist) -> None:
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    doubled = [pair for pair, count in Counter((e.client, e.number) for e in entries).items() if count > 1]
    assert doubled == []
    intents = [e for e in entries if e.type == "intent"]
    times = Counter(number_of(e) for e in intents)
    assert [n for n, count in times.items() if count > 1] == []
    assert sorted(typist.started - set(times)) == [], "started, but not on record"
    line_of = {(e.body or {})["id"]: number_of(e) for e in intents}
    outcomes = Counter(line_of[(e.body or {})["id"]] for e in entries if e.type == "outcome")
    assert sorted(typist.ended - set(outcomes)) == [], "ended, but its outcome is not on record"
    assert [n for n, count in outcomes.items() if count > 1] == []


async def scenario(directory: Path, kills: int) -> Typist:
    async with site(directory) as where:
        typist = Typist(where)
        typing = asyncio.create_task(typist.run())
        await killings(where, typist, kills)
        await typing
        await where.drained()
        check(await everything(where), typist)
        verified = await asyncio.to_thread(
            subprocess.run,
            [str(BIN / "pact"), "log", "--verify"],
            env={"PACT_AGENT_SOCKET": str(where.agent.socket) if where.agent else "", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
        return typist


def test_kill_9_at_200_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    typist = asyncio.run(scenario(tmp_path / "s", KILLS))
    assert len(typist.ended) > KILLS

"""What the journal refuses, as values; over the wire it is in test_revoking."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pactsh.errors import AuthError
from pactsh.journal.revocations import Proof, Revocations
from pactsh.model.revocation import Key, Revocation

T = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
S = T.timestamp()


class World:
    """Revocations with a clock that a test sets."""

    def __init__(self) -> None:
        self.now = T
        self.known: dict[Key, Revocation] = {}
        self.revocations = Revocations(self.known, lambda: self.now)

    def revoke(self, kind: str, subject: str, *, kept: bool = True) -> Revocation:
        made = self.revocations.begin(kind, subject, "root@org", "lost")
        if kept:
            self.known[made.key] = made
        self.revocations.end(made, kept=kept)
        return made

    def counts(self, kind: str, subject: str, issued_at: float) -> bool:
        return self.revocations.find(Proof(kind, subject, issued_at)) is None


def test_the_second_of_the_revocation_does_not_count() -> None:
    async def run() -> None:
        world = World()
        world.revoke("person", "alice@org")
        floor = float(int(S))
        assert not world.counts("person", "alice@org", floor - 3600)
        assert not world.counts("person", "alice@org", floor)
        assert not world.counts("person", "ALICE@org", floor)
        assert world.counts("person", "alice@org", floor + 1)
        assert world.counts("person", "bob@org", floor)
        assert world.counts("node", "alice@org", floor)

    asyncio.run(run())


def test_it_is_in_force_before_its_entry_is_kept_and_not_after_that_failed() -> None:
    async def run() -> None:
        world = World()
        made = world.revocations.begin("person", "alice@org", "root@org", "lost")
        with pytest.raises(AuthError, match="alice@org was revoked by root@org at 2026-01-31T12:00:00Z") as caught:
            world.revocations.check(Proof("person", "alice@org", S))
        assert (caught.value.hint, "lost" in caught.value.message) == ("pact login", False)
        world.revocations.end(made, kept=False)
        world.revocations.check(Proof("person", "alice@org", S))

    asyncio.run(run())


def test_what_an_issuer_dates_ahead_is_taken_back_too() -> None:
    """Its clock is 20 s ahead: what it issued just now has a date that is to come."""

    async def run() -> None:
        world = World()
        world.revocations.seen(T + timedelta(seconds=20))
        world.revocations.seen(T - timedelta(seconds=9))
        made = world.revoke("person", "alice@org")
        assert not world.counts("person", "alice@org", S + 20)
        assert world.counts("person", "alice@org", float(made.before))
        assert made.before - S < 22
        assert world.revoke("node", "n1").before - S < 2, "nodes' certificates have this journal's own dates"

    asyncio.run(run())


def test_join_tokens_go_by_fractions_of_seconds() -> None:
    async def run() -> None:
        world = World()
        world.revocations.check_joining("n1", S - 9)
        world.revoke("node", "n1")
        for issued_at in (S - 9, S - 0.001, S):
            with pytest.raises(AuthError, match="n1 was revoked") as caught:
                world.revocations.check_joining("n1", issued_at)
            assert "join-token n1" in caught.value.hint
        world.revocations.check_joining("n1", S + 0.001)
        world.revocations.check_joining("n2", S)

    asyncio.run(run())


def test_certificates_wait_for_the_next_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        world = World()
        waits: list[float] = []

        async def sleep(delay_s: float) -> None:
            waits.append(delay_s)
            world.now += timedelta(seconds=delay_s)

        monkeypatch.setattr("pactsh.journal.revocations.asyncio.sleep", sleep)
        await world.revocations.wait_to_issue("n1")
        made = world.revoke("node", "n1")
        await world.revocations.wait_to_issue("n1")
        assert (waits, world.now.timestamp()) == ([0.75], made.before)
        world.now -= timedelta(hours=1)  # put back: nobody waits an hour
        with pytest.raises(AuthError):
            await world.revocations.wait_to_issue("n1")
        assert len(waits) == 2

    asyncio.run(run())


def test_open_calls_of_that_one_alone_end() -> None:
    async def run() -> None:
        world = World()
        ends: list[str] = []

        async def call(name: str, proof: Proof) -> None:
            try:
                async with asyncio.timeout(20) as limit:
                    with world.revocations.watched(limit, proof):
                        await asyncio.Event().wait()
            except TimeoutError:
                ends.append(name)

        proofs = {
            "old": Proof("person", "alice@org", S - 60),
            "new": Proof("person", "alice@org", S + 60),
            "bob": Proof("person", "bob@org", S - 60),
            "node": Proof("node", "n1", S - 60),
        }
        tasks = [asyncio.ensure_future(call(name, proof)) for name, proof in proofs.items()]
        await asyncio.sleep(0)
        world.revoke("person", "alice@org")
        await asyncio.sleep(0)
        world.revoke("person", "alice@org")  # while those of the first are ending
        await tasks[0]
        assert ends == ["old"]
        world.revoke("node", "n1")
        await tasks[3]
        assert ends == ["old", "node"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())

"""Refusals are recorded, and a scanner can't fill the spool with them."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from pact_agent.recorder import Recorder
from pact_agent.sshrefusals import Refusals

from pactsh.errors import PactError
from pactsh.model.entry import JsonObject
from pactsh.model.identity import Identity


class Kept:
    """Keeps what is recorded; fails when told to."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, JsonObject]] = []
        self.fail = False

    async def write(self, kind: str, identity: Identity, body: JsonObject) -> int:
        assert kind == "connection.refused"
        if self.fail:
            raise PactError("no room")
        self.bodies.append((identity.principal, body))
        return len(self.bodies)


def recording(window_s: float = 60) -> tuple[Kept, Refusals]:
    kept = Kept()
    return kept, Refusals(cast("Recorder", kept), window_s)


def test_repetitions_from_one_address_become_one_count() -> None:
    async def run() -> list[tuple[str, JsonObject]]:
        kept, refusals = recording(0.05)
        for port in range(1000):
            refusals.note(None, "10.0.0.1", f"ssh 10.0.0.1:{port}", "garbage", "no SSH")
        refusals.note(None, "10.0.0.2", "ssh 10.0.0.2:1", "garbage", "no SSH")
        while len(kept.bodies) < 3:
            await asyncio.sleep(0.01)
        await refusals.close()
        return kept.bodies

    bodies = asyncio.run(run())
    assert [body.get("count") for _, body in bodies] == [None, None, 999]
    assert bodies[2][1]["peer"] == "ssh 10.0.0.1:999"


def test_after_the_window_it_is_recorded_at_once_again() -> None:
    async def run() -> int:
        kept, refusals = recording(0.01)
        for _ in range(2):
            refusals.note(None, "a", "ssh a:1", "login", "late")
            await asyncio.sleep(0.05)
        await refusals.close()
        return len(kept.bodies)

    assert asyncio.run(run()) == 2


def test_many_addresses_are_bounded() -> None:
    async def run() -> int:
        kept, refusals = recording()
        for number in range(5000):
            refusals.note(None, f"10.1.{number // 256}.{number % 256}", "ssh x", "garbage", "no SSH")
        await refusals.close()
        return len(kept.bodies)

    assert asyncio.run(run()) < 300


def test_what_cannot_be_recorded_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        kept, refusals = recording()
        kept.fail = True
        refusals.note(None, "a", "ssh a:1", "login", "late")
        await refusals.close()

    asyncio.run(run())
    assert "refusal not recorded: no room" in caplog.text

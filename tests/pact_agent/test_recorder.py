"""The recorder: an entry says who, where, when and under which policy, and is durable when `write` returns."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pact_agent.recorder import plain
from pact_agent.spool import SpoolError

from pactsh.model.entry import Author, Draft, Head
from tests.pact_agent.recording import ALICE, recording


def test_an_entry_has_its_author_scope_time_and_policy(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        first = asyncio.run(node.recorder.write("intent", ALICE, {"line": "ls"}, session="s1", message="m"))
        node.recorder.policy = "ml-training:4"
        node.clock.pass_s(1)
        second = asyncio.run(node.recorder.write("outcome", ALICE, {"status": 0}))
        assert (first, second) == (1, 2)
        client = node.spool.client
        who = Author("alice@org", ("pact-ops-ml-training",), "human")
        assert node.entries() == [
            Draft(
                client, 1, "2026-01-31T12:00:00.000000Z", "intent", "node:node042", who, session="s1", message="m",
                body={"line": "ls"},
            ),
            Draft(
                client, 2, "2026-01-31T12:00:01.000000Z", "outcome", "node:node042", who, body={"status": 0},
                policy="ml-training:4",
            ),
        ]  # fmt: skip


def test_what_the_spool_cannot_take_is_an_error_and_shows_in_the_level(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        assert node.recorder.level() == "normal"
        node.disk.fails = True
        with pytest.raises(SpoolError):
            asyncio.run(node.recorder.write("intent", ALICE, {}))
        assert node.recorder.level() == "unwritable"


def test_acknowledged_is_what_the_journal_has(tmp_path: Path) -> None:
    with recording(tmp_path) as node:

        async def go() -> tuple[bool, bool]:
            number = await node.recorder.write("intent", ALICE, {})
            before = await node.recorder.acknowledged(number, 0.01)
            waiting = asyncio.create_task(node.recorder.acknowledged(number, 30))
            await asyncio.sleep(0)
            node.spool.acknowledge(number, Head(1, "h", "t", "k", "s"))
            return before, await waiting

        assert asyncio.run(go()) == (False, True)


def test_values_become_plain_objects() -> None:
    assert plain(Author("a", ("r",))) == {"principal": "a", "roles": ("r",), "kind": "human"}

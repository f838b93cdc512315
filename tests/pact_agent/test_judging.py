"""What is asked before a change, and what happens where nobody can be asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pactsh.errors import PolicyError, UnreachableError
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.rpc import pact_pb2 as pb
from tests.pact_agent.recording import ALICE, calls_of, judging, recording

ROOT = Identity("root@org", ("pact-platform-admin",), "human", "uid")
TWO = Policy("ml-training", two_person_approval=True)


async def nobody(_given: bytes) -> pb.Judgement:
    raise AssertionError("nobody is asked")


def check(who: Identity, action: str, *, changes: bool, emergency: bool = False) -> bool:
    """On a node whose journal has not said a word yet."""

    async def go() -> bool:
        return await judging(nobody, TWO, emergency=emergency, heard=asyncio.Event()).check(
            who, action, {}, changes=changes
        )

    return asyncio.run(go())


def test_a_node_that_knows_no_policy_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It might be one of two persons, or one that took the command away."""
    monkeypatch.setattr("pact_agent.judging._LIMIT_S", 0.05)
    for who, emergency in ((ALICE, False), (ALICE, True), (ROOT, False)):
        with pytest.raises(UnreachableError, match="has not told this node its policy yet"):
            check(who, "exec", changes=True, emergency=emergency)
    assert not check(ALICE, "exec", changes=False), "it is read"
    assert check(ROOT, "exec", changes=True, emergency=True), "by the policy that is known"
    assert check(ROOT, "emergency_start", changes=True)


def test_what_is_read_is_asked_about_too_and_goes_on_without_the_journal(tmp_path: Path) -> None:
    asked: list[dict[str, object]] = []

    async def ask(given: bytes) -> pb.Judgement:
        asked.append(json.loads(given))
        if len(asked) > 2:
            raise UnreachableError("the journal can't be reached")
        return pb.Judgement(deny=["not the log"] if asked[-1]["action"] == "log" else [])

    with recording(tmp_path) as node:
        calls = calls_of(node, judging(ask, in_force=True))

        async def answers(method: str) -> int:
            return len([item async for item in calls.answer(ALICE, method, {"n": 3})])

        assert asyncio.run(answers("status")) == 1
        with pytest.raises(PolicyError, match="not the log"):
            asyncio.run(answers("log"))
        assert asyncio.run(answers("diff")) == 1
    assert [(given["action"], given["command"]) for given in asked] == [("status", None), ("log", None), ("diff", None)]


def test_who_comes_just_before_it_is_told_waits_for_it() -> None:
    async def go() -> None:
        heard = asyncio.Event()
        asking = asyncio.create_task(judging(nobody, TWO, heard=heard).check(ALICE, "exec", {}, changes=True))
        await asyncio.sleep(0)
        assert not asking.done()
        heard.set()
        assert await asking

    asyncio.run(go())

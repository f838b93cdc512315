"""What is asked before a change, and what happens where nobody can be asked."""

from __future__ import annotations

import asyncio

import pytest

from pactsh.errors import UnreachableError
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.rpc import pact_pb2 as pb
from tests.pact_agent.recording import ALICE, judging

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


def test_who_comes_just_before_it_is_told_waits_for_it() -> None:
    async def go() -> None:
        heard = asyncio.Event()
        asking = asyncio.create_task(judging(nobody, TWO, heard=heard).check(ALICE, "exec", {}, changes=True))
        await asyncio.sleep(0)
        assert not asking.done()
        heard.set()
        assert await asking

    asyncio.run(go())

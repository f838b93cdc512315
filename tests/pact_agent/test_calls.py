"""What `pact` may ask its node for, and who may ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pact_agent.calls import ACTIONS, History, Item, Params

from pactsh.errors import ForbiddenError, UnreachableError, UsageError
from pactsh.model.entry import Author, Entry
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from tests.pact_agent.recording import ALICE, BOB, Recording, calls_of, emergency_of, recording

STRANGER = Identity("eve@org", ("pact-ops-other",), "human", "ssh")


class OneEntry:
    """A journal with one entry, which notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Params] = []

    async def entries(self, params: Params) -> AsyncIterator[Entry]:
        self.asked.append(params)
        yield Entry(
            seq=1, client="agent:n:1", number=1, time="t", recorded_at="t", type="intent", scope="node:n",
            author=Author("a"), session="", message="", parent=None, delta=None, body=None, ttl=None, policy="",
            prev_hash="0", hash="h",
        )  # fmt: skip

    async def verify(self) -> Item:
        return {"entries": 1}


def ask(node: Recording, who: Identity, method: str, history: History | None = None, **params: object) -> list[Item]:
    return ask_under(Policy("ml-training"), node, who, method, history, **params)


def ask_under(
    policy: Policy, node: Recording, who: Identity, method: str, history: History | None = None, **params: object
) -> list[Item]:
    """What is answered where `policy` holds."""
    calls = calls_of(node, policy=policy, history=history)

    async def go() -> list[Item]:
        return [item async for item in calls.answer(who, method, params)]

    return asyncio.run(go())


# In tests of their own.
ELSEWHERE = {
    "emergency_start", "emergency_end", "commit", "rollback", "extend", "blacklist_add", "blacklist_remove",
    "approval", "recording", "service_status", "service_logs", "service_start", "service_stop", "service_restart",
}  # fmt: skip
READING = [method for method in ACTIONS if method not in ELSEWHERE]


def test_every_method_answers_who_may_ask(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        for method in READING:
            for who in (ALICE, BOB):
                items = ask(node, who, method, OneEntry())
                assert items  # of logs there may be several
                msgspec.json.encode(items)


@pytest.mark.parametrize("method", READING)
def test_without_a_role_here_only_oneself_is_seen(tmp_path: Path, method: str) -> None:
    with recording(tmp_path) as node:
        if method == "whoami":
            assert ask(node, STRANGER, method)[0]["principal"] == "eve@org"
            return
        if method == "whitelist":
            assert ask(node, STRANGER, method)[0]["class"] == ""
            return
        with pytest.raises(ForbiddenError, match=r"eve@org may not see the (status|log|diff) of vCluster ml-training"):
            ask(node, STRANGER, method, OneEntry())


@pytest.mark.parametrize("method", ["blacklist_add", "blacklist_remove"])
def test_a_viewer_does_not_change_what_is_no_drift(tmp_path: Path, method: str) -> None:
    with recording(tmp_path) as node:
        for who in (BOB, STRANGER):
            with pytest.raises(ForbiddenError, match="may not change what is no drift on a node"):
                ask(node, who, method, pattern="/scratch/**")
        assert node.declared.now.ignored == ()


@pytest.mark.parametrize("method", ["", "shutdown", "STATUS", "__init__", "x" * 5000])
def test_other_methods_there_are_not(tmp_path: Path, method: str) -> None:
    with recording(tmp_path) as node:
        with pytest.raises(UsageError, match="unknown method") as caught:
            ask(node, ALICE, method)
        assert len(caught.value.message) < 100


@pytest.mark.parametrize("method", ["log", "verify"])
def test_without_a_journal_there_is_no_history(tmp_path: Path, method: str) -> None:
    with recording(tmp_path) as node, pytest.raises(UnreachableError, match="no journal is configured"):
        ask(node, ALICE, method)


def test_parameters_reach_the_journal_and_entries_come_as_objects(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        journal = OneEntry()
        (entry,) = ask(node, ALICE, "log", journal, n=3, type="intent")
        assert (entry["seq"], entry["type"]) == (1, "intent")
        assert journal.asked == [{"n": 3, "type": "intent"}]


def test_whoami_and_sessions(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        session = asyncio.run(node.sessions.open(BOB, kind="login", source="ssh", peer="10.0.0.9"))
        assert ask(node, ALICE, "whoami") == [
            {
                "node": "node042",
                "principal": "alice@org",
                "roles": ["pact-ops-ml-training"],
                "kind": "human",
                "source": "uid",
            }
        ]
        (listed,) = ask(node, ALICE, "sessions")
        assert listed == {
            "node": "node042",
            "sessions": [
                {
                    "id": session.id,
                    "principal": "bob@org",
                    "kind": "login",
                    "source": "ssh",
                    "peer": "10.0.0.9",
                    "started_at": "2026-01-31T12:00:00.000000Z",
                    "recorded": False,
                    "live": True,
                }
            ],
        }


TWO_PERSONS = Policy("ml-training", two_person_approval=True)


def drift(node: Recording) -> None:
    node.set("vm.swappiness", "60")
    asyncio.run(node.lifecycle.start("boot-1"))
    node.set("vm.swappiness", "10")
    asyncio.run(node.lifecycle.look())


@pytest.mark.parametrize("method", ["commit", "blacklist_add", "blacklist_remove", "emergency_start", "emergency_end"])
def test_what_can_not_be_tried_is_not_done_for_being_called_a_trial(tmp_path: Path, method: str) -> None:
    with recording(tmp_path) as node:
        if method == "emergency_end":
            asyncio.run(emergency_of(node).start(ALICE, "broken"))
        drift(node)
        before = len(node.entries())
        with pytest.raises(UsageError, match="unknown parameter 'dry_run'"):
            ask_under(TWO_PERSONS, node, ALICE, method, dry_run=True)
        assert len(node.entries()) == before, "nothing was done"


def test_what_a_rollback_would_undo_is_told_without_a_second_person(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        drift(node)
        (told,) = ask_under(TWO_PERSONS, node, ALICE, "rollback", dry_run=True)
        assert (told["dry_run"], node.value("vm.swappiness")) == (True, "10")
        trials: list[dict[str, Any]] = [{}, {"dry_run": False}, {"dry_run": 1}, {"dry_run": "true"}]
        for params in trials:
            with pytest.raises((UnreachableError, UsageError)):
                ask_under(TWO_PERSONS, node, ALICE, "rollback", **params)


ODD: list[tuple[str, dict[str, Any]]] = [
    ("emergency_end", {"commit": {"a": 1}}),
    ("emergency_end", {"commit": 1.5}),
    ("emergency_end", {"commit": True}),
    ("emergency_start", {"reason": "x", "zz": [[[[]]]]}),
    ("emergency_start", {"reason": "bad \udcff byte"}),
    ("commit", {"message": ["x"]}),
    ("commit", {"message": "x", "only": [["kernel:x"]]}),
    ("commit", {"message": "x", "expected": {}}),
    ("commit", {"message": "x", "ttl": True}),
    ("blacklist_add", {"pattern": 7}),
    ("commit", {"message": "x", "reason": "agreed with the boss"}),
    ("rollback", {"to": "1"}),
]


@pytest.mark.parametrize(("method", "params"), ODD)
def test_what_is_judged_shown_and_done_is_the_same(tmp_path: Path, method: str, params: dict[str, Any]) -> None:
    """What rules and a second person can't see must not be done."""
    with recording(tmp_path) as node:
        drift(node)
        before = len(node.entries())
        for policy in (Policy("ml-training"), TWO_PERSONS):
            with pytest.raises(UsageError, match=method):
                ask_under(policy, node, ALICE, method, **params)
        assert (len(node.entries()), node.value("vm.swappiness")) == (before, "10")

"""What somebody agreed to is what is done: no more, no later, and not after it was said that it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.pipeline import LineRun
from pact_agent.secondperson import SecondPerson

from pactsh.errors import ConflictError, PactError, PolicyError
from pactsh.policy.decision import Decision
from pactsh.policy.model import Policy
from pactsh.rpc import pact_pb2 as pb
from tests.pact_agent.localnode import DEADLINE_S
from tests.pact_agent.recording import Recording, caller, calls_of, judging, recording
from tests.pact_agent.test_approvals import ALICE, IDENTITY, Here, approval, done, run

TWO = Policy("ml-training", two_person_approval=True)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        node.set("vm.dirty_ratio", "20")
        asyncio.run(node.lifecycle.start("boot-1"))
        node.set("vm.swappiness", "10")
        asyncio.run(node.lifecycle.look())
        yield node


class Screen:
    """What somebody who waits for a line is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def notice(self, text: str, _level: str) -> None:
        self.told.append(text)


async def waits(here: Here) -> tuple[asyncio.Task[object], Screen, LineRun]:
    """Alice has entered a line, and waits."""
    screen, line = Screen(), LineRun()
    node = here.node
    second = SecondPerson("node042", here.made, node.lifecycle, node.clock)
    session = await node.sessions.open(IDENTITY, kind="interactive", source="ssh", peer="x")
    decision = Decision("allow", 0, "", "", "", "", None, ())
    waiting = asyncio.create_task(second.wait_line(session, "x", "shell", decision, screen, line))  # type: ignore[arg-type]
    while len(screen.told) < 3:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    return waiting, screen, line


AGREED = {"kernel:vm.swappiness": "10"}


def test_what_drifts_after_it_was_asked_about_is_not_committed_along(node: Recording) -> None:
    node.set("vm.dirty_ratio", "30")
    delta, _ = asyncio.run(node.lifecycle.commit(ALICE, "x", expected=AGREED))
    assert [change.name for change in delta.changes] == ["kernel:vm.swappiness"]
    assert [item.change.name for item in node.lifecycle.drift] == ["kernel:vm.dirty_ratio"], "it has its own window"


@pytest.mark.parametrize("to", [0, 7])
def test_a_rollback_undoes_just_what_was_asked_about(node: Recording, to: int) -> None:
    node.set("vm.dirty_ratio", "30")
    with pytest.raises(ConflictError, match=r"vm\.dirty_ratio has changed since the approval was asked for"):
        asyncio.run(node.lifecycle.rollback(ALICE, to=to, expected=AGREED))
    assert (node.value("vm.swappiness"), node.value("vm.dirty_ratio")) == ("10", "30")
    node.set("vm.dirty_ratio", "20")
    asyncio.run(node.lifecycle.rollback(ALICE, to=to, expected=AGREED))
    assert node.value("vm.swappiness") == "60"


@pytest.mark.parametrize("how", [{"commit": "mended"}, {"rollback": True}])
def test_so_does_the_end_of_an_emergency(node: Recording, how: dict[str, object]) -> None:
    node.set("vm.dirty_ratio", "30")
    calls = calls_of(node, policy=TWO)

    async def execute() -> None:
        await calls.execute(caller(IDENTITY, float("inf")), IDENTITY, asked)

    asked = approval("approved", operation={"method": "emergency_end", "params": how, "expected": AGREED})
    asyncio.run(calls._emergency.start(IDENTITY, "broken"))
    if "commit" in how:
        asyncio.run(execute())
        assert [item.change.name for item in node.lifecycle.drift] == ["kernel:vm.dirty_ratio"]
    else:
        with pytest.raises(ConflictError, match="has changed since"):
            asyncio.run(execute())
        assert node.value("vm.swappiness") == "10"


def test_what_the_second_person_is_shown_is_all_that_it_is_about(node: Recording) -> None:
    calls = calls_of(node, policy=TWO)
    verbs: list[tuple[str, dict[str, object]]] = [("rollback", {}), ("emergency_end", {"commit": "x"})]
    for method, params in verbs:
        assert asyncio.run(calls._config.concerned(caller(IDENTITY), method, params)) == AGREED
    assert asyncio.run(calls._config.concerned(caller(IDENTITY), "blacklist_add", {"pattern": "/x"})) is None


def test_an_emergency_ends_with_no_commit_that_would_be_refused_by_itself(node: Recording) -> None:
    """Neither with what somebody is asked about already."""
    asyncio.run(node.lifecycle.hold("ap-7f3a", asyncio.run(node.lifecycle.propose("x")), 1800))
    calls = calls_of(node, policy=TWO)
    with pytest.raises(ConflictError, match="waits for a second person already"):
        asyncio.run(calls._config.concerned(caller(IDENTITY), "emergency_end", {"commit": "x"}))


def test_rules_for_commits_hold_for_one_that_ends_an_emergency(node: Recording) -> None:
    async def ask(given: bytes) -> pb.Judgement:
        asked = json.loads(given)
        no_ticket = asked["action"] == "commit" and not asked["params"]["message"].startswith("OPS-")
        return pb.Judgement(deny=["say which ticket"] if no_ticket else [])

    calls = calls_of(node, judging(ask, in_force=True))
    asyncio.run(calls._emergency.start(IDENTITY, "broken"))

    async def end(message: str) -> None:
        async for _ in calls.answer(IDENTITY, "emergency_end", {"commit": message}):
            pass

    with pytest.raises(PolicyError, match="say which ticket"):
        asyncio.run(end("mended"))
    asyncio.run(end("OPS-7 mended"))
    assert node.lifecycle.drift == ()


@pytest.mark.parametrize(("minutes", "executed"), [(30, True), (44, True), (46, False), (90 * 24 * 60, False)])
def test_what_a_node_hears_of_long_after_its_time_is_not_done(node: Recording, minutes: int, executed: bool) -> None:
    """It was off, and was approved meanwhile."""
    here = Here(node)
    node.clock.pass_s(minutes * 60)

    async def go() -> None:
        await here.made.arrived(approval("approved"))
        await here.settled()

    asyncio.run(go())
    assert here.executed == (["ap-7f3a"] if executed else [])
    assert done(node) == ([(0, "")] if executed else [(3, "policy")])


def test_what_its_requester_was_told_is_not_done_is_never_done(node: Recording) -> None:
    """The disk takes no mark just when it is approved."""

    async def go() -> None:
        here = Here(node)
        waiting, _screen, _line = await waits(here)
        state = node.directory / "config"
        state.rename(node.directory / "gone")
        await here.made.arrived(approval("approved", by="bob@org"))
        with pytest.raises(PactError):
            async with asyncio.timeout(DEADLINE_S):
                await waiting
        (node.directory / "gone").rename(state)
        await here.made.arrived(approval("approved", by="bob@org"))
        await here.settled()
        assert here.executed == []

    asyncio.run(go())


@pytest.mark.parametrize(("state", "by"), [("approved", "here"), ("denied", "nobody")])
def test_an_interrupt_just_as_it_is_decided_neither_loses_nor_repeats_it(node: Recording, state: str, by: str) -> None:
    async def go() -> None:
        here = Here(node)
        waiting, screen, line = await waits(here)
        await here.made.arrived(approval(state, by="bob@org", reason="no"))
        line.signal("INT")
        async with asyncio.timeout(DEADLINE_S):
            outcome = await waiting
        await here.settled()
        assert here.executed == (["ap-7f3a"] if by == "here" else [])
        assert (outcome is None) == (by == "here")
        assert screen.told[3:] == (
            ["ap-7f3a was approved by bob@org: it is done without this terminal"] * (by == "here")
        )

    run(go)
    assert done(node) == ([(0, "")] if by == "here" else [])


@pytest.mark.parametrize("how", ["interrupts", "hangs up"])
def test_who_leaves_while_it_is_begun_has_it_done_here(node: Recording, how: str) -> None:
    """The end of another one is being put on record just then, and the disk takes its time."""

    async def go() -> None:
        here = Here(node)
        waiting, _screen, line = await waits(here)
        node.disk.waiting.clear()
        node.disk.slow.clear()
        await here.made.arrived(approval("approved", "ap-beef"))
        await asyncio.to_thread(node.disk.waiting.wait, DEADLINE_S)
        await here.made.arrived(approval("approved", by="bob@org"))
        for _ in range(5):  # and it is the next to be begun
            await asyncio.sleep(0)
        assert not waiting.done()
        line.signal("INT")
        if how == "hangs up":
            waiting.cancel()
        node.disk.slow.set()
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait({waiting})
        await here.settled()
        assert here.executed == ["ap-beef", "ap-7f3a"]

    run(go)
    assert done(node) == [(0, ""), (0, "")]

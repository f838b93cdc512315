"""What waits for a second person on a node: executed once, whatever comes in between; held until then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from pact_agent.approvals import BEGUN, Approvals
from pact_agent.calls import _CHANGING
from pact_agent.secondperson import SecondPerson

from pactsh.errors import ConflictError, NotFoundError, PactError, PolicyError, UnreachableError
from pactsh.model.approval import AT_NODE, Approval
from pactsh.model.entry import Author
from pactsh.model.identity import Identity
from tests.pact_agent.localnode import DEADLINE_S, body_of
from tests.pact_agent.recording import Recording, recording

IDENTITY = Identity("alice@org", ("pact-ops-ml-training",), "human", "ssh")
ALICE = Author("alice@org", ("pact-ops-ml-training",))
AGENT = Author("agent:node042", (), "agent")
LATER = "2026-01-31T12:30:00.000000Z"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        asyncio.run(node.lifecycle.start("boot-1"))
        yield node


def approval(state: str = "pending", id_: str = "ap-7f3a", **more: object) -> Approval:
    made = Approval(id_, "commit", "node:node042", "ml-training", "hugepages", ALICE, "", LATER, seq=1)
    return msgspec.structs.replace(made, state=state, **more)


class Here:
    """A node's approvals; what is executed is counted."""

    def __init__(self, node: Recording, outcome: PactError | int = 0) -> None:
        self.node, self.outcome = node, outcome
        self.executed: list[str] = []
        self.closed: list[tuple[str, str]] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.made = Approvals(
            node.declared,
            node.recorder,
            AGENT,
            request=self._request,
            execute=self._execute,
            closed=self._close,
            now=node.clock.now,
        )

    async def _request(self, _action: str, _operation: bytes, summary: str, _who: bytes) -> Approval:
        if summary == "unreachable":
            raise UnreachableError("the journal can't be reached")
        return approval()

    async def _execute(self, known: Approval) -> int:
        self.executed.append(known.id)
        await self.goes_on.wait()
        if isinstance(self.outcome, PactError):
            raise self.outcome
        return self.outcome

    async def _close(self, known: Approval) -> None:
        self.closed.append((known.id, known.state))
        await self.node.lifecycle.release(known.id, undo=known.state == "expired")

    async def settled(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self.made._running:
                await asyncio.sleep(0.01)


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def go() -> None:
        await work()

    asyncio.run(go())


def done(node: Recording) -> list[tuple[object, object]]:
    return [(body_of(e)["status"], body_of(e)["kind"]) for e in node.entries() if e.type == "approval.done"]


def test_the_journal_knows_every_action_that_may_wait_for_somebody() -> None:
    """Though a longer window, which changes nothing on the node, waits for nobody."""
    assert {*_CHANGING.values(), "shell", "exec"} - {"extend"} == AT_NODE


def test_what_is_approved_is_done_once_however_often_it_is_told(node: Recording) -> None:
    async def go() -> None:
        here = Here(node)
        for _ in range(3):
            await here.made.arrived(approval("approved"))
        await here.settled()
        await here.made.arrived(approval("approved"))
        await here.settled()
        assert here.executed == ["ap-7f3a"]

    run(go)
    assert done(node) == [(0, "")]


def test_nor_is_it_done_again_by_the_next_agent(node: Recording) -> None:
    """The journal has not heard that it is done, and tells it again."""

    async def go() -> None:
        here = Here(node)
        await here.made.arrived(approval("approved"))
        await here.settled()
        node.restarted()
        again = Here(node)
        await again.made.arrived(approval("approved"))
        await again.settled()
        assert again.executed == []
        await again.made.arrived(approval("done", status=0))
        assert node.declared.now.approved == {}

    run(go)
    assert done(node) == [(0, "")]


def test_one_that_was_cut_short_is_on_record_as_such_and_not_begun_again(node: Recording) -> None:
    async def go() -> None:
        here = Here(node)
        await here.made.begin("ap-7f3a")
        assert node.declared.now.approved == {"ap-7f3a": BEGUN}
        node.restarted()
        again = Here(node)
        await again.made.arrived(approval("approved"))
        await again.settled()
        assert again.executed == []

    run(go)
    assert done(node) == [(1, "error")]


@pytest.mark.parametrize("outcome", [ConflictError("it has changed"), 7, 0])
def test_how_it_ends_is_on_record(node: Recording, outcome: PactError | int) -> None:
    async def go() -> None:
        here = Here(node, outcome)
        await here.made.arrived(approval("approved"))
        await here.settled()

    run(go)
    assert done(node) == [(4, "conflict") if isinstance(outcome, PactError) else (outcome, "")]


def test_who_waits_for_a_line_does_it_themselves(node: Recording) -> None:
    async def go() -> None:
        here = Here(node)
        asked = await here.made.ask(ALICE, "shell", {"line": "x"}, "x")
        waiting = asyncio.create_task(here.made.decided(asked.id))
        await asyncio.sleep(0)
        await here.made.arrived(approval("approved", by="bob@org"))
        async with asyncio.timeout(DEADLINE_S):
            assert (await waiting).by == "bob@org"
        await here.made.begin(asked.id)
        with pytest.raises(PolicyError, match="is being executed already"):
            await here.made.begin(asked.id)
        await here.made.finish(asked.id, 3)
        assert here.executed == []

    run(go)
    assert done(node) == [(3, "")]


@pytest.mark.parametrize("first", ["leaves", "is approved"])
def test_who_leaves_has_it_done_here(node: Recording, first: str) -> None:
    """Also at the very moment at which it is approved."""

    async def go() -> None:
        here = Here(node)
        asked = await here.made.ask(ALICE, "shell", {"line": "x"}, "x")
        waiting = asyncio.create_task(here.made.decided(asked.id))
        await asyncio.sleep(0)
        if first == "is approved":
            await here.made.arrived(approval("approved"))
        waiting.cancel()
        here.made.leave(asked.id)
        if first == "leaves":
            await here.made.arrived(approval("approved"))
        await here.settled()
        assert here.executed == [asked.id]

    run(go)
    assert done(node) == [(0, "")]


def test_steps_of_several_at_once_are_each_on_record_once(node: Recording) -> None:
    async def go() -> None:
        here = Here(node)
        names = [f"ap-{number:04x}" for number in range(8)]
        await asyncio.gather(*(here.made.arrived(approval("approved", name)) for name in names))
        await here.settled()
        assert here.node.declared.now.approved == dict.fromkeys(names, "done")

    run(go)
    assert len(done(node)) == 8


def test_one_that_can_not_be_recorded_takes_nobody_elses_mark_along(node: Recording) -> None:
    """A commit fails for the disk just while an approval is begun."""
    drift(node)
    node.disk.slow.clear()

    async def go() -> None:
        here = Here(node)
        node.disk.waiting.clear()
        committing = asyncio.create_task(node.lifecycle.commit(ALICE, "x"))
        await asyncio.to_thread(node.disk.waiting.wait, DEADLINE_S)
        await here.made.begin("ap-beef")
        node.disk.fails = True
        node.disk.slow.set()
        with pytest.raises(PactError):
            await committing
        node.disk.fails = False
        with pytest.raises(PolicyError, match="is being executed already"):
            await here.made.begin("ap-beef")

    run(go)
    assert (node.lifecycle.deltas, len(node.lifecycle.drift)) == ((), 1)
    assert node.declared.now.approved == {"ap-beef": BEGUN}
    asyncio.run(node.lifecycle.commit(ALICE, "x"))
    assert [entry.type for entry in node.entries()].count("commit") == 1


def test_who_waits_for_the_end_hears_of_it(node: Recording) -> None:
    async def go() -> None:
        here = Here(node)
        asked = await here.made.ask(ALICE, "commit", {}, "x")
        waiting = asyncio.create_task(here.made.over(asked.id))
        await asyncio.sleep(0)
        await here.made.arrived(approval("approved"))
        await here.settled()
        assert not waiting.done()
        await here.made.arrived(approval("done", status=0, by="bob@org"))
        async with asyncio.timeout(DEADLINE_S):
            assert (await waiting).state == "done"
            assert (await here.made.over(asked.id)).state == "done", "who asks late hears it too"
        with pytest.raises(NotFoundError):
            await here.made.over("ap-beef")

    run(go)


def test_who_asks_the_agent_how_it_ended_is_told_all_but_what_it_was_to_do(node: Recording) -> None:
    async def go() -> None:
        here = Here(node)
        second = SecondPerson("node042", here.made, node.lifecycle, node.clock)
        ended = approval("denied", by="bob@org", reason="no")
        await here.made.arrived(msgspec.structs.replace(ended, operation={"line": "x"}))
        assert msgspec.convert(await second.over(ended.id), Approval) == ended

    run(go)


def test_without_a_journal_nobody_can_be_asked(node: Recording) -> None:
    async def go() -> None:
        with pytest.raises(UnreachableError):
            await Here(node).made.ask(ALICE, "commit", {}, "unreachable")

    run(go)


# -- drift that is held meanwhile


def drift(node: Recording) -> None:
    node.set("vm.swappiness", "10")
    asyncio.run(node.lifecycle.look())
    asyncio.run(node.lifecycle.hold("ap-7f3a", asyncio.run(node.lifecycle.propose("x")), 1800))


def pass_s(node: Recording, seconds: int) -> None:
    for _ in range(seconds // 10):
        node.clock.pass_s(10)
        asyncio.run(node.lifecycle.tick())


def test_nothing_undoes_it_while_it_waits(node: Recording) -> None:
    drift(node)
    pass_s(node, 10)
    assert node.lifecycle.window_left_s() is None
    pass_s(node, 1700)
    assert (node.value("vm.swappiness"), node.lifecycle.state()) == ("10", "DRIFTED")


def test_asking_again_holds_off_nothing_for_longer(node: Recording) -> None:
    drift(node)
    with pytest.raises(ConflictError, match=r"waits for a second person already \(ap-7f3a\)"):
        asyncio.run(node.lifecycle.propose("x"))


def test_the_window_of_other_drift_is_not_begun_anew(node: Recording) -> None:
    """Or one could keep it open by asking for this and that."""
    node.set("vm.dirty_ratio", "20")
    asyncio.run(node.restarted().start("boot-1"))
    node.set("vm.dirty_ratio", "30")
    asyncio.run(node.lifecycle.look())
    pass_s(node, 200)
    left = node.lifecycle.window_left_s()
    node.set("vm.swappiness", "10")
    asyncio.run(node.lifecycle.look())
    only = asyncio.run(node.lifecycle.propose("x", only=["kernel:vm.swappiness"]))
    asyncio.run(node.lifecycle.hold("ap-7f3a", only, 1800))
    assert left is not None
    assert (node.lifecycle.window_left_s() or 1e9) <= left
    pass_s(node, 100)
    assert (node.value("vm.dirty_ratio"), node.value("vm.swappiness")) == ("20", "10")


def test_another_change_of_the_same_key_is_not_held(node: Recording) -> None:
    drift(node)
    node.set("vm.swappiness", "11")
    asyncio.run(node.lifecycle.look())
    pass_s(node, 400)
    assert node.value("vm.swappiness") == "60"


def test_other_drift_has_its_window_all_the_same(node: Recording) -> None:
    drift(node)
    node.set("vm.dirty_ratio", "20")
    asyncio.run(node.restarted().start("boot-1"))
    node.set("vm.dirty_ratio", "30")
    asyncio.run(node.lifecycle.look())
    pass_s(node, 400)
    assert (node.value("vm.dirty_ratio"), node.value("vm.swappiness")) == ("20", "10")


def test_when_nobody_decides_what_was_asked_about_is_undone_and_nothing_newer(node: Recording) -> None:
    drift(node)
    node.set("vm.swappiness", "11")
    asyncio.run(node.lifecycle.look())
    run(lambda: Here(node).made.arrived(approval("expired")))
    assert node.value("vm.swappiness") == "11", "it has its own window"


@pytest.mark.parametrize("state", ["denied", "expired"])
def test_decided_otherwise_it_is_undone(node: Recording, state: str) -> None:
    """At once when nobody decided in time, else in a window like any other drift."""
    drift(node)
    run(lambda: Here(node).made.arrived(approval(state)))
    assert node.value("vm.swappiness") == ("60" if state == "expired" else "10")
    pass_s(node, 400)
    assert (node.value("vm.swappiness"), node.lifecycle.drift) == ("60", ())


def test_when_the_journal_says_nothing_its_time_ends_here(node: Recording) -> None:
    drift(node)
    pass_s(node, 2400)
    assert (node.value("vm.swappiness"), node.declared.now.held) == ("60", ())


def test_after_a_boot_nothing_is_held(node: Recording) -> None:
    drift(node)
    asyncio.run(node.restarted().start("boot-2"))
    assert node.declared.now.held == ()


def test_what_has_changed_since_is_not_committed(node: Recording) -> None:
    drift(node)
    expected = {"kernel:vm.swappiness": "10"}
    node.set("vm.swappiness", "11")
    with pytest.raises(ConflictError, match="has changed since the approval was asked for"):
        asyncio.run(node.lifecycle.commit(ALICE, "x", only=[*expected], expected=expected))
    node.set("vm.swappiness", "10")
    asyncio.run(node.lifecycle.commit(ALICE, "x", only=[*expected], expected=expected))
    assert node.lifecycle.drift == ()

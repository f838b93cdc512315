"""A node whose emergency is over its time is taken out of scheduling, once, and put back when it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from pactsh.errors import ForbiddenError
from pactsh.journal.stale import Wanted
from pactsh.journal.systems import LatticeConfig
from pactsh.model.entry import Author, Draft, JsonObject
from tests.lattice import LatticeServer
from tests.pactsh.journal.site import Site, running
from tests.pactsh.journal.test_approvals import enrolled

DEADLINE_S = 40
_numbers = iter(range(10, 10_000))


async def told(site: Site, kind: str, **body: Any) -> None:
    """The agent's entry."""
    fields: JsonObject = dict(body)
    async with site.agent() as agent:
        draft = Draft(
            "agent:node042:2", next(_numbers), "2026-01-31T12:00:00.000000Z", kind, "node:node042",
            Author("agent:node042", (), "agent"), body=fields,
        )  # fmt: skip
        await agent.append([draft])


async def done(site: Site) -> list[tuple[str, int, str]]:
    async with site.admin() as admin:
        found = await admin.list(100, type="delegation.done", newest_first=False)
    assert {entry.author.principal for entry in found} <= {"pact-journal"}
    bodies = [(entry.body or {}, entry.message) for entry in found]
    assert all(body.get("by_journal") is True and body.get("began_by") == "alice@org" for body, _ in bodies)
    return [(str(body["action"]), int(str(body["status"])), message) for body, message in bodies]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.05)


async def recorded(site: Site, count: int) -> list[tuple[str, int, str]]:
    async with asyncio.timeout(DEADLINE_S):
        while len(found := await done(site)) < count:
            await asyncio.sleep(0.05)
    return found


async def begun(site: Site) -> JsonObject:
    """The body of the entry, once it is there."""
    async with asyncio.timeout(DEADLINE_S), site.admin() as admin:
        while not (found := await admin.list(1, type="delegation.begun")):
            await asyncio.sleep(0.05)
    return found[0].body or {}


def configured(lattice: LatticeServer) -> dict[str, Any]:
    return {"lattice": LatticeConfig(endpoint=lattice.endpoint)}


async def start_stale(site: Site) -> None:
    await enrolled(site)
    await told(site, "emergency.stale", began_by="alice@org", reason="fan")


def test_it_is_cordoned_once_and_uncordoned_at_the_end_over_restarts(tmp_path: Path) -> None:
    async def go(lattice: LatticeServer) -> None:
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            await until(lambda: lattice.node("node042").state == "down")
            assert lattice.node("node042").state_reason.startswith("pact: emergency over its time (seq:")
            assert [row[:2] for row in await recorded(site, 1)] == [("cordon", 0)]
        async with running(tmp_path, **configured(lattice)) as site:
            await told(site, "emergency.end")
            await until(lambda: lattice.node("node042").state == "ready")
            assert [row[:2] for row in await recorded(site, 2)] == [("cordon", 0), ("uncordon", 0)]
        async with running(tmp_path, **configured(lattice)) as site:
            await told(site, "drift.cleared")
            assert len(await done(site)) == 2
        assert lattice.called("DisableNode", "EnableNode") == ["DisableNode", "EnableNode"]

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        asyncio.run(go(lattice))


@pytest.mark.parametrize("state", ["down", "drained", "draining"])
def test_one_that_is_out_of_scheduling_already_is_left_as_it_is(tmp_path: Path, state: str) -> None:
    async def go(lattice: LatticeServer) -> None:
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            ((action, status, message),) = await recorded(site, 1)
            assert (action, status) == ("cordon", 0)
            assert f"is {state} already: left as it is" in message
            await told(site, "emergency.end")
            await told(site, "drift.cleared")
        assert lattice.called("DisableNode", "EnableNode") == []

    with LatticeServer() as lattice:
        lattice.add_node("node042", state)
        lattice.add_job(nodes=["node042"])
        asyncio.run(go(lattice))


def test_what_somebody_else_has_changed_since_is_left(tmp_path: Path) -> None:
    async def go(lattice: LatticeServer) -> None:
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            await recorded(site, 1)
            lattice.nodes["node042"].state_reason = "memory is being replaced"
            await told(site, "emergency.end")
            (_, (action, _, message)) = await recorded(site, 2)
            assert (action, "left as somebody else has made it" in message) == ("uncordon", True)
        assert lattice.node("node042").state == "down"

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        asyncio.run(go(lattice))


def test_a_node_that_lattice_does_not_know_is_told_once(tmp_path: Path) -> None:
    async def go(lattice: LatticeServer) -> None:
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            ((_, status, message),) = await recorded(site, 1)
            assert (status, "lattice does not know" in message) == (1, True)
            await told(site, "emergency.end")
        assert lattice.called("DisableNode", "EnableNode") == []

    with LatticeServer() as lattice:
        asyncio.run(go(lattice))


def test_it_is_tried_until_lattice_is_there(tmp_path: Path) -> None:
    async def go(lattice: LatticeServer) -> None:
        lattice.stop()
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            await begun(site)
            assert await done(site) == []
            lattice.start()
            assert [row[:2] for row in await recorded(site, 1)] == [("cordon", 0)]

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        asyncio.run(go(lattice))


@pytest.mark.parametrize(
    "failure",
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit exceeded"),
        (grpc.StatusCode.INTERNAL, "Quorum error: no leader"),
    ],
)
def test_what_lattice_can_not_do_just_now_is_tried_again(tmp_path: Path, failure: tuple[grpc.StatusCode, str]) -> None:
    async def go(lattice: LatticeServer) -> None:
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            assert [row[:2] for row in await recorded(site, 1)] == [("cordon", 0)]
        assert lattice.node("node042").state == "down"

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        lattice.fail_once["NodeService/DisableNode"] = failure
        asyncio.run(go(lattice))


def test_nobody_else_tells_what_came_of_the_journals_cordon(tmp_path: Path) -> None:
    async def go(lattice: LatticeServer) -> None:
        lattice.stop()
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            id_ = str((await begun(site))["id"])
            async with site.admin() as admin:
                with pytest.raises(ForbiddenError):
                    await admin.end_delegation(id_, "node042", status=0, answer="forged")

    with LatticeServer() as lattice:
        asyncio.run(go(lattice))


def test_one_that_ends_before_lattice_is_there_is_told_so(tmp_path: Path) -> None:
    async def go(lattice: LatticeServer) -> None:
        lattice.stop()
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            await begun(site)
            await told(site, "emergency.end")
            lattice.start()
            ((_, status, message),) = await recorded(site, 1)
            assert (status, message) == (0, "node042: the emergency ended before lattice was reached")
        assert lattice.called("DisableNode", "EnableNode") == []

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        asyncio.run(go(lattice))


def test_a_cordon_whose_answer_was_lost_is_undone_all_the_same(tmp_path: Path) -> None:
    async def go(lattice: LatticeServer) -> None:
        lattice.stop()
        async with running(tmp_path, **configured(lattice)) as site:
            await start_stale(site)
            seq = int(str((await begun(site))["emergency"]))
        async with running(tmp_path) as site:
            await told(site, "emergency.end")
        lattice.nodes["node042"].state = "down"
        lattice.nodes["node042"].state_reason = Wanted("cordon", "node042", seq, "").reason
        lattice.start()
        async with running(tmp_path, **configured(lattice)) as site:
            await until(lambda: lattice.node("node042").state == "ready")
            assert [row[0] for row in await recorded(site, 2)] == ["cordon", "uncordon"]

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        asyncio.run(go(lattice))


def test_without_lattice_nothing_is_put_on_record(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(tmp_path) as site:
            await start_stale(site)
            await told(site, "emergency.end")
            assert await done(site) == []

    asyncio.run(go())

"""Rollbacks that nobody waits for: tried again while somebody holds what they undo, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.dimensions import Holder

from pactsh.errors import NotFoundError, RollbackError
from pactsh.model.entry import Author
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import Recording, Settings, recording

ALICE = Author("alice@org", ("pact-ops-ml-training",))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        yield node


def beside(node: Recording, name: str, *, lasting: bool = False) -> Settings:
    """Another dimension, with one key that is "old"."""
    made = Settings(node.directory / name, name, lasting=lasting)
    made.set("x", "old")
    node.also.append(made)
    asyncio.run(node.restarted().start("boot-1"))
    return made


def look(node: Recording) -> None:
    asyncio.run(node.lifecycle.look())


def pass_s(node: Recording, seconds: int) -> None:
    for _ in range(seconds // 10):
        node.clock.pass_s(10)
        asyncio.run(node.lifecycle.tick())


def drifted(node: Recording) -> list[str]:
    return [item.change.name for item in node.lifecycle.drift]


def count(node: Recording, kind: str) -> int:
    return sum(entry.type == kind for entry in node.entries())


@pytest.mark.parametrize("ttl", [None, 900])
def test_what_pact_only_reports_is_in_no_ones_way(node: Recording, ttl: int | None) -> None:
    """A package was upgraded, and the node is booted; or its commit ends."""
    packages = beside(node, "packages", lasting=True)
    packages.refuses.add("x")
    packages.set("x", "new")
    look(node)
    assert (drifted(node), node.lifecycle.window_left_s()) == (["packages:x"], None)
    if ttl is not None:
        asyncio.run(node.lifecycle.commit(ALICE, "for a while", ttl=ttl))
        pass_s(node, ttl + 20)
    asyncio.run(node.restarted().start("boot-2"))
    assert (drifted(node), node.lifecycle.state(), packages.tries) == (["packages:x"], "DRIFTED", 0)
    node.set("vm.swappiness", "10")
    look(node)
    pass_s(node, 1000)
    assert (node.value("vm.swappiness"), drifted(node)) == ("60", ["packages:x"])


def test_what_resists_for_no_ones_sake_is_tried_a_few_times(node: Recording) -> None:
    services = beside(node, "services")
    services.refuses.add("x")
    services.set("x", "new")
    look(node)
    pass_s(node, 3600)
    assert (drifted(node), node.lifecycle.state(), node.lifecycle.window_left_s()) == (["services:x"], "DRIFTED", None)
    assert services.tries == 6
    assert count(node, "rollback") == 2, "the first try, and that it is given up"
    node.set("vm.swappiness", "10")
    look(node)
    pass_s(node, 1000)
    assert (node.value("vm.swappiness"), services.tries) == ("60", 6)
    services.refuses.clear()
    services.set("x", "newer")
    look(node)
    pass_s(node, 1000)
    assert (services.value("x"), drifted(node)) == ("old", []), "another value is another matter"


def test_what_somebody_holds_is_tried_until_they_let_go(node: Recording) -> None:
    mounts = beside(node, "mounts")
    mounts.refuses.add("x")
    mounts.held = (Holder(7, "sleep", "/x"),)
    mounts.set("x", "new")
    look(node)
    pass_s(node, 3600)
    assert (node.lifecycle.state(), mounts.tries > 100, count(node, "rollback")) == ("CONVERGING", True, 1)
    mounts.refuses.clear()
    pass_s(node, 10)
    assert (mounts.value("x"), node.lifecycle.state()) == ("old", "COMMITTED")


def test_what_is_committed_meanwhile_is_not_undone_though_it_has_changed(node: Recording) -> None:
    mounts = beside(node, "mounts")
    mounts.refuses.add("x")
    mounts.held = (Holder(7, "sleep", "/x"),)
    mounts.set("x", "new")
    look(node)
    pass_s(node, 400)
    mounts.set("x", "another")
    asyncio.run(node.lifecycle.commit(ALICE, "keep it"))
    mounts.refuses.clear()
    pass_s(node, 100)
    assert (mounts.value("x"), drifted(node), node.lifecycle.state()) == ("another", [], "COMMITTED")


def test_asked_for_it_is_told_what_resists(node: Recording) -> None:
    services = beside(node, "services")
    services.refuses.add("x")
    services.set("x", "new")
    node.set("vm.swappiness", "10")
    look(node)
    with pytest.raises(RollbackError, match="services:x: x can't be changed") as raised:
        asyncio.run(node.lifecycle.rollback(ALICE))
    assert (raised.value.hint, node.value("vm.swappiness")) == ("1 change undone all the same", "60")


def held(node: Recording) -> Settings:
    """A mount that somebody holds, whose window has ended."""
    mounts = beside(node, "mounts")
    mounts.refuses.add("x")
    mounts.held = (Holder(7, "sleep", "/x"),)
    mounts.set("x", "new")
    look(node)
    pass_s(node, 400)
    assert node.lifecycle.state() == "CONVERGING"
    return mounts


def test_a_mount_that_is_held_keeps_no_other_window_open(node: Recording) -> None:
    """Or whoever sits in one could change what they like for as long as they like."""
    mounts = held(node)
    node.set("vm.swappiness", "10")
    look(node)
    assert node.lifecycle.window_left_s() is not None
    pass_s(node, 400)
    assert (node.value("vm.swappiness"), drifted(node)) == ("60", ["mounts:x"])
    mounts.refuses.clear()
    pass_s(node, 20)
    assert (mounts.value("x"), drifted(node), node.lifecycle.state()) == ("old", [], "COMMITTED")


def test_a_commit_ends_though_a_mount_is_held(node: Recording) -> None:
    mounts = held(node)
    node.set("vm.swappiness", "10")
    look(node)
    asyncio.run(node.lifecycle.commit(ALICE, "for a while", only=["kernel:vm.swappiness"], ttl=900))
    pass_s(node, 1000)
    assert (node.value("vm.swappiness"), node.lifecycle.deltas) == ("60", ())
    mounts.refuses.clear()
    pass_s(node, 20)
    assert (mounts.value("x"), node.lifecycle.state()) == ("old", "COMMITTED")


def test_one_can_ask_again_while_it_is_held(node: Recording) -> None:
    mounts = held(node)
    with pytest.raises(RollbackError, match=r"sleep \(pid 7\) holds /x"):
        asyncio.run(node.lifecycle.rollback(ALICE))
    mounts.refuses.clear()
    asyncio.run(node.lifecycle.rollback(ALICE))
    assert (mounts.value("x"), drifted(node), node.lifecycle.state()) == ("old", [], "COMMITTED")


def test_asked_in_vain_it_is_undone_by_the_next_window(node: Recording) -> None:
    mounts = held(node)
    with pytest.raises(RollbackError):
        asyncio.run(node.lifecycle.rollback(ALICE))
    mounts.refuses.clear()
    pass_s(node, 400)
    assert (mounts.value("x"), node.lifecycle.state()) == ("old", "COMMITTED")


def test_it_goes_back_to_what_is_declared_by_then(node: Recording) -> None:
    mounts = beside(node, "mounts")
    mounts.set("x", "mine")
    look(node)
    asyncio.run(node.lifecycle.commit(ALICE, "for a while", ttl=900))
    mounts.refuses.add("x")
    mounts.held = (Holder(7, "sleep", "/x"),)
    mounts.set("x", "new")
    look(node)
    pass_s(node, 1000)
    assert node.lifecycle.deltas == ()
    mounts.refuses.clear()
    pass_s(node, 20)
    assert (mounts.value("x"), node.lifecycle.state()) == ("old", "COMMITTED")


def test_what_is_put_on_the_blacklist_is_undone_no_more(node: Recording) -> None:
    mounts = held(node)
    asyncio.run(node.lifecycle.ignore(ALICE, "x"))
    mounts.refuses.clear()
    pass_s(node, 100)
    assert (mounts.value("x"), drifted(node), node.lifecycle.state()) == ("new", [], "COMMITTED")


def test_going_back_undoes_what_is_on_the_blacklist_by_now(node: Recording) -> None:
    """Its commit falls away: what it did must not stay behind with nobody's name on it."""
    files = beside(node, "files", lasting=True)
    files.set("x", "new")
    look(node)
    asyncio.run(node.lifecycle.commit(ALICE, "first"))
    asyncio.run(node.lifecycle.ignore(ALICE, "x"))
    asyncio.run(node.lifecycle.rollback(ALICE, to=1))
    assert (files.value("x"), node.lifecycle.deltas) == ("old", ())


def test_what_pact_only_reports_is_told_apart(node: Recording) -> None:
    packages = beside(node, "packages", lasting=True)
    packages.refuses.add("x")
    packages.set("x", "new")
    with pytest.raises(NotFoundError, match="nothing here is undone by pact: packages:x"):
        asyncio.run(node.lifecycle.rollback(ALICE))
    node.set("vm.swappiness", "10")
    undone = asyncio.run(node.lifecycle.rollback(ALICE))
    assert [change.name for change in undone.done] == ["kernel:vm.swappiness"]
    assert [change.name for change in undone.reported] == ["packages:x"]
    assert (node.value("vm.swappiness"), drifted(node)) == ("60", ["packages:x"])


def test_in_an_emergency_nothing_is_tried_again(node: Recording) -> None:
    """Automatic rollback is off: also of what was held when it began, and across the agent's end."""
    mounts = held(node)
    node.emergency = True
    mounts.refuses.clear()
    pass_s(node, 100)
    assert mounts.value("x") == "new"
    asyncio.run(node.restarted().start("boot-1"))
    assert mounts.value("x") == "new"
    node.emergency = False
    pass_s(node, 20)
    assert (mounts.value("x"), node.lifecycle.state()) == ("old", "COMMITTED")


def test_what_can_not_be_looked_at_is_not_called_undone(node: Recording) -> None:
    other = beside(node, "services")
    other.set("x", "new")
    look(node)
    other.breaks_after_apply = True
    with pytest.raises(RollbackError, match="services can't be looked at"):
        asyncio.run(node.lifecycle.rollback(ALICE))
    assert [body_of(entry)["undone"] for entry in node.entries() if entry.type == "rollback"] == [[]]

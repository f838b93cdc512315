"""Folding the journal's entries into each node's deltas: the same as the node itself has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pactsh.errors import NotFoundError
from pactsh.model.delta import Change, Delta
from pactsh.model.entry import Author, Draft, Entry
from pactsh.model.fold import conflicts, node_deltas
from pactsh.model.overlay import Overlay
from tests.pact_agent.recording import Recording, recording

ALICE = Author("alice@org", ("pact-ops-ml-training",))


def entry(draft: Draft) -> Entry:
    """As the journal numbers it, which here counts as the spool does."""
    fields = msgspec.structs.asdict(draft)
    return Entry(**fields, seq=draft.number, recorded_at=draft.time, prev_hash="", hash="")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as node:
        for key in ("a.a", "a.b", "a.c"):
            node.set(key, "0")
        asyncio.run(node.lifecycle.start("boot-1"))
        yield node


def commit(node: Recording, key: str, value: str, ttl: int | None = None) -> int:
    node.set(key, value)
    asyncio.run(node.lifecycle.look())
    _, number = asyncio.run(node.lifecycle.commit(ALICE, f"{key} is {value}", ttl=ttl))
    node.declared.sequenced(number, number)
    return number


def folded(node: Recording) -> tuple[Delta, ...]:
    return node_deltas(entry(draft) for draft in node.entries()).get("node042", ())


def test_it_follows_the_node(node: Recording) -> None:
    assert folded(node) == node.lifecycle.deltas == ()
    first = commit(node, "a.a", "1")
    commit(node, "a.b", "1", ttl=900)
    commit(node, "a.c", "1")
    assert (folded(node), len(folded(node))) == (node.lifecycle.deltas, 3)
    node.clock.pass_s(1000)
    asyncio.run(node.lifecycle.tick())
    assert (folded(node), len(folded(node))) == (node.lifecycle.deltas, 2), "its time is over"
    asyncio.run(node.lifecycle.rollback(ALICE, to=first))
    assert (folded(node), len(folded(node))) == (node.lifecycle.deltas, 1), "gone back"
    node.set("a.b", "7")
    commit(node, "a.c", "7")
    node.lifecycle.overlay_arrived(Overlay("ml-training", 1, {"kernel": {"a.a": "1", "a.b": "7"}}))
    asyncio.run(node.lifecycle.tick())
    assert folded(node) == node.lifecycle.deltas
    assert [[c.key for c in delta.changes] for delta in folded(node)] == [["a.c"]], "the overlay says the rest"


def test_what_can_not_be_read_changes_nothing(node: Recording) -> None:
    commit(node, "a.a", "1")
    entries = [entry(draft) for draft in node.entries()]
    odd = [
        msgspec.structs.replace(entries[-1], delta={"id": 7}),
        msgspec.structs.replace(entries[-1], delta=None),
        msgspec.structs.replace(entries[-1], type="rollback", body={"dropped": "all"}),
        msgspec.structs.replace(entries[-1], scope="vcluster:ml-training"),
    ]
    assert node_deltas([*entries, *odd])["node042"] == node.lifecycle.deltas


def test_conflicts_are_other_values_of_the_same_keys() -> None:
    def delta(key: str, value: str | None) -> Delta:
        return Delta(f"{key}{value}", (Change("kernel", key, "0", value),), "bob@org", "", "", 7)

    deltas = {
        "node1": (delta("a", "1"), delta("b", "1"), delta("b", "2")),
        "node2": (delta("a", "1"), delta("b", "1")),
        "node3": (delta("c", "5"),),
        "node4": (delta("a", None),),
    }
    assert [(node, change.key, change.after) for node, change, _ in conflicts("node1", deltas)] == [
        ("node2", "b", "1"),
        ("node4", "a", None),
    ]
    assert conflicts("node5", deltas) == []


def test_going_back_and_forth_ends_where_that_entry_stood(node: Recording) -> None:
    """Back to before a commit, then to it again: what it declared is in force again, though it had fallen away."""
    first = commit(node, "a.a", "1")
    second = commit(node, "a.b", "1")
    third = commit(node, "a.a", "2")

    def go(to: int) -> tuple[str, str, str]:
        as_of = node_deltas(entry(d) for d in node.entries() if d.number <= to).get("node042", ())
        asyncio.run(node.lifecycle.rollback(ALICE, to=to, as_of=as_of))
        assert folded(node) == node.lifecycle.deltas
        assert node.lifecycle.drift == ()
        return node.value("a.a"), node.value("a.b"), node.value("a.c")

    assert go(first) == ("1", "0", "0")
    assert go(third) == ("2", "1", "0")
    assert go(second) == ("1", "1", "0")
    fourth = commit(node, "a.c", "9")
    assert go(1) == ("0", "0", "0")
    assert go(fourth) == ("1", "1", "9")
    asyncio.run(node.restarted().start("boot-2"))
    assert folded(node) == node.lifecycle.deltas
    assert (node.value("a.a"), node.value("a.c")) == ("1", "9")


def test_what_has_ended_meanwhile_does_not_come_back(node: Recording) -> None:
    first = commit(node, "a.a", "1", ttl=900)
    before = folded(node)
    asyncio.run(node.lifecycle.rollback(ALICE, to=1, as_of=()))
    node.clock.pass_s(1000)
    with pytest.raises(NotFoundError):
        asyncio.run(node.lifecycle.rollback(ALICE, to=first, as_of=before))
    assert (node.value("a.a"), node.lifecycle.deltas) == ("0", ())

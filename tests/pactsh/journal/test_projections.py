"""Projections are folds: rebuilt from the entries they are what they were, however they were cut up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.journal.chain import seal
from pactsh.journal.projections import NodeView, PolicyView, Presence, Projections, Report, SessionView
from pactsh.model.entry import GENESIS_HASH, Author, Draft, Entry
from tests.pactsh.journal.material import draft, sqlite_store

NOW = "2026-01-31T12:00:00.000000Z"
START = {"vcluster": "ml", "ssh_address": "10.0.0.42:9445", "version": "0.1.0"}
HISTORY: list[Draft] = [
    draft(1, type="node.enrolled", body={"vcluster": "ml"}),
    draft(2, type="agent.start", body=START),
    draft(3, type="session.start", session="a", body={"kind": "interactive"}),
    draft(4, session="a"),
    draft(5, type="session.start", session="b", body={"kind": "script"}, author=Author("bob@x")),
    draft(6, type="session.end", session="a"),
    draft(7, type="policy.updated", scope="vcluster:ml", body={"policy": {"b": 2, "a": 1}}),
    draft(8, type="policy.updated", scope="vcluster:ml", body={"policy": "nonsense"}),
    draft(9, type="agent.start", node="n2", body={"vcluster": 5}),
]


def entries(drafts: list[Draft]) -> list[Entry]:
    return [seal(one, seq, GENESIS_HASH, NOW).entry() for seq, one in enumerate(drafts, 1)]


def state(views: Projections) -> object:
    return (views.nodes, views.sessions, views.policies)


def test_the_fold() -> None:
    views = Projections()
    for entry in entries(HISTORY):
        views.apply(entry)
    assert views.nodes == {
        "node042": NodeView("node042", "ml", "10.0.0.42:9445", "started", "0.1.0", NOW),
        "n2": NodeView("n2", "", "", "started", "", NOW),
    }
    assert views.sessions == {"b": SessionView("b", "node:node042", "bob@x", NOW, "script")}
    assert views.policies == {"ml": PolicyView(b'{"a":1,"b":2}', 7)}


def vcluster_after(*claims: tuple[str, str]) -> str:
    views = Projections()
    for entry in entries([draft(n, type=kind, body={"vcluster": name}) for n, (kind, name) in enumerate(claims)]):
        views.apply(entry)
    return views.nodes["node042"].vcluster


def test_a_node_is_where_its_join_token_said_whatever_it_says_itself() -> None:
    enrolled, started = "node.enrolled", "agent.start"
    assert vcluster_after((enrolled, "ml"), (started, "hpc"), ("agent.stop", "hpc")) == "ml"
    assert vcluster_after((enrolled, "ml"), (started, "ml"), (enrolled, "hpc"), (started, "ml")) == "hpc"
    # Enrolments of before named none: then the first that it said itself.
    assert vcluster_after((enrolled, ""), (started, "ml"), (started, "hpc")) == "ml"
    assert vcluster_after((enrolled, ""), (started, "ml"), (enrolled, "hpc")) == "hpc"


def test_a_new_agent_process_ends_the_sessions_of_the_old_one() -> None:
    views = Projections()
    for entry in entries([*HISTORY, draft(10, type="agent.start", body=START)]):
        views.apply(entry)
    assert views.sessions == {}


@pytest.mark.parametrize("kind", ["session.start", "session.end"])
def test_no_node_ends_or_takes_over_the_session_of_another(kind: str) -> None:
    views = Projections()
    for entry in entries([*HISTORY, draft(10, type=kind, node="n2", session="b", body={"kind": "exec"})]):
        views.apply(entry)
    assert views.sessions == {"b": SessionView("b", "node:node042", "bob@x", NOW, "script")}


KINDS = ("node.enrolled", "agent.start", "agent.stop", "session.start", "session.end", "intent")
histories = st.lists(
    st.builds(
        lambda kind, node, session, vcluster: draft(
            0, type=kind, node=node, session=session, body={"vcluster": vcluster}
        ),
        st.sampled_from(KINDS),
        st.sampled_from(["n1", "n2"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["ml", "hpc", ""]),
    ),
    max_size=20,
)


@given(histories, st.integers(0, 20))
def test_applying_again_changes_nothing(drafts: list[Draft], again_from: int) -> None:
    history = entries(drafts)
    once, twice = Projections(), Projections()
    for entry in history:
        once.apply(entry)
        twice.apply(entry)
    for entry in history[again_from:]:
        twice.apply(entry)
    assert state(once) == state(twice)


def test_catching_up_in_pieces_equals_a_rebuild_from_the_store(tmp_path: Path) -> None:
    async def run() -> None:
        store = await sqlite_store(tmp_path)
        live = Projections()
        for one in HISTORY:
            await store.append(one)
            await live.catch_up(store)
        rebuilt = Projections()
        await rebuilt.catch_up(store)
        assert state(live) == state(rebuilt)
        assert rebuilt.seq == len(HISTORY)
        await store.close()

    asyncio.run(run())


def test_presence_ends_without_reports() -> None:
    now = 100.0
    presence = Presence(lambda: now)
    presence.report("n1", Report(100.0, NOW, "ml", "", "", "", b""))
    assert presence.is_present("n1")
    assert not presence.is_present("n2")
    now = 146.0
    assert not presence.is_present("n1")
    assert presence.nodes() == ["n1"]

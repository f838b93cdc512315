"""Which sessions there are: out of starts and ends, and what a node's agent knows besides."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from pactsh.cli.sessionlist import Known, joined, merged
from pactsh.model.entry import Author, Entry, JsonObject
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import RunningJournal, draft
from tests.pactsh.cli.program import run_pact


def entry(type_: str, minute: int, session: str = "", who: str = "alice@org", **body: object) -> Entry:
    plain: JsonObject = msgspec.to_builtins(body)
    return Entry(
        seq=minute + 1, client="agent:n:1", number=1, time=f"2026-01-31T12:{minute:02}:00.000000Z", recorded_at="t",
        type=type_, scope="node:node042", author=Author(who), session=session, message="", parent=None, delta=None,
        body=plain, ttl=None, policy="", prev_hash="0", hash="h",
    )  # fmt: skip


def test_a_start_and_an_end_are_a_session() -> None:
    start = entry(
        "session.start", 1, "a", kind="interactive", source="ssh", peer="ssh 10.0.0.9:5 user=x", recorded=True
    )
    end = entry("session.end", 2, "a", duration_ms=61_500, recording={"sha256": "ab", "seconds": 60.0})
    (known,) = joined([start], [end], [])
    assert known == Known(
        "a", "node042", "alice@org", "interactive", "ssh 10.0.0.9:5 user=x", start.time, 61.5, "ended", True, "ab"
    )


def test_without_an_end_it_goes_on_unless_its_agent_has_begun_anew() -> None:
    starts = [entry("session.start", 1, "a"), entry("session.start", 5, "b")]
    assert [s.state for s in joined(starts, [], [entry("agent.start", 0)])] == ["live", "live"]
    assert [s.state for s in joined(starts, [], [entry("agent.start", 0), entry("agent.start", 3)])] == ["lost", "live"]


def test_one_that_was_recovered_has_the_length_of_its_recording() -> None:
    end = entry(
        "session.end", 9, "a", "agent:node042", recovered=True, status=None, recording={"sha256": "ab", "seconds": 7.5}
    )
    (known,) = joined([entry("session.start", 1, "a")], [end], [entry("agent.start", 8)])
    assert (known.principal, known.seconds, known.state, known.recorded) == ("alice@org", 7.5, "ended", True)


def test_what_entries_hold_that_is_odd_is_not_believed() -> None:
    start, end = entry("session.start", 1, "a", kind=5), entry("session.end", 2, "a", duration_ms="x", recording=[1])
    (known,) = joined([start], [end], [])
    assert (known.seconds, known.sha256, known.state) == (None, None, "ended")


def test_the_agent_knows_more_of_what_goes_on_and_the_journal_of_what_is_over() -> None:
    def known(id_: str, state: str, kind: str = "login", *, recorded: bool = False) -> Known:
        return Known(id_, "n", "p", kind, "", "t", None, state, recorded)

    journal = [known("a", "live"), known("b", "ended", recorded=True), known("c", "live")]
    local = [
        known("a", "live"),
        known("b", "ended"),
        known("c", "ended"),
        known("d", "live"),
        known("e", "live", "exec"),
    ]
    assert [(s.id, s.state, s.recorded) for s in merged(journal, local)] == [
        ("a", "live", False),
        ("b", "ended", True),
        ("c", "ended", False),
        ("d", "live", False),
    ]


def starts_and_ends(journal: RunningJournal) -> None:
    peer = {"kind": "interactive", "source": "ssh", "peer": "ssh 10.0.0.9:50022 user=root"}
    journal.append(
        draft(1, "session.start", session="a" * 16, body=peer),
        draft(2, "session.end", session="a" * 16, body={"status": 0, "reason": "left", "duration_ms": 3725_000}),
        draft(3, "session.start", session="b" * 16, body=peer | {"recorded": True}),
    )


def test_newest_first_from_the_journal(tmp_path: Path, journal: RunningJournal) -> None:
    starts_and_ends(journal)
    done = run_pact(tmp_path, "session", "list", env=journal.env())
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = [line.split() for line in done.stdout.splitlines()]
    assert header == ["ID", "NODE", "WHO", "FROM", "STARTED", "LENGTH", "STATE", "RECORDED"]
    assert [(r[0][0], r[1], r[2], r[3], r[5], r[6], r[7]) for r in rows] == [
        ("b", "node042", "alice@org", "10.0.0.9", "-", "live", "yes"),
        ("a", "node042", "alice@org", "10.0.0.9", "1:02:05", "ended", "no"),
    ]
    for args, ids in (
        (["--live"], "b"),
        (["-n", "1"], "b"),
        (["--user", "alice@org"], "ba"),
        (["--user", "bob@org"], ""),
        (["--node", "node042"], "ba"),
        (["--node", "node043"], ""),
        (["--since", "2026-01-31T12:00:03Z"], "b"),
    ):
        done = run_pact(tmp_path, "session", "list", *args, "--output", "json", env=journal.env())
        assert "".join(s["id"][0] for s in json.loads(done.stdout)["sessions"]) == ids, args
    empty = run_pact(tmp_path, "session", "list", "--user", "bob@org", env=journal.env())
    assert empty.stdout == "(no sessions)\n"


def test_a_role_elsewhere_sees_none(tmp_path: Path, journal: RunningJournal) -> None:
    starts_and_ends(journal)
    done = run_pact(tmp_path, "session", "list", env=journal.env("eve@org", ("pact-ops-other",)))
    assert (done.returncode, done.stdout) == (0, "(no sessions)\n")
    assert run_pact(tmp_path, "session", "list", env=journal.env("eve@org", ())).returncode == 2


def test_on_a_node_without_its_journal_the_agent_answers(tmp_path: Path, node: LocalNode) -> None:
    env = {"PACT_AGENT_SOCKET": str(node.socket)}
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "login", "term": "dumb", "rows": 24, "cols": 80})
        session = wire.until("session")["id"]
        done = run_pact(tmp_path, "session", "list", env=env)
        assert done.returncode == 0
        assert "only open sessions and recordings on this node" in done.stderr
        assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [session]
    other = run_pact(tmp_path, "session", "list", "--node", "node043", env=env)
    assert (other.returncode, other.stdout) == (1, "")
    assert "node043: this is node042" in other.stderr


def test_bad_options_are_told(tmp_path: Path) -> None:
    for args in (["--since", "soon"], ["-n", "0"], ["--node", "NODE"]):
        done = run_pact(tmp_path, "session", "list", *args)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("pact: ")

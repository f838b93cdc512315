"""Sessions: their limits, their ends, and that none is open without being on record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pact_agent.config import Limits
from pact_agent.session import Session, Sessions

from pactsh.errors import PactError, PolicyError
from pactsh.model.identity import Identity
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import ALICE, BOB, recording


async def begin(sessions: Sessions, identity: Identity = ALICE, kind: str = "interactive") -> Session:
    return await sessions.open(identity, kind=kind, source="uid", peer="pts/1", term="xterm")


class Line:
    """A line that notes the signals it gets."""

    def __init__(self) -> None:
        self.signals: list[str] = []

    def signal(self, name: str) -> None:
        self.signals.append(name)

    def resize(self, rows: int, cols: int) -> None:
        raise AssertionError("nobody resizes here")


def watched(session: Session) -> list[str]:
    """What the session is told from now on, its end included."""
    told: list[str] = []
    session.notify = lambda text, level: told.append(f"{level}: {text}")
    session.hang_up = lambda reason: told.append(f"hung up: {reason}")
    return told


def test_start_and_end_are_on_record(tmp_path: Path) -> None:
    with recording(tmp_path) as node:

        async def go() -> Session:
            session = await begin(node.sessions)
            session.lines = 3
            node.clock.pass_s(61.5)
            await node.sessions.close(session, status=7, reason="exit")
            await node.sessions.close(session, status=0, reason="again")
            return session

        session = asyncio.run(go())
        start, end = node.entries()
        assert (start.type, end.type) == ("session.start", "session.end")
        assert (start.time, end.time) == ("2026-01-31T12:00:00.000000Z", "2026-01-31T12:01:01.500000Z")
        assert start.session == end.session == session.id
        assert start.author.principal == "alice@org"
        assert body_of(start) == {"kind": "interactive", "source": "uid", "peer": "pts/1", "term": "xterm"}
        assert body_of(end) == {"status": 7, "reason": "exit", "lines": 3, "duration_ms": 61500}
        assert node.sessions.all() == ()


def test_one_line_over_ssh_has_no_entries_of_its_own_but_counts(tmp_path: Path) -> None:
    with recording(tmp_path, Limits(sessions=1)) as node:

        async def go() -> None:
            session = await begin(node.sessions, kind="exec")
            with pytest.raises(PolicyError):
                await begin(node.sessions, BOB)
            await node.sessions.close(session, status=0, reason="done")

        asyncio.run(go())
        assert node.entries() == []


def test_what_cannot_be_recorded_does_not_open(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        node.disk.fails = True
        with pytest.raises(PactError):
            asyncio.run(begin(node.sessions))
        assert node.sessions.all() == ()


def test_limits_of_a_person_and_of_the_node(tmp_path: Path) -> None:
    with recording(tmp_path, Limits(sessions_per_identity=2, sessions=3)) as node:

        async def go() -> None:
            first = await begin(node.sessions)
            await begin(node.sessions)
            with pytest.raises(PolicyError, match=r"alice@org has 2 on this node"):
                await begin(node.sessions)
            await begin(node.sessions, BOB)
            with pytest.raises(PolicyError, match=r"on this node \(3\)"):
                await begin(node.sessions, BOB)
            await node.sessions.close(first, status=0, reason="exit")
            assert await begin(node.sessions, BOB) in node.sessions.all()

        asyncio.run(go())
        assert [d.type for d in node.entries()].count("session.start") == 4


def test_who_is_idle_too_long_is_told_and_hung_up(tmp_path: Path) -> None:
    with recording(tmp_path, Limits(idle_timeout_s=600)) as node:
        idle, remote = asyncio.run(begin(node.sessions)), asyncio.run(begin(node.sessions, BOB, "exec"))
        told, theirs = watched(idle), watched(remote)
        node.clock.pass_s(600)
        node.sessions.expire_idle()
        assert told == []
        node.clock.pass_s(0.1)
        node.sessions.expire_idle()
        assert told == ["warning: idle for 600 s: this session ends", "hung up: idle timeout"]
        assert theirs == []  # bounded by its own timeout


def test_a_running_command_is_activity(tmp_path: Path) -> None:
    with recording(tmp_path, Limits(idle_timeout_s=600)) as node:
        session = asyncio.run(begin(node.sessions))
        told = watched(session)
        session.running = Line()
        for _ in range(5):
            node.clock.pass_s(599)
            node.sessions.expire_idle()
        session.running = None
        node.clock.pass_s(599)
        node.sessions.expire_idle()
        assert told == []
        node.clock.pass_s(2)
        node.sessions.expire_idle()
        assert told[-1] == "hung up: idle timeout"


def test_what_runs_is_hung_up_on_at_the_end(tmp_path: Path) -> None:
    with recording(tmp_path) as node:

        async def go() -> Line:
            session = await begin(node.sessions)
            session.running = line = Line()
            await node.sessions.close(session, status=129, reason="connection lost")
            return line

        assert asyncio.run(go()).signals == ["HUP"]


def test_sessions_are_found_by_an_id_nobody_guesses(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        sessions = [asyncio.run(begin(node.sessions)) for _ in range(10)]
        assert len({s.id for s in sessions}) == 10
        assert all(len(s.id) == 16 for s in sessions)
        assert node.sessions.get(sessions[3].id) is sessions[3]
        with pytest.raises(PactError, match="no session 0000"):
            node.sessions.get("0000")


def test_history_is_a_persons_and_is_bounded(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        here, there, other = (asyncio.run(begin(node.sessions, who)) for who in (ALICE, ALICE, BOB))
        for line in ("ls", "ls", "  ", "", "pwd", "ls", "x" * 10_001):
            here.remember(line)
        assert there.history == ["ls", "pwd", "ls"]
        assert other.history == []
        for number in range(1500):
            here.remember(f"echo {number}")
        assert here.history == [f"echo {n}" for n in range(500, 1500)]
        for number in range(100):
            here.remember(f"{number:05}" + "x" * 9000)
        assert sum(map(len, here.history)) <= 100_000
        assert here.history[-1].startswith("00099")

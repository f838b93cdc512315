"""Who may see which recording, and that it is on record before they do."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from pact_agent.calls import Item
from pact_agent.io import Terminal
from pact_agent.spoolfiles import SpoolError

from pactsh.errors import ForbiddenError, NotFoundError, PolicyError, UsageError
from pactsh.model.identity import Identity
from pactsh.rpc import pact_pb2 as pb
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import ALICE, BOB, Recording, calls_of, judging, recording

ADMIN = Identity("root@org", ("pact-platform-admin",), "human", "ssh")
REGULATED = Identity("reg@org", ("pact-regulated-ml-training",), "human", "ssh")
CAROL = Identity("carol@org", ("pact-viewer-ml-training",), "human", "ssh")
FOREIGN = Identity("eve@org", ("pact-ops-other",), "human", "ssh")
GONE = Identity("bob@org", ("pact-viewer-other",), "human", "ssh")
SERVICES = [
    Identity("scheduler", ("pact-service-agent",), "service", "ssh"),
    Identity("assistant", ("pact-service-ai",), "service", "ssh"),
]


def of_bob(node: Recording, shown: bytes = b"hello", *, close: bool = True) -> str:
    async def go() -> str:
        made = await node.recordings.begin(BOB, Terminal(), kind="login", source="ssh", peer="10.0.0.9")
        session = await node.sessions.open(BOB, kind="login", source="ssh", peer="10.0.0.9", recording=made)
        made.shown(shown)
        made.ended.set()
        if close:
            await node.sessions.close(session, status=0, reason="left")
        else:
            await made.seal()
        return session.id

    return asyncio.run(go())


def ask(node: Recording, who: Identity, method: str = "recording", **params: object) -> list[Item]:
    calls = calls_of(node)

    async def go() -> list[Item]:
        return [item async for item in calls.answer(who, method, params, "5e551000")]

    return asyncio.run(go())


@pytest.mark.parametrize("who", [ADMIN, ALICE, REGULATED, BOB], ids=lambda who: who.principal)
def test_those_who_operate_here_and_oneself_see_it_and_that_is_recorded(tmp_path: Path, who: Identity) -> None:
    with recording(tmp_path) as node:
        session = of_bob(node, b"x" * 600_000)
        first, *rest = ask(node, who, session=session, how="export")
        data = b"".join(base64.b64decode(str(item["data"])) for item in rest)
        assert data == (tmp_path / "recordings" / f"{session}.cast").read_bytes()
        assert len(rest) > 2
        assert (first["node"], first["principal"], first["live"], first["bytes"]) == (
            "node042",
            "bob@org",
            False,
            len(data),
        )
        played = node.entries()[-1]
        assert (played.type, played.author.principal, played.session) == ("recording.played", who.principal, "5e551000")
        assert body_of(played) == {
            "session": session,
            "of": "bob@org",
            "how": "export",
            "live": False,
            "sha256": first["sha256"],
        }


@pytest.mark.parametrize("who", [CAROL, FOREIGN, GONE, *SERVICES], ids=lambda who: f"{who.principal}-{who.roles[0]}")
def test_nobody_else_sees_anything_of_it(tmp_path: Path, who: Identity) -> None:
    with recording(tmp_path) as node:
        session = of_bob(node)
        before = len(node.entries())
        for name in (session, "0" * 16, "../x", 5, None):  # nor whether it is there
            with pytest.raises(ForbiddenError, match="may not see"):
                ask(node, who, session=name)
        assert len(node.entries()) == before


def test_what_can_not_be_recorded_is_not_shown(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        session = of_bob(node)
        node.disk.fails = True
        got: list[Item] = []

        async def go() -> None:
            async for item in calls_of(node).answer(ADMIN, "recording", {"session": session}):
                got.append(item)

        with pytest.raises(SpoolError):
            asyncio.run(go())
        assert got == []


def test_bad_questions_are_told(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        session = of_bob(node)
        with pytest.raises(NotFoundError, match="there is no recording"):
            ask(node, ADMIN, session="0" * 16)
        for params in ({}, {"session": 5}, {"session": "../spool"}, {"session": session, "how": "steal"}):
            with pytest.raises(UsageError, match="expected"):
                ask(node, ADMIN, **params)


def test_sessions_that_are_open_and_recordings_of_those_that_are_over_are_listed(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        past, live = of_bob(node), of_bob(node, close=False)
        (item,) = ask(node, CAROL, "sessions")
        listed = item["sessions"]
        assert isinstance(listed, list)
        assert [(s["id"], s["live"], s["recorded"], s["principal"]) for s in listed] == [
            (live, True, True, "bob@org"),
            (past, False, True, "bob@org"),
        ]
        assert listed[1]["started_at"] == "2026-01-31T12:00:00.000000Z"
        with pytest.raises(ForbiddenError):
            ask(node, FOREIGN, "sessions")


def test_the_sites_own_rules_are_asked(tmp_path: Path) -> None:
    """As about anything that only reads: they can refuse it."""
    with recording(tmp_path) as node:
        session = of_bob(node)
        asked: list[bytes] = []

        async def judge(given: bytes) -> pb.Judgement:
            asked.append(given)
            return pb.Judgement(deny=["not on weekends"])

        calls = calls_of(node, judging(judge, in_force=True))

        async def go() -> None:
            async for _ in calls.answer(ALICE, "recording", {"session": session}):
                pytest.fail("shown")

        with pytest.raises(PolicyError, match="not on weekends"):
            asyncio.run(go())
        assert b'"action": "session_play"' in asked[0]
        assert session.encode() in asked[0]

"""The recordings of a node: where they lie, what becomes of those that nobody ended, and who begins none."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from pact_agent.io import Terminal
from pact_agent.recording import Sealed

from pactsh.errors import NotFoundError, PactError, PolicyError, UsageError
from pactsh.model.asciicast import parse
from pactsh.model.identity import Identity
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import ALICE, BOB, Recording, recording

AGENT = Identity("agent:node042", ("pact-service-agent",), "agent", "tls")


async def recorded(node: Recording, *shown: bytes) -> str:
    made = await node.recordings.begin(ALICE, Terminal("xterm", 30, 100), kind="login", source="ssh", peer="10.0.0.9")
    session = await node.sessions.open(ALICE, kind="login", source="ssh", peer="10.0.0.9", recording=made)
    for data in shown:
        assert made.shown(data)
    made.ended.set()
    await node.sessions.close(session, status=0, reason="left")
    return session.id


def test_only_a_policy_asks_for_them(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        assert not node.recordings.required()
        node.policy = msgspec.structs.replace(node.policy, record=True)
        assert node.recordings.required()


def test_a_session_is_recorded_and_its_end_seals_it(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        session = asyncio.run(recorded(node, b"hello"))
        path = tmp_path / "recordings" / f"{session}.cast"
        assert path.parent.stat().st_mode & 0o777 == 0o700
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        start, end = node.entries()
        assert (start.type, end.type, start.session, end.session) == ("session.start", "session.end", session, session)
        assert body_of(start)["recorded"] is True
        assert body_of(end)["recording"] == {
            "sha256": digest,
            "bytes": path.stat().st_size,
            "seconds": 0.0,
            "file": f"recordings/{session}.cast",
        }
        assert path.with_suffix(".sha256").read_text() == f"{digest}  {session}.cast\n"  # for sha256sum -c
        header, events = parse(path.read_bytes().splitlines(keepends=True), path.name)
        assert (header.width, header.height, header.env) == (100, 30, {"TERM": "xterm"})
        assert (header.title, header.timestamp) == ("alice@org on node042", 1769860800)
        assert [event.data for event in events] == ["hello"]
        kept = node.recordings.get(session)
        assert (kept.origin.principal, kept.origin.peer, kept.sha256) == ("alice@org", "10.0.0.9", digest)
        assert node.recordings.unfinished() == []


def test_a_session_whose_recording_fails_says_so_in_the_journal(tmp_path: Path) -> None:
    async def go(node: Recording) -> None:
        made = await node.recordings.begin(ALICE, Terminal(), kind="login", source="ssh", peer="p")
        session = await node.sessions.open(ALICE, kind="login", source="ssh", peer="p", recording=made)
        made.problem = "it can't be recorded any more (No space left on device)"
        made.ended.set()
        await node.sessions.close(session, status=1, reason="disconnected")

    with recording(tmp_path) as node:
        asyncio.run(go(node))
        _, end, failed = node.entries()
        assert (failed.type, body_of(failed)["reason"]) == ("recording.failed", body_of(end)["reason"])
        assert "No space left" in body_of(end)["reason"]
        assert body_of(end)["recording"]["bytes"] > 0


def test_where_none_can_be_made_there_is_no_session_and_an_entry(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file where the directory should be")
    with recording(tmp_path) as node:
        with pytest.raises(PolicyError, match=r"this one can't be: File exists") as refused:
            asyncio.run(recorded(node))
        assert refused.value.code == 3
        (failed,) = node.entries()
        assert (failed.type, failed.author.principal) == ("recording.failed", "alice@org")
        assert body_of(failed) == {"reason": "File exists", "peer": "10.0.0.9", "kind": "login"}


def test_who_fills_the_disk_keeps_nobody_else_out(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a disk of its own is made by root: run the tests as root")
    directory = tmp_path / "recordings"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", directory], check=True)
    try:
        with recording(tmp_path) as node:
            asyncio.run(recorded(node, b"x" * (4 << 20)))
            asyncio.run(recorded(node, b"x" * (3 << 20)))
            with pytest.raises(PolicyError, match="those of alice@org take more room than is left for all"):
                asyncio.run(recorded(node, b"x"))
            terminal = Terminal("xterm", 30, 100)
            made = asyncio.run(node.recordings.begin(BOB, terminal, kind="login", source="ssh", peer=""))
            made.ended.set()
            assert len(list(directory.glob("*.cast"))) == 3, "and nothing was removed"
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def left_behind(node: Recording, content: bytes) -> str:
    """What an agent that was killed leaves: no entry of its end, no hash."""
    session = asyncio.run(recorded(node, b"x"))
    path = node.directory / "recordings" / f"{session}.cast"
    path.with_suffix(".sha256").unlink()
    path.write_bytes(path.read_bytes() + content)
    return session


def test_what_was_left_behind_gets_its_entry_at_the_next_start(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        session = left_behind(node, b'[7.25,"o","y"]\n[8.5,"o","cut in th')
        unfinished = node.recordings.unfinished()
        assert [path.stem for path in unfinished] == [session]
        asyncio.run(node.recordings.recover(unfinished, AGENT))
        end = node.entries()[-1]
        data = unfinished[0].read_bytes()
        assert data.endswith(b'[7.25,"o","y"]\n')
        assert (end.type, end.session, end.author.kind) == ("session.end", session, "agent")
        body = body_of(end)
        assert (body["recovered"], body["principal"]) == (True, "alice@org")
        assert body["recording"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert (body["recording"]["bytes"], body["recording"]["seconds"]) == (len(data), 7.25)
        assert node.recordings.unfinished() == []


def test_what_is_no_recording_holds_up_none_of_the_others(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        session = left_behind(node, b"")
        for name, content in (("0" * 16, b""), ("1" * 16, b"\xff\n"), ("2" * 16, b'{"version":2}\n')):
            (tmp_path / "recordings" / f"{name}.cast").write_bytes(content)
        (tmp_path / "recordings" / "other.cast").write_bytes(b"")
        asyncio.run(node.recordings.recover(node.recordings.unfinished(), AGENT))
        assert [entry.session for entry in node.entries() if body_of(entry).get("recovered")] == [session]
        assert [kept.origin.session for kept in node.recordings.newest(10)] == [session]


def test_those_that_are_over_are_listed_oldest_first(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        first = asyncio.run(recorded(node))
        node.clock.pass_s(60)
        second = asyncio.run(recorded(node))
        assert [kept.origin.session for kept in node.recordings.newest(10)] == [first, second]


@pytest.mark.parametrize(
    "name", ["", "../spool/client", "0" * 15, "0" * 16 + "/", "G" * 16, "\0" * 16, "0" * 16 + "\n"]
)
def test_only_ids_of_sessions_name_recordings(tmp_path: Path, name: str) -> None:
    with recording(tmp_path) as node, pytest.raises(UsageError, match="expected the id of a session"):
        node.recordings.get(name)


def test_one_that_is_not_there_or_was_replaced_is_told(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        with pytest.raises(NotFoundError, match="there is no recording of it on node042"):
            node.recordings.get("0" * 16)
        first, second = asyncio.run(recorded(node, b"1")), asyncio.run(recorded(node, b"2"))
        place = tmp_path / "recordings"
        (place / f"{first}.cast").write_bytes((place / f"{second}.cast").read_bytes())
        with pytest.raises(PactError, match="has been replaced"):
            node.recordings.get(first)


def test_a_hash_that_is_none_counts_as_missing(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        session = asyncio.run(recorded(node, b"1"))
        (tmp_path / "recordings" / f"{session}.sha256").write_bytes(b"\xff" * 70)
        assert node.recordings.get(session).sha256 == ""
        node.recordings.journaled(session, Sealed("ab" * 32, 1, 1.0))
        assert node.recordings.get(session).sha256 == "ab" * 32

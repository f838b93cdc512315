"""Verification from a node: what was done to a journal shows, most of all against heads seen earlier."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from pact_agent.calls import Item
from pact_agent.verification import verify_journal

from pactsh.model.entry import Author, Draft, Head, JsonObject
from tests.pactsh.journal.site import Site, running

NODE = "node042"


def drafts(count: int) -> list[Draft]:
    """Lines of one person and the session's end, which the journal signs at once."""
    made = []
    for n in range(1, count + 1):
        time, kind = f"2026-01-31T12:{n // 60:02}:{n % 60:02}.000000Z", "session.end" if n == count else "intent"
        body: JsonObject = {"line": f"echo {n}"}
        made.append(Draft(f"agent:{NODE}:t", n, time, kind, f"node:{NODE}", Author("a@org"), body=body))
    return made


async def append(site: Site, *given: Draft) -> Head:
    """Append, and return the newest head, as an agent keeps it."""
    async with site.agent(NODE) as agent:
        await agent.append(given)
        (head,) = await agent.heads(last=True)
        return head


async def verify(site: Site, kept: Sequence[Head] = ()) -> Item:
    async with site.agent(NODE) as agent:
        return await verify_journal(agent, kept)


def bad(item: Item) -> tuple[int, str]:
    """The first bad entry's number and what was done."""
    found = item["bad"]
    assert isinstance(found, dict)
    return found["seq"], found["reason"].partition(":")[0]


def tamper(site: Site, *statements: str) -> None:
    (path,) = (site.directory / "data").glob("*.db")
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            assert database.execute(statement).rowcount >= 1, statement


def play(directory: Path, use: Callable[[Site], Awaitable[None]]) -> None:
    async def go() -> None:
        async with asyncio.timeout(60), running(directory) as site:
            await use(site)

    asyncio.run(go())


def test_a_good_journal_of_several_batches(tmp_path: Path) -> None:
    async def use(site: Site) -> None:
        head = await append(site, *drafts(1200))
        item = await verify(site, [head])
        assert (item["first"], item["bad"]) == (1, None)
        assert item["entries"] == item["last"]
        assert item["last"] >= 1200  # type: ignore[operator]
        signed = item["head"]
        assert isinstance(signed, dict)
        assert signed["seq"] >= head.seq
        assert len(signed["key_id"]) == 16

    play(tmp_path, use)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE entries SET text = replace(text, 'echo 3', 'echo X') WHERE text LIKE '%\"echo 3\"%'", "altered"),
        ("DELETE FROM entries WHERE text LIKE '%\"echo 3\"%'", "removed"),
        ("DELETE FROM entries WHERE seq > 4", "cut"),
    ],
)
def test_what_was_done_shows(tmp_path: Path, statement: str, kind: str) -> None:
    async def use(site: Site) -> None:
        await append(site, *drafts(8))
        tamper(site, statement)
        assert bad(await verify(site))[1] == kind

    play(tmp_path, use)


def test_a_tail_cut_off_with_its_heads_shows_by_what_the_agent_kept(tmp_path: Path) -> None:
    """The journal's keeper can delete signatures too: only who saw one knows better."""

    async def use(site: Site) -> None:
        await append(site, *drafts(3))
        kept = await append(site, *drafts(8)[3:])
        tamper(site, f"DELETE FROM entries WHERE seq >= {kept.seq}", f"DELETE FROM heads WHERE seq >= {kept.seq}")
        assert (await verify(site))["bad"] is None
        assert bad(await verify(site, [kept])) == (kept.seq, "cut")

    play(tmp_path, use)


def test_a_rewritten_entry_shows_by_what_the_agent_kept(tmp_path: Path) -> None:
    """What the keeper signs anew is genuine, but it is not what was seen."""

    async def use(site: Site) -> None:
        kept = await append(site, *drafts(5))
        other = msgspec.structs.replace(kept, hash="0" * 64)
        item = await verify(site, [other])
        assert bad(item)[0] <= kept.seq
        assert bad(item)[1] in {"forged-head", "rewritten"}
        assert (await verify(site, [kept]))["bad"] is None

    play(tmp_path, use)

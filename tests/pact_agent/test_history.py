"""The journal read through a node: filters, following on, and verification; against a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from pact_agent.history import JournalHistory

from pactsh.errors import ForbiddenError, UnreachableError, UsageError
from pactsh.model.entry import Author, Draft, Entry
from pactsh.rpc.client import Journal
from tests.pactsh.journal.site import Site, running

NODE = "node042"


def draft(number: int, kind: str = "intent", who: str = "alice@org", time: str = "") -> Draft:
    time = time or f"2026-01-31T12:00:{number:02}.000000Z"
    return Draft(f"agent:{NODE}:t", number, time, kind, f"node:{NODE}", Author(who), body={"line": f"echo {number}"})


class Reader:
    """A node's history, and its agent to append with."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.history = JournalHistory(lambda: site.agent(NODE), tuple)

    async def append(self, *drafts: Draft) -> None:
        async with self.site.agent(NODE) as agent:
            await agent.append(drafts)

    async def numbers(self, **params: object) -> list[int]:
        """The entries of the node's own people, by number; the journal's own entries are left out."""
        return [e.number async for e in self.history.entries(params) if e.client.startswith("agent:")]

    def follow(self, **params: object) -> AsyncIterator[Entry]:
        return self.history.entries({"follow": True, **params})


def play(directory: Path, use: Callable[[Reader], Awaitable[None]]) -> None:
    async def go() -> None:
        async with asyncio.timeout(60), running(directory) as site:
            await use(Reader(site))

    asyncio.run(go())


def test_entries_come_newest_first_and_filtered(tmp_path: Path) -> None:
    async def use(reader: Reader) -> None:
        await reader.append(*(draft(n) for n in range(1, 26)))
        await reader.append(draft(26, "refusal"), draft(27, who="bob@org"))
        assert await reader.numbers() == list(range(27, 7, -1))  # 20 without `n`
        assert await reader.numbers(n=2) == [27, 26]
        assert await reader.numbers(n=3, type="intent") == [27, 25, 24]
        assert await reader.numbers(author="bob@org") == [27]
        assert await reader.numbers(type="refusal", author="bob@org") == []
        assert await reader.numbers(n=100, since="2026-01-31T12:00:25.000000Z") == [27, 26, 25]
        assert await reader.numbers(scope=f"node:{NODE}", n=1) == [27]
        with pytest.raises(ForbiddenError, match="may not read node:elsewhere"):
            await reader.numbers(scope="node:elsewhere")

    play(tmp_path, use)


@pytest.mark.parametrize("n", [0, -5, "3", None, 2.5, []])
def test_an_odd_count_is_twenty(tmp_path: Path, n: object) -> None:
    async def use(reader: Reader) -> None:
        await reader.append(*(draft(number) for number in range(1, 26)))
        assert len(await reader.numbers(n=n)) == 20

    play(tmp_path, use)


@pytest.mark.parametrize("name", ["scope", "since", "type", "author"])
@pytest.mark.parametrize("follow", [False, True])
def test_filters_must_be_text(tmp_path: Path, name: str, follow: bool) -> None:
    def unused() -> Journal:
        raise AssertionError("a wrong question is not for the journal")

    async def go() -> None:
        async for _ in JournalHistory(unused, tuple).entries({name: 7, "follow": follow}):
            pass

    with pytest.raises(UsageError, match=f"log: {name} must be text"):
        asyncio.run(go())


def test_following_from_a_number_starts_there_and_goes_on(tmp_path: Path) -> None:
    async def use(reader: Reader) -> None:
        await reader.append(draft(1), draft(2), draft(3))
        async with reader.site.admin() as journal:
            seqs = {e.number: e.seq for e in await journal.list(100) if e.client.startswith("agent:")}
        async with aclosing(reader.follow(from_seq=seqs[2], type="intent")) as stream:  # type: ignore[type-var]
            assert [(await anext(stream)).number for _ in range(2)] == [2, 3]
            await reader.append(draft(4, "outcome"), draft(5))
            assert (await anext(stream)).number == 5

    play(tmp_path, use)


def test_following_shows_the_last_oldest_first_then_what_comes(tmp_path: Path) -> None:
    async def use(reader: Reader) -> None:
        await reader.append(*(draft(n) for n in range(1, 6)))
        async with aclosing(reader.follow(n=2, author="alice@org")) as stream:  # type: ignore[type-var]
            assert [(await anext(stream)).number for _ in range(2)] == [4, 5]
            await reader.append(draft(6, who="bob@org"), draft(7))
            assert (await anext(stream)).number == 7

    play(tmp_path, use)


def test_following_alone_shows_only_what_comes(tmp_path: Path) -> None:
    async def use(reader: Reader) -> None:
        await reader.append(draft(1))
        async with aclosing(reader.follow()) as stream:  # type: ignore[type-var]
            coming = asyncio.ensure_future(anext(stream))
            number = 1
            while not coming.done():  # when it begins to watch can't be seen from here
                number += 1
                await reader.append(draft(number))
                await asyncio.wait({coming}, timeout=0.2)
            first = coming.result().number
            assert 1 < first <= number
            assert [(await anext(stream)).number for _ in range(first, number)] == list(range(first + 1, number + 1))

    play(tmp_path, use)


def test_verification_is_part_of_it(tmp_path: Path) -> None:
    async def use(reader: Reader) -> None:
        await reader.append(draft(1))
        verdict = await reader.history.verify()
        assert verdict["bad"] is None
        assert verdict["entries"] == verdict["last"]

    play(tmp_path, use)


def test_a_journal_out_of_reach_is_said(tmp_path: Path) -> None:
    async def use(reader: Reader) -> None:
        ca = reader.site.ca

        async def read() -> None:
            history = JournalHistory(lambda: Journal("127.0.0.1:1", ca=ca, timeout_s=5), tuple)
            async for _ in history.entries({}):
                pass

        with pytest.raises(UnreachableError):
            await read()

    play(tmp_path, use)

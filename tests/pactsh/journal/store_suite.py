"""What every store must do. An implementation's test class inherits from `StoreSuite`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pactsh.errors import ConflictError, UsageError
from pactsh.journal.audit import verify
from pactsh.journal.chain import MAX_ENTRY_BYTES
from pactsh.journal.store import Query, Store
from pactsh.model.entry import GENESIS_HASH, Author, Head
from tests.pactsh.journal.material import draft, record_of


def head(seq: int) -> Head:
    return Head(seq=seq, hash=f"{seq:064x}", time="2026-01-31T12:00:00.000000Z", key_id="k", signature="s")


async def assert_sound(store: Store, entries: int) -> None:
    """The chain in `store` is whole and has this many entries."""
    rows = await store.rows(1, 100_000)
    verdict = verify(rows, [], lambda _: True)
    assert (verdict.problem, verdict.entries) == (None, entries)


class StoreSuite:
    """Subclasses say how a store is opened, and opened again on what it kept."""

    async def open_store(self, directory: Path) -> Store:
        raise NotImplementedError

    def test_an_empty_store_has_nothing(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            tip = await store.last()
            assert (tip.seq, tip.hash) == (0, GENESIS_HASH)
            assert await store.get(1) is None
            assert await store.query(Query()) == []
            assert await store.last_head() is None
            assert await store.append_batch([]) == []
            await store.close()

        asyncio.run(run())

    def test_it_says_what_it_takes_of_its_disk(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            before = await store.space()
            await store.append_batch([draft(number, message="x" * 10_000) for number in range(1, 101)])
            after = await store.space()
            assert after.size_bytes >= before.size_bytes + 1_000_000
            assert after.free_bytes > 0
            await store.close()

        asyncio.run(run())

    def test_entries_are_numbered_from_one_and_seal_each_other(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            first = await store.append(draft(1))
            second, third = [record_of(o) for o in await store.append_batch([draft(2), draft(3)])]
            assert [first.seq, second.seq, third.seq] == [1, 2, 3]
            assert first.entry().prev_hash == GENESIS_HASH
            assert third.entry().prev_hash == second.hash
            assert (await store.last()).hash == third.hash
            assert await store.get(2) == second
            assert await store.by_number("agent:node042:c0ffee", 2) == second
            await assert_sound(store, 3)
            await store.close()

        asyncio.run(run())

    def test_everything_of_a_draft_is_kept(self, tmp_path: Path) -> None:
        given = draft(
            7,
            author=Author("böb@example.org", ("pact-ops-ml", "pact-viewer-x"), "service"),
            message='a "b" \\ \n\x7f é \udcff',
            delta={"kernel": {"vm.swappiness": ["60", "10"]}, "x": [1, -2, 1.5, 1e300, True, None]},
            parent=3,
            ttl=900,
            policy="p1",
        )

        async def run() -> None:
            store = await self.open_store(tmp_path)
            await store.append(given)
            await store.close()
            store = await self.open_store(tmp_path)
            record = await store.get(1)
            assert record is not None
            entry = record.entry()
            for field in given.__struct_fields__:
                assert getattr(entry, field) == getattr(given, field), field
            await assert_sound(store, 1)
            await store.close()

        asyncio.run(run())

    def test_a_retry_gets_the_entry_that_is_there(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            first = await store.append(draft(1))
            assert await store.append(draft(1)) == first
            both = await store.append_batch([draft(2), draft(2)])
            assert both[0] == both[1]
            await store.close()
            store = await self.open_store(tmp_path)
            assert await store.append(draft(1)) == first
            assert (await store.last()).seq == 2
            await store.close()

        asyncio.run(run())

    def test_retries_after_a_restart_are_known_however_they_are_mixed(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            kept = await store.append_batch([draft(n) for n in range(1, 9)])
            await store.close()
            store = await self.open_store(tmp_path)
            # Numbers rise from what this process has seen, yet most of them are there already.
            results = await asyncio.gather(
                store.append_batch([draft(2), draft(3), draft(9)]),
                store.append_batch([draft(1, node="n2"), draft(2, node="n2")]),
                store.append_batch([draft(5), draft(8), draft(10)]),
            )
            assert [results[0][0], results[0][1], results[2][0], results[2][1]] == [kept[1], kept[2], kept[4], kept[7]]
            await assert_sound(store, 12)
            with pytest.raises(ConflictError):
                await store.append(draft(6, message="other"))
            await store.close()

        asyncio.run(run())

    def test_a_number_can_be_used_below_the_highest_when_it_is_free(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            await store.append(draft(10))
            assert (await store.append(draft(5))).seq == 2
            assert (await store.append(draft(5))).seq == 2
            await assert_sound(store, 2)
            await store.close()

        asyncio.run(run())

    def test_the_same_number_with_other_content_is_a_conflict(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            await store.append(draft(1))
            with pytest.raises(ConflictError, match="seq:1"):
                await store.append(draft(1, message="something else"))
            outcomes = await store.append_batch([draft(2), draft(1, message="other"), draft(3)])
            assert [type(o).__name__ for o in outcomes] == ["Record", "ConflictError", "Record"]
            await assert_sound(store, 3)
            await store.close()

        asyncio.run(run())

    def test_what_can_not_be_an_entry_is_refused_and_harms_nobody(self, tmp_path: Path) -> None:
        bad = [
            draft(1, message="x" * MAX_ENTRY_BYTES),
            draft(-1),
            draft(1 << 63),
            draft(1, session="\udcff"),
            draft(1, body={"x": float("nan")}),
        ]

        async def run() -> None:
            store = await self.open_store(tmp_path)
            for one in bad:
                outcomes = await store.append_batch([one, draft(100)])
                assert isinstance(outcomes[0], UsageError), one
                assert record_of(outcomes[1]).seq == 1
            await assert_sound(store, 1)
            await store.close()

        asyncio.run(run())

    def test_many_writers_get_one_chain(self, tmp_path: Path) -> None:
        async def writer(store: Store, name: str) -> list[int]:
            return [(await store.append(draft(n, node=name))).seq for n in range(20)]

        async def run() -> None:
            store = await self.open_store(tmp_path)
            numbers = await asyncio.gather(*(writer(store, f"n{i}") for i in range(32)))
            assert sorted(n for own in numbers for n in own) == list(range(1, 641))
            assert all(own == sorted(own) for own in numbers)
            await assert_sound(store, 640)
            await store.close()
            store = await self.open_store(tmp_path)
            await assert_sound(store, 640)
            await store.close()

        asyncio.run(run())

    def test_queries(self, tmp_path: Path) -> None:
        drafts = [
            draft(1, type="session.start", session="a"),
            draft(2, session="a"),
            draft(3, node="n2", author=Author("bob@x")),
            draft(4, time="2026-02-01T00:00:00.000000Z"),
            draft(5, scope="vcluster:ml", type="policy.updated"),
            draft(6, type="session.end", session="a"),
        ]
        table: list[tuple[Query, list[int]]] = [
            (Query(), [1, 2, 3, 4, 5, 6]),
            (Query(newest_first=True, limit=2), [6, 5]),
            (Query(from_seq=2, to_seq=4), [2, 3, 4]),
            (Query(scope="node:n2"), [3]),
            (Query(type="intent"), [2, 3, 4]),
            (Query(type="session.start"), [1]),
            (Query(types=("session.start", "session.end")), [1, 6]),
            (Query(types=("intent", "session.end")), [2, 3, 4, 6]),
            (Query(author="bob@x"), [3]),
            (Query(since="2026-02-01T00:00:00.000000Z"), [4]),
            (Query(session="a"), [1, 2, 6]),
            (Query(scopes=frozenset({"vcluster:ml", "node:n2"})), [3, 5]),
            (Query(scopes=frozenset()), []),
            (Query(scope="node:' OR 1=1 --"), []),
        ]

        async def run() -> None:
            store = await self.open_store(tmp_path)
            await store.append_batch(drafts)
            for query, expected in table:
                assert [r.seq for r in await store.query(query)] == expected, query
            await store.close()

        asyncio.run(run())

    def test_waiting_for_more(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            waiting = [asyncio.ensure_future(store.wait_beyond(0)) for _ in range(3)]
            gone = asyncio.ensure_future(store.wait_beyond(0))
            await asyncio.sleep(0)
            gone.cancel()
            await store.append(draft(1))
            assert await asyncio.gather(*waiting) == [1, 1, 1]
            assert await store.wait_beyond(0) == 1
            await store.close()

        asyncio.run(run())

    def test_heads(self, tmp_path: Path) -> None:
        async def run() -> None:
            store = await self.open_store(tmp_path)
            await store.append_batch([draft(n) for n in range(5)])
            for seq in (2, 4):
                await store.add_head(head(seq))
            await store.add_head(head(4))
            assert [h.seq for h in await store.heads()] == [2, 4]
            assert await store.heads(3) == [head(4)]
            assert [h.seq for h in await store.heads(0, 1)] == [2]
            await store.close()
            store = await self.open_store(tmp_path)
            assert await store.last_head() == head(4)
            await store.close()

        asyncio.run(run())

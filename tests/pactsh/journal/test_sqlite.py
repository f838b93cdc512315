"""The SQLite store: the suite, and what is its own: group commit, damage, full disks."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pactsh.journal.store import CorruptError, Store, StoreError
from tests.pactsh.journal.material import draft, sqlite_store
from tests.pactsh.journal.store_suite import StoreSuite, assert_sound, head


class TestSqlite(StoreSuite):
    async def open_store(self, directory: Path) -> Store:
        return await sqlite_store(directory)


def test_the_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    async def run() -> None:
        store = await sqlite_store(tmp_path)
        await store.append(draft(1))
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        await store.close()
        assert modes == {0o600}

    asyncio.run(run())


def test_many_appends_share_a_commit(tmp_path: Path) -> None:
    """64 writers must need far fewer transactions than appends."""

    async def run() -> None:
        store = await sqlite_store(tmp_path)
        commits = 0
        commit = store._writer.commit

        def counted() -> None:
            nonlocal commits
            commits += 1
            commit()

        store._writer.commit = counted  # type: ignore[method-assign]
        await asyncio.gather(*(store.append(draft(n)) for n in range(640)))
        assert commits < 64
        await assert_sound(store, 640)
        await store.close()

    asyncio.run(run())


def test_commits_are_synced(tmp_path: Path) -> None:
    async def run() -> None:
        store = await sqlite_store(tmp_path)
        connection = store._writer._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        await store.close()

    asyncio.run(run())


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        store = await sqlite_store(tmp_path)
        waiting = asyncio.ensure_future(store.wait_beyond(0))
        await asyncio.sleep(0)
        late = asyncio.ensure_future(store.append(draft(1)))
        await asyncio.sleep(0)
        await store.close()
        assert (await late).seq == 1  # it was in before the close
        await store.close()
        for attempt in (store.append(draft(2)), store.get(1), store.wait_beyond(1)):
            with pytest.raises(StoreError):
                await attempt
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], int | StoreError)

    asyncio.run(run())


def test_damage_is_not_added_to(tmp_path: Path) -> None:
    async def fill() -> None:
        store = await sqlite_store(tmp_path)
        await store.append_batch([draft(n) for n in range(3)])
        await store.add_head(head(3))
        await store.close()

    async def fail(match: str) -> None:
        with pytest.raises((CorruptError, StoreError), match=match):
            await sqlite_store(tmp_path)

    asyncio.run(fill())
    path = tmp_path / "journal.db"
    kept = path.read_bytes()
    for statement, match in (
        ("DELETE FROM entries WHERE seq = 3", "tail is missing"),
        ("UPDATE entries SET text = replace(text, 'line', 'lime') WHERE seq = 3", "does not match its hash"),
        ("PRAGMA user_version = 99", "not a journal of this version"),
    ):
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()
        asyncio.run(fail(match))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(kept)
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    asyncio.run(fail("SQLITE_NOTADB"))


FULL_DISK = """
import asyncio, sys
from pathlib import Path
from pactsh.errors import PactError
from tests.pactsh.journal.material import draft, sqlite_store
from tests.pactsh.journal.store_suite import assert_sound

async def main(directory):
    store = await sqlite_store(directory)
    kept, error = 0, None
    for number in range(4000):
        try:
            await store.append(draft(number, message="x" * 2000))
        except PactError as problem:
            error = problem
            break
        kept += 1
    assert error is not None, "the disk never filled"
    assert "disk is full" in error.message, error.message
    assert (await store.last()).seq == kept
    assert len(await store.rows(1, 10_000)) == kept      # reads go on
    (directory / "ballast").unlink()                     # room again: it goes on by itself
    assert (await store.append(draft(kept, message="x" * 2000))).seq == kept + 1
    await assert_sound(store, kept + 1)
    await store.close()
    store = await sqlite_store(directory)
    await assert_sound(store, kept + 1)
    await store.close()
    print("kept", kept)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces are root's: run the tests as root")
def test_a_full_disk_loses_nothing_and_recovers(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "full.py"
    script.write_text(FULL_DISK)
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
            'mount -t tmpfs -o size=2m none "$1" && head -c 1000000 /dev/zero > "$1/ballast" && exec "$2" "$3" "$1"',
            *("sh", str(disk), sys.executable, str(script)),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=60,
        check=False,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("mount namespaces take CAP_SYS_ADMIN")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 10

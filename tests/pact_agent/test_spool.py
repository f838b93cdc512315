"""The spool as the agent sees it: what is acknowledged is there, whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pact_agent.clock import SystemClock
from pact_agent.segments import Disk
from pact_agent.spool import Level, Spool, SpoolError, SpoolFull, Unnumbered

from pactsh.model.entry import Author, Draft, Head, JsonObject

ME = Author("alice@org", ("pact-ops",))
SMALL = 1 << 20


def draft(message: str = "m", type_: str = "intent", size: int = 0) -> Unnumbered:
    body: JsonObject | None = {"line": "x" * size} if size else None
    return Unnumbered("2026-01-31T12:00:00.000000Z", type_, "node:n1", ME, message=message, body=body)


def open_spool(directory: Path, reserve: int = SMALL, disk: Disk | None = None) -> Spool:
    return Spool(directory, node="n1", reserve_bytes=reserve, clock=SystemClock(), disk=disk)


async def append_all(spool: Spool, messages: list[str]) -> list[int]:
    return list(await asyncio.gather(*(spool.append(draft(m)) for m in messages)))


def everything(spool: Spool) -> list[Draft]:
    return spool.read_from(1, 1_000_000)


def test_numbers_run_from_one_without_gaps_and_survive_a_restart(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    numbers = asyncio.run(append_all(spool, [str(n) for n in range(500)]))
    client = spool.client
    spool.close()
    assert numbers == list(range(1, 501))

    again = open_spool(tmp_path)
    assert again.client == client
    assert not again.recovery.new_client
    assert again.recovery.damaged == ()
    assert [(d.number, d.message, d.client) for d in everything(again)] == [(n + 1, str(n), client) for n in range(500)]
    assert asyncio.run(again.append(draft())) == 501
    again.close()


def test_the_client_id_names_the_node_and_is_new_when_the_directory_was_lost(tmp_path: Path) -> None:
    first = open_spool(tmp_path / "a")
    second = open_spool(tmp_path / "b")
    assert first.client.startswith("agent:n1:")
    assert first.client != second.client
    first.close()
    second.close()


def test_bytes_that_are_not_utf8_come_back_as_they_were(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    body: JsonObject = {"argv": ["cat", "caf\udce9", "naïve", "\x7f"]}
    entry = Unnumbered("2026-01-31T12:00:00.000000Z", "intent", "node:n1", ME, body=body)
    asyncio.run(spool.append(entry))
    assert everything(spool)[0].body == body
    spool.close()


def test_an_entry_over_the_limit_of_the_journal_is_refused(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, reserve=64 << 20)
    with pytest.raises(SpoolError, match="over the limit"):
        asyncio.run(spool.append(draft(size=(1 << 20) + 1)))
    assert asyncio.run(spool.append(draft(size=1_000_000))) == 1
    spool.close()


def test_a_second_agent_on_the_same_spool_is_refused(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(SpoolError, match=f"pid {os.getpid()}"):
        open_spool(tmp_path)
    spool.close()
    open_spool(tmp_path).close()


def test_a_copied_disk_image_does_not_speak_for_another_node(tmp_path: Path) -> None:
    open_spool(tmp_path).close()
    with pytest.raises(SpoolError, match="belongs to n1, not to n2"):
        Spool(tmp_path, node="n2", reserve_bytes=SMALL, clock=SystemClock())


def test_the_reservation_is_taken_at_start_and_stays(tmp_path: Path) -> None:
    def allocated() -> int:
        return sum(p.stat().st_blocks * 512 for p in tmp_path.glob("segment-*"))

    spool = open_spool(tmp_path)
    assert allocated() >= SMALL

    async def fill_and_free() -> None:
        for _ in range(30):
            spool.acknowledge(await spool.append(draft(size=100_000)), None)

    asyncio.run(fill_and_free())
    assert len(list(tmp_path.glob("segment-*"))) == SMALL // (256 << 10)
    assert allocated() >= SMALL
    spool.close()
    again = open_spool(tmp_path)
    assert again.pending() == 0
    assert again.recovery.notes == ()
    assert asyncio.run(again.append(draft())) == 31
    again.close()


def test_the_ladder_down_and_up(tmp_path: Path) -> None:
    async def run() -> None:
        spool = open_spool(tmp_path)
        seen: list[tuple[Level, Level]] = []
        spool.watch_level(lambda old, new, _why: seen.append((old, new)))
        for _ in range(10):
            await spool.append(draft(size=60_000))
        assert spool.level() == "normal"
        for _ in range(3):
            await spool.append(draft(size=60_000))
        await settle(lambda: spool.level() == "read-only")
        with pytest.raises(SpoolFull):
            await asyncio.gather(*(spool.append(draft(size=20_000)) for _ in range(20)))
        # What has begun can still end.
        number = await spool.append(draft("done", "outcome"))
        while spool.level() != "unwritable":
            number = await spool.append(draft("done", "outcome", size=1_000))
        spool.acknowledge(number, None)
        await settle(lambda: spool.level() == "normal")
        await spool.append(draft())
        await settle(lambda: len(seen) == 3)
        assert seen == [("normal", "read-only"), ("read-only", "unwritable"), ("unwritable", "normal")]
        spool.close()

    asyncio.run(run())


async def settle(condition: object) -> None:
    """Wait for something another thread is about to do; the test's timeout is the limit."""
    assert callable(condition)
    while not condition():
        await asyncio.sleep(0.005)


class FailingDisk(Disk):
    """Storage whose writes or syncs fail while told so."""

    def __init__(self) -> None:
        self.fail = ""

    def write(self, fd: int, data: bytes, offset: int) -> None:
        if self.fail == "write":
            raise OSError(5, "Input/output error")
        super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        if self.fail == "sync":
            raise OSError(5, "Input/output error")
        super().sync(fd)


@pytest.mark.parametrize("fail", ["write", "sync"])
def test_a_failing_disk_refuses_and_recovers(tmp_path: Path, fail: str) -> None:
    disk = FailingDisk()

    async def run() -> None:
        spool = open_spool(tmp_path, disk=disk)
        await append_all(spool, ["a", "b"])
        disk.fail = fail
        failed = [asyncio.create_task(spool.append(draft(f"lost{n}", size=3000))) for n in range(5)]
        for task in failed:
            with pytest.raises(SpoolError, match="Input/output error"):
                await task
        await settle(lambda: spool.level() == "unwritable")
        disk.fail = ""
        await settle(lambda: spool.level() == "normal")  # without another append
        assert await spool.append(draft("c")) == 3
        spool.close()

    asyncio.run(run())
    again = open_spool(tmp_path)
    assert [d.message for d in everything(again)] == ["a", "b", "c"]
    assert again.recovery.damaged == ()
    again.close()


def test_entries_refused_by_a_failing_disk_do_not_come_back(tmp_path: Path) -> None:
    """The sync failed but the bytes are there: a shorter entry in their place must hide all of them."""
    disk = FailingDisk()

    async def run() -> None:
        spool = open_spool(tmp_path, disk=disk)
        disk.fail = "sync"
        results = await asyncio.gather(
            *(spool.append(draft(f"no{n}", size=200)) for n in range(6)), return_exceptions=True
        )
        assert all(isinstance(r, SpoolError) for r in results)
        disk.fail = ""
        await spool.append(draft("yes"))
        spool.close()

    asyncio.run(run())
    again = open_spool(tmp_path)
    assert [d.message for d in everything(again)] == ["yes"]
    assert again.recovery.damaged == ()
    again.close()


def test_acknowledged_entries_are_not_read_again(tmp_path: Path) -> None:
    async def run() -> None:
        spool = open_spool(tmp_path)
        await append_all(spool, ["a", "b", "c"])
        waiting = asyncio.create_task(spool.wait_acknowledged(2, 30))
        assert not await spool.wait_acknowledged(3, 0.01)
        head = Head(2, "h", "t", "k", "s")
        spool.acknowledge(2, head)
        assert await waiting
        assert [d.number for d in everything(spool)] == [3]
        assert spool.pending() == 1
        assert not await spool.wait_acknowledged(3, 0.01)
        spool.close()

    asyncio.run(run())
    again = open_spool(tmp_path)
    assert again.acknowledged() == 2
    assert [h.seq for h in again.heads()] == [2]
    again.close()


def test_a_lost_acknowledgement_only_sends_more(tmp_path: Path) -> None:
    async def run() -> None:
        spool = open_spool(tmp_path)
        for _ in range(12):
            spool.acknowledge(await spool.append(draft(size=100_000)), None)
        await spool.append(draft("last"))
        spool.close()

    asyncio.run(run())
    (tmp_path / "acknowledged").unlink()
    again = open_spool(tmp_path)
    drafts = everything(again)
    assert drafts[-1].message == "last"
    assert drafts[-1].number == 13
    assert all(d.type == "intent" for d in drafts)
    again.close()


def test_a_lost_client_file_is_found_again_in_the_segments(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    asyncio.run(append_all(spool, ["a"]))
    spool.close()
    (tmp_path / "client").unlink()
    again = open_spool(tmp_path)
    assert again.client == spool.client
    assert [d.message for d in everything(again)] == ["a"]
    again.close()


def test_lost_segments_begin_a_new_client_id(tmp_path: Path) -> None:
    """Else numbers the journal already has would be used again, and it would take the entries for replays."""
    spool = open_spool(tmp_path)

    async def run() -> None:
        spool.acknowledge((await append_all(spool, ["a", "b"]))[-1], None)

    asyncio.run(run())
    spool.close()
    for segment in tmp_path.glob("segment-*"):
        segment.unlink()
    again = open_spool(tmp_path)
    assert again.client != spool.client
    assert again.recovery.new_client
    assert spool.client in again.recovery.notes[0]
    assert asyncio.run(again.append(draft("c"))) == 1
    assert [d.message for d in everything(again)] == ["c"]
    again.close()


def test_a_full_disk_at_start_is_said(tmp_path: Path) -> None:
    class FullDisk(Disk):
        def reserve(self, fd: int, size: int) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(SpoolError, match=r"no space to reserve|No space left") as caught:
        open_spool(tmp_path, disk=FullDisk())
    assert str(tmp_path) in caught.value.message
    open_spool(tmp_path).close()


CHILD = """
import asyncio, sys
from pathlib import Path
from pact_agent.clock import SystemClock
from pact_agent.spool import Spool, Unnumbered
from pactsh.model.entry import Author
async def main():
    spool = Spool(Path(sys.argv[1]), node="n1", reserve_bytes=1 << 20, clock=SystemClock())
    async def writer(k):
        n = 0
        while True:
            n += 1
            text = f"{k}:{n}:" + "x" * ((n * 37) % 2000)
            number = await spool.append(Unnumbered("t", "intent", "node:n1", Author("a"), message=text))
            print(number, text.partition(":x")[0].rstrip("x"), flush=True)
            spool.acknowledge(number - 200, None)
    await asyncio.gather(*(writer(k) for k in range(4)))
asyncio.run(main())
"""


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    last = 0
    for round_ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(150 + 61 * round_)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        told = {int(n): text for n, text in (line.split() for line in lines if line.endswith("\n"))}
        spool = open_spool(tmp_path)
        assert spool.recovery.damaged == ()
        kept = {d.number: d.message for d in everything(spool)}
        assert min(told) > last, "a number was given out twice"
        for number, text in told.items():
            if number > spool.acknowledged():
                assert kept[number].startswith(text.rstrip(":"))
        last = max(kept)
        assert last >= max(told)
        assert sorted(kept) == list(range(spool.acknowledged() + 1, last + 1))
        spool.close()

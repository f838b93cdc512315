"""The file for the scheduler's agent: replaced whole, and only when something changed that lasts."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pact_agent.capabilities.manifest import NAME, Keeper
from pact_agent.capabilities.prober import Prober
from pact_agent.dimensions.gpu import Gpus

from pactsh.model.capability import Capabilities, Ecc, Gpu, HugePages, Link, Manifest, Memory, Network
from tests.pact_agent.capabilities.tree import lay
from tests.pact_agent.recording import Recording, facts_of, recording

FOUND = Capabilities(
    "node042",
    gpus=(Gpu(0, "nvidia", "A100", "healthy", temperature_c=34, ecc=Ecc(True, True, 7, 0)),),
    memory=Memory(1 << 30, None, (HugePages(2 << 20, 16, 8),), None),
    network=Network((Link("eth0", "ethernet", "up"), Link("veth1", "virtual", "up")), (), ()),
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    lay(tmp_path / "root", {"proc/sys/kernel/random/boot_id": "7d1f-1\n", "proc/meminfo": "MemTotal: 4 kB\n"})
    with recording(tmp_path / "node") as node:
        yield node


class Kept:
    """A keeper of a directory, and how often it had something to report."""

    def __init__(self, node: Recording, directory: Path) -> None:
        root = directory / "root"
        prober = Prober(facts_of(node), Gpus(str(root / "none"), str(root / "none")), root)
        self.path, self.reports = directory / "run" / NAME, 0
        self.keeper = Keeper(self.path.parent, prober, node.clock, self._changed)

    def _changed(self) -> None:
        self.reports += 1

    def read(self) -> Manifest:
        return msgspec.json.decode(self.path.read_bytes(), type=Manifest)


def test_it_is_for_everybody_and_says_when_and_in_which_boot(node: Recording, tmp_path: Path) -> None:
    kept, before = Kept(node, tmp_path), os.umask(0o077)
    try:
        kept.keeper.keep(FOUND)
    finally:
        os.umask(before)
    written = kept.read()
    assert (written.format, written.generated_at, written.boot_id) == (1, "2026-01-31T12:00:00.000000Z", "7d1f-1")
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o644
    assert os.listdir(kept.path.parent) == [NAME]
    assert kept.reports == 1


def test_numbers_that_change_all_the_time_are_not_in_it(node: Recording, tmp_path: Path) -> None:
    kept = Kept(node, tmp_path)
    kept.keeper.keep(FOUND)
    written = kept.read().capabilities
    assert written.gpus == (Gpu(0, "nvidia", "A100", "healthy", ecc=Ecc(True, True, None, 0)),)
    assert written.memory == Memory(1 << 30, None, (HugePages(2 << 20, 16, None),), None)
    assert written.network == Network((Link("eth0", "ethernet", "up"),), (), ())


def test_it_is_written_anew_only_when_something_changed(node: Recording, tmp_path: Path) -> None:
    kept = Kept(node, tmp_path)
    kept.keeper.keep(FOUND)
    node.clock.pass_s(60)
    warmer = msgspec.structs.replace(FOUND, gpus=(Gpu(0, "nvidia", "A100", "healthy", ecc=Ecc(True, True, 9, 0)),))
    kept.keeper.keep(warmer)
    assert (kept.read().generated_at, kept.reports) == ("2026-01-31T12:00:00.000000Z", 1)
    worse = msgspec.structs.replace(FOUND, gpus=(Gpu(0, "nvidia", "A100", "DEGRADED (lost)"),))
    kept.keeper.keep(worse)
    assert (kept.read().generated_at, kept.reports) == ("2026-01-31T12:01:00.000000Z", 2)
    assert [gpu.health for gpu in kept.read().capabilities.gpus or ()] == ["DEGRADED (lost)"]


def test_an_agent_that_starts_anew_leaves_it_but_in_another_boot(node: Recording, tmp_path: Path) -> None:
    Kept(node, tmp_path).keeper.keep(FOUND)
    node.clock.pass_s(60)
    again = Kept(node, tmp_path)
    again.keeper.keep(FOUND)
    assert again.read().generated_at == "2026-01-31T12:00:00.000000Z"
    lay(tmp_path / "root", {"proc/sys/kernel/random/boot_id": "7d1f-2\n"})
    booted = Kept(node, tmp_path)
    booted.keeper.keep(FOUND)
    assert (booted.read().generated_at, booted.read().boot_id) == ("2026-01-31T12:01:00.000000Z", "7d1f-2")


@pytest.mark.parametrize("rubbish", [b"", b"{", b'{"format": 2}', b"\xff"])
def test_a_damaged_one_is_replaced(node: Recording, tmp_path: Path, rubbish: bytes) -> None:
    kept = Kept(node, tmp_path)
    kept.path.parent.mkdir()
    kept.path.write_bytes(rubbish)
    kept.keeper.keep(FOUND)
    assert kept.read().capabilities.node == "node042"


def test_what_somebody_put_in_its_place_is_not_written_through(node: Recording, tmp_path: Path) -> None:
    kept, other = Kept(node, tmp_path), tmp_path / "other"
    kept.path.parent.mkdir()
    other.write_text("theirs")
    kept.path.symlink_to(other)
    (kept.path.parent / f".{NAME}.new").symlink_to(other)
    kept.keeper.keep(FOUND)
    assert (other.read_text(), kept.path.is_symlink()) == ("theirs", False)


def test_where_it_cannot_be_written_it_is_said_once_and_tried_again(
    node: Recording, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(node, tmp_path)
    kept.path.parent.mkdir()
    kept.path.mkdir()
    (kept.path / "in the way").touch()
    kept.keeper.keep(FOUND)
    kept.keeper.keep(FOUND)
    assert [record.getMessage() for record in caplog.records] == [f"{kept.path} is not written: Is a directory"]
    (kept.path / "in the way").unlink()
    kept.path.rmdir()
    kept.keeper.keep(FOUND)
    assert kept.read().capabilities.node == "node042"
    assert kept.reports == 1


def test_it_follows_the_machine_until_it_is_ended(node: Recording, tmp_path: Path) -> None:
    kept = Kept(node, tmp_path)

    async def until(total: int) -> None:
        async with asyncio.timeout(20):
            while not (kept.path.exists() and f'"total_bytes":{total}' in kept.path.read_text()):
                await asyncio.sleep(0.02)

    async def go() -> None:
        running = asyncio.create_task(kept.keeper.run())
        await until(4096)
        lay(tmp_path / "root", {"proc/meminfo": "MemTotal: 8 kB\n"})
        kept.keeper.look_soon()
        await until(8192)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(go())
    assert json.loads(kept.path.read_text())["capabilities"]["node"] == "node042"

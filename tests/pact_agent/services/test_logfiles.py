"""Reading what a holder has kept, while it goes on."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import aclosing
from pathlib import Path

import pytest
from pact_agent.holder import Log
from pact_agent.services.logfiles import file_logs


def last(directory: Path, lines: int) -> list[str]:
    async def go() -> list[str]:
        return [line.partition(" ")[2] async for part in file_logs(directory, lines, follow=False) for line in part]

    return asyncio.run(go())


@pytest.mark.parametrize("count", [0, 1, 3, 12, 100])
def test_the_last_lines_of_all_files(tmp_path: Path, count: int) -> None:
    log = Log(str(tmp_path / "log"), 150, 4)
    for number in range(16):
        log.write(f"line {number:02}\n".encode())
    assert (tmp_path / "log.3").exists()
    everything = [f"line {number:02}" for number in range(16)]
    kept = last(tmp_path, 100)
    assert kept == everything[-len(kept) :]
    assert last(tmp_path, count) == (everything[-min(count, len(kept)) :] if count else [])


def test_of_one_that_has_never_said_anything(tmp_path: Path) -> None:
    assert last(tmp_path / "none", 10) == []


def test_what_is_no_text_is_shown_as_such(tmp_path: Path) -> None:
    Log(str(tmp_path / "log"), 4096, 1).write(b"\xff\x1b[2J\n")
    assert last(tmp_path, 1) == ["\\xff\x1b[2J"], "and made harmless by who prints it"


def test_new_lines_come_across_files_that_are_put_aside(tmp_path: Path) -> None:
    async def go() -> list[str]:
        log = Log(str(tmp_path / "log"), 200, 9)
        log.write(b"old 1\nold 2\n")
        found: list[str] = []
        written = 0
        async with asyncio.timeout(20), aclosing(file_logs(tmp_path, 1, follow=True)) as parts:
            async for part in parts:
                found += [line.partition(" ")[2] for line in part]
                if len(found) >= 21:
                    break
                while written < 20 and written < len(found) * 10:
                    log.write(f"new {written}\n".encode())
                    written += 1
        assert (tmp_path / "log.2").exists()
        return found

    assert asyncio.run(go()) == ["old 2", *(f"new {number}" for number in range(20))]


def test_a_service_that_says_a_lot_costs_the_agent_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"2026-01-01T00:00:00Z \n" * 450_000)
    tracemalloc.start()
    try:
        assert last(tmp_path, 50) == [""] * 50
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()

"""Reading what systemd's journal has of a unit, by a program in its place."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from pact_agent.services import journald


def test_who_reads_slowly_gets_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only waiting for the program counts: a pager is in nobody's way."""
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\nexec seq 100000\n")
    program.chmod(0o755)
    monkeypatch.setattr(journald, "_PROGRAMS", (str(program),))
    monkeypatch.setattr(journald, "_LIMIT_S", 2.0)

    async def go() -> list[str]:
        found: list[str] = []
        async with aclosing(journald.unit_logs("a.service", 100_000, follow=False)) as parts:
            async for part in parts:
                if not found:
                    await asyncio.sleep(2.2)
                found += part
        return found

    assert asyncio.run(go()) == [str(number) for number in range(1, 100_001)]

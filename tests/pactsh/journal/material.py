"""What journal tests are made of: drafts, a clock that counts, a store in a file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pactsh.journal.chain import Record
from pactsh.journal.sqlite import SqliteStore
from pactsh.model.entry import Author, Draft

ALICE = Author("alice@example.org", ("pact-ops-ml",))


def draft(number: int, *, node: str = "node042", **fields: Any) -> Draft:
    """A plausible intent of `node`."""
    values: dict[str, Any] = {
        "client": f"agent:{node}:c0ffee",
        "time": "2026-01-31T12:00:00.000000Z",
        "type": "intent",
        "scope": f"node:{node}",
        "author": ALICE,
        "session": "s1",
        "message": f"line {number}",
        "body": {"line": "ls -l", "stages": [{"argv": ["ls", "-l"], "class": "read"}], "id": str(number)},
    }
    return Draft(number=number, **{**values, **fields})


def counting_clock() -> Callable[[], str]:
    """A clock that moves a microsecond each time it is read."""
    ticks = itertools.count(1)
    return lambda: f"2026-01-31T12:30:00.{next(ticks):06d}Z"


async def sqlite_store(directory: Path) -> SqliteStore:
    """A store in `directory`."""
    return await SqliteStore.open(directory / "journal.db", clock=counting_clock())


def record_of(outcome: object) -> Record:
    """The record of an outcome that must be one."""
    assert isinstance(outcome, Record), outcome
    return outcome

"""Which nodes the last `pact exec` on several went well on, and which not: `@last.ok`, `@last.failed`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from pactsh.auth import private
from pactsh.errors import UsageError

OK, FAILED = "last.ok", "last.failed"


class LastRun(msgspec.Struct, frozen=True):
    """The nodes, each in one of the two: it ended with status 0, or not, was not reached, or not begun with."""

    ok: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def save(directory: Path, run: LastRun) -> None:
    """Keep it in a private directory, in place of the one before; one that is too large is not kept."""
    data = msgspec.json.encode(run)
    if len(data) <= private.MAX_BYTES:
        private.make_private_directory(directory)
        private.write_private(directory / "last.json", data)


def load(directory: Path) -> Mapping[str, Iterable[str]]:
    """The groups by name; empty ones where nothing is kept, or what can't be read."""
    try:
        run = msgspec.json.decode(private.read_private(directory / "last.json") or b"{}", type=LastRun)
    except (ValueError, UsageError):
        run = LastRun()
    return {OK: run.ok, FAILED: run.failed}

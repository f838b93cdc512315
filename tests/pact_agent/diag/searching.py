"""Searches for tests of the parts."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pact_agent.diag.found import Search
from pact_agent.diag.wanted import Wanted, wanted_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def search(
    wanted: Wanted | None = None, *, limit_bytes: int = 1 << 20, limit_s: float = 60.0, **params: object
) -> Search:
    """One that has time enough, in the spring of 2026."""
    return Search(wanted or wanted_of(params), limit_bytes, time.monotonic() + limit_s, NOW)

"""The journal as this node's people read it through the agent: entries and their verification.

The agent asks with its own certificate; what it may read is the journal's decision, what the
person may ask is decided in `calls`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from pact_agent.calls import Item, Params
from pactsh.errors import UsageError
from pactsh.model.entry import Entry, Head
from pactsh.rpc.client import Journal

_MOST = 10_000


class JournalHistory:
    """Implements `calls.History`; `heads` are those this agent has kept."""

    def __init__(self, open_journal: Callable[[], Journal], heads: Callable[[], tuple[Head, ...]]) -> None:
        self._open, self._heads = open_journal, heads

    async def entries(self, params: Params) -> AsyncIterator[Entry]:
        """Entries newest first, or with `follow` those from now on."""
        scope, since, kind, author = (_text(params, name) for name in ("scope", "since", "type", "author"))
        n = params.get("n")
        async with self._open() as journal:
            if params.get("follow") is True:
                async for entry in journal.watch(scope=scope, type=kind, author=author):
                    yield entry
            else:
                count = min(n, _MOST) if isinstance(n, int) and n > 0 else 20
                for entry in await journal.list(count, scope=scope, since=since, type=kind, author=author):
                    yield entry

    async def verify(self) -> Item:
        """Walk the whole chain, with the heads this agent has kept as anchors."""
        from pact_agent.verification import verify_journal

        async with self._open() as journal:
            return await verify_journal(journal, self._heads())


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"log: {name} must be text")
    return value

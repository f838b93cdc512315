"""The journal as this node's people read it through the agent: entries and their verification.

The agent asks with its own certificate; what it may read is the journal's decision, what the
person may ask is decided in `calls`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from pact_agent.calls import Item, Params
from pactsh.errors import UsageError
from pactsh.model.delta import Delta
from pactsh.model.entry import Entry, Head
from pactsh.model.fold import FOLDED, node_deltas
from pactsh.rpc.client import Journal

_MOST, _MOST_FOLDED = 10_000, 100_000


class JournalHistory:
    """Implements `calls.History`; `heads` are those this agent has kept."""

    def __init__(self, open_journal: Callable[[], Journal], heads: Callable[[], tuple[Head, ...]]) -> None:
        self._open, self._heads = open_journal, heads

    async def entries(self, params: Params) -> AsyncIterator[Entry]:
        """Entries newest first, or with `follow` oldest first (from `from_seq`, else the last `n`) and on."""
        scope, since, kind, author = (_text(params, name) for name in ("scope", "since", "type", "author"))
        n = params.get("n")
        async with self._open() as journal:
            if params.get("follow") is not True:
                count = min(n, _MOST) if isinstance(n, int) and n > 0 else 20
                for entry in await journal.list(count, scope=scope, since=since, type=kind, author=author):
                    yield entry
                return
            from_seq = params.get("from_seq")
            if not isinstance(from_seq, int):
                # In this order, and from the later of both: nothing between the two answers is lost or repeated.
                seen = await journal.list(1)
                count = min(n, _MOST) if isinstance(n, int) else 0
                if count > 0:
                    last = await journal.list(count, scope=scope, since=since, type=kind, author=author)
                    for entry in reversed(last):
                        yield entry
                    seen += last
                from_seq = max((entry.seq for entry in seen), default=0) + 1
            async for entry in journal.watch(from_seq, scope=scope, type=kind, author=author):
                if entry.time >= since:
                    yield entry

    async def deltas(self, node: str, as_of: int = 0) -> tuple[Delta, ...]:
        """What is committed on a node, as the journal has it, or had it after entry `as_of`. Raises `PactError`, and
        `UsageError` where there is no such entry yet."""
        entries: list[Entry] = []
        async with self._open() as journal:
            if as_of:
                newest = max([e.seq for e in await journal.list(1)] + [h.seq for h in await journal.heads(last=True)])
                if as_of > newest:
                    raise UsageError(f"there is no entry seq:{as_of} yet", hint="`pact log` shows the newest")
            for kind in FOLDED:
                entries += await journal.list(_MOST_FOLDED, scope=f"node:{node}", type=kind)
        entries = sorted((e for e in entries if not as_of or e.seq <= as_of), key=lambda entry: entry.seq)
        return node_deltas(entries).get(node, ())

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

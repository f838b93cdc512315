"""Where entries come from: this node's agent, or the journal. Both answer the same two questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from pactsh.errors import PactError
from pactsh.model.entry import Entry

if TYPE_CHECKING:
    from pactsh.cli.context import Context


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries; None means any. `scope` is spelled as in entries, `since` is RFC 3339 UTC with µs."""

    scope: str | None = None
    type: str | None = None
    author: str | None = None
    since: str | None = None

    def accepts(self, entry: Entry) -> bool:
        """Whether an entry passes. Times compare as text: they have one form."""
        return (
            self.scope in {None, entry.scope}
            and self.type in {None, entry.type}
            and self.author in {None, entry.author.principal}
            and (self.since is None or entry.time >= self.since)
        )


class Source(Protocol):
    """Entries of a journal that the caller may read."""

    def list(self, wanted: Filter, n: int) -> Sequence[Entry]:
        """The last `n` that pass, newest first."""

    def follow(self, wanted: Filter, n: int, from_seq: int | None = None) -> Iterator[Entry]:
        """The last `n` that pass (or all from `from_seq` on), oldest first, then new ones as they come."""


def open_source(ctx: Context) -> Source:
    """The agent on a node, the journal from elsewhere."""
    if ctx.node is not None:
        return AgentSource(ctx)
    from pactsh.cli.remote import JournalSource

    return JournalSource(ctx)


class AgentSource:
    """Entries through this node's agent."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def list(self, wanted: Filter, n: int) -> Sequence[Entry]:
        """The last `n` that pass, newest first."""
        with self._ctx.agent() as agent:
            return [to_entry(item) for item in agent.call("log", _params(wanted, n) | {"follow": False})]

    def follow(self, wanted: Filter, n: int, from_seq: int | None = None) -> Iterator[Entry]:
        """The last `n` that pass (or all from `from_seq` on), oldest first, then new ones as they come."""
        params = _params(wanted, n) | {"follow": True, "from_seq": from_seq}
        with self._ctx.agent() as agent:
            for item in agent.call("log", params, endless=True):
                yield to_entry(item)


def _params(wanted: Filter, n: int) -> dict[str, object]:
    return {
        "n": n,
        "scope": wanted.scope,
        "since": wanted.since,
        "type": wanted.type,
        "author": wanted.author,
    }


def to_entry(item: dict[str, object]) -> Entry:
    """Read an entry strictly; raises `PactError` when it isn't one."""
    try:
        return msgspec.convert(item, Entry)
    except msgspec.ValidationError as error:
        raise PactError(f"log: not a journal entry: {error}") from error

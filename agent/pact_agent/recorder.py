"""Turns what happens in sessions into journal drafts and puts them into the spool.

The only writer of entries about people's acts. What can't be recorded doesn't run: `intent`
raises when the spool can't take the entry, and the executor stops there. Entries about platform
admins and of the agent itself then go to the last resort, and follow when the spool works again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import msgspec

from pact_agent.clock import Clock, timestamp
from pact_agent.lastresort import LastResort
from pact_agent.records import Unnumbered
from pact_agent.spoolfiles import SpoolError
from pactsh.model.entry import Author, Draft
from pactsh.model.identity import Identity
from pactsh.policy.rbac import ADMIN

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_SOME = 256


class SpoolLike(Protocol):
    """What the recorder needs of the spool."""

    async def append(self, draft: Unnumbered) -> int:
        """Return the draft's number once it is synced."""

    def level(self) -> str:
        """`normal`, `read-only` or `unwritable`."""

    def acknowledged(self) -> int:
        """The highest number that the journal has."""

    def read_from(self, number: int, limit: int) -> list[Draft]:
        """Drafts from `number` on, as far as they are still there."""

    async def wait_acknowledged(self, number: int, timeout_s: float) -> bool:
        """Wait until the journal has it."""


class Recorder:
    """Writes entries of one node."""

    def __init__(self, spool: SpoolLike, node: str, clock: Clock, last_resort: LastResort | None = None) -> None:
        self._spool, self._scope, self._clock = spool, f"node:{node}", clock
        self._last_resort = last_resort
        self._catching_up = asyncio.Lock()
        self.policy = ""

    def level(self) -> str:
        """How well recording works: `normal`, `read-only`, `unwritable`."""
        return self._spool.level()

    async def write(
        self, kind: str, identity: Identity, body: JsonObject, *, session: str = "", message: str = ""
    ) -> int:
        """Record an entry of type `kind`; returns its spool number once it is durable, 0 when only the kernel's log
        has it. Raises PactError."""
        author = Author(identity.principal, identity.roles, identity.kind)
        return await self.append(self.draft(kind, author, body, session=session, message=message))

    def draft(
        self,
        kind: str,
        author: Author,
        body: JsonObject,
        *,
        session: str = "",
        message: str = "",
        delta: JsonObject | None = None,
        ttl: int | None = None,
    ) -> Unnumbered:
        """An entry about this node, as of now."""
        return Unnumbered(
            time=timestamp(self._clock.now()),
            type=kind,
            scope=self._scope,
            author=author,
            session=session,
            message=message,
            delta=delta,
            body=body,
            ttl=ttl,
            policy=self.policy,
        )

    async def append(self, draft: Unnumbered) -> int:
        """Record an entry; returns and raises like `write`."""
        try:
            await self.catch_up()
            return await self._spool.append(draft)
        except SpoolError:
            if self._last_resort is None or not _goes_on(draft.author) or self._spool.level() != "unwritable":
                raise
            await asyncio.to_thread(self._last_resort.write, draft)  # a serial console may be slow to take it
            return 0

    def number_of(self, draft: Unnumbered) -> int:
        """The number under which the spool has this very entry, of those that the journal may not have; 0: none."""
        following = self._spool.acknowledged() + 1
        while some := self._spool.read_from(following, _SOME):
            for known in some:
                if known == draft.numbered(known.client, known.number):
                    return known.number
            following = some[-1].number + 1
        return 0

    async def catch_up(self) -> None:
        """Give the spool what only the kernel's log has; raises `SpoolError` while it takes nothing."""
        if self._last_resort is None or not len(self._last_resort):
            return
        while await asyncio.shield(self._hand_over(self._last_resort)):
            pass

    async def _hand_over(self, last_resort: LastResort) -> bool:
        """Give the spool the oldest entry and forget it: both, or it would be there twice. False when none is left."""
        async with self._catching_up:
            draft = last_resort.next()
            if draft is None:
                return False
            await self._spool.append(draft)
            last_resort.done(draft)
            return True

    async def acknowledged(self, number: int, timeout_s: float) -> bool:
        """Whether the journal has entry `number` within `timeout_s` (policy `audit = "strict"`)."""
        return await self._spool.wait_acknowledged(number, timeout_s)


def _goes_on(author: Author) -> bool:
    """Whose entries are recorded elsewhere when the spool takes nothing: platform admins', and the agent's own."""
    return author.kind == "agent" or (author.kind == "human" and ADMIN in author.roles)


def plain(value: object) -> JsonObject:
    """A msgspec value as a JSON object."""
    built = msgspec.to_builtins(value)
    assert isinstance(built, dict)
    return built

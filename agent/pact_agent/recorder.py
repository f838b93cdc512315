"""Turns what happens in sessions into journal drafts and puts them into the spool.

The only writer of entries about people's acts. What can't be recorded doesn't run: `intent`
raises when the spool can't take the entry, and the executor stops there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from pact_agent.clock import Clock, timestamp
from pact_agent.records import Unnumbered
from pactsh.model.entry import Author
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject


class SpoolLike(Protocol):
    """What the recorder needs of the spool."""

    async def append(self, draft: Unnumbered) -> int:
        """Return the draft's number once it is synced."""

    def level(self) -> str:
        """`normal`, `read-only` or `unwritable`."""

    async def wait_acknowledged(self, number: int, timeout_s: float) -> bool:
        """Wait until the journal has it."""


class Recorder:
    """Writes entries of one node."""

    def __init__(self, spool: SpoolLike, node: str, clock: Clock) -> None:
        self._spool, self._scope, self._clock = spool, f"node:{node}", clock
        self.policy = ""

    def level(self) -> str:
        """How well recording works: `normal`, `read-only`, `unwritable`."""
        return self._spool.level()

    async def write(
        self, kind: str, identity: Identity, body: JsonObject, *, session: str = "", message: str = ""
    ) -> int:
        """Record an entry of type `kind`; returns its spool number once it is durable. Raises PactError."""
        author = Author(identity.principal, identity.roles, identity.kind)
        draft = Unnumbered(
            time=timestamp(self._clock.now()),
            type=kind,
            scope=self._scope,
            author=author,
            session=session,
            message=message,
            body=body,
            policy=self.policy,
        )
        return await self._spool.append(draft)

    async def acknowledged(self, number: int, timeout_s: float) -> bool:
        """Whether the journal has entry `number` within `timeout_s` (policy `audit = "strict"`)."""
        return await self._spool.wait_acknowledged(number, timeout_s)


def plain(value: object) -> JsonObject:
    """A msgspec value as a JSON object."""
    built = msgspec.to_builtins(value)
    assert isinstance(built, dict)
    return built

"""A store whose head is signed: at intervals, at the end of sessions, and when it stops.

Every append is answered with the newest signed head, so that those who append keep heads
which nobody can later deny.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pactsh.errors import PactError
from pactsh.journal.chain import Record
from pactsh.journal.heads import head_checker, public_bytes, sign_head
from pactsh.journal.store import CorruptError, Outcome, Store
from pactsh.model.entry import Author, Draft, Head, JsonObject

_log = logging.getLogger(__name__)
# Entries after which the head is signed before anyone is told that they are durable.
SIGNED_TYPES = frozenset({"session.end", "agent.stop"})


def now_text() -> str:
    """The present time as entries have it."""
    return time_text(datetime.now(UTC))


def time_text(moment: datetime) -> str:
    """A time as entries have it.

    >>> time_text(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00.000000Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Ledger:
    """A store, the key that signs its head, and when that happens."""

    def __init__(
        self,
        store: Store,
        key: Ed25519PrivateKey,
        *,
        clock: Callable[[], str] = now_text,
        head_every: int = 256,
        head_interval_s: float = 10.0,
    ) -> None:
        self.store = store
        self._key = key
        self._clock = clock
        self._head_every = head_every
        self._head_interval_s = head_interval_s
        self._head: Head | None = None
        self._signing = asyncio.Lock()
        self._client = f"journal:{uuid.uuid4()}"
        self._number = 0

    @property
    def head(self) -> Head | None:
        """The newest signed head; none before the first entry."""
        return self._head

    async def start(self) -> None:
        """Take up the last head. Raises `CorruptError` when the chain does not carry it."""
        head = await self.store.last_head()
        if head is not None:
            if not head_checker(public_bytes(self._key))(head):
                raise CorruptError(
                    f"the head at entry {head.seq} was not signed by this journal's key",
                    hint="does the database belong to these keys? run pact-journal verify",
                )
            record = await self.store.get(head.seq)
            if record is None or record.hash != head.hash:
                raise CorruptError(f"entry {head.seq} is not the one that was signed", hint="run pact-journal verify")
        self._head = head

    async def append(self, draft: Draft) -> Record:
        """Append one draft as `Store.append` does."""
        (outcome,), _ = await self.append_batch([draft])
        if isinstance(outcome, PactError):
            raise outcome
        return outcome

    async def append_batch(self, drafts: Sequence[Draft]) -> tuple[list[Outcome], Head | None]:
        """Append as `Store.append_batch` does; also gives the newest head."""
        outcomes = await self.store.append_batch(drafts)
        last = max((o.seq for o in outcomes if isinstance(o, Record)), default=0)
        signed = self._head.seq if self._head else 0
        if last > signed and (last - signed >= self._head_every or any(draft.type in SIGNED_TYPES for draft in drafts)):
            await self.sign()
        return outcomes, self._head

    async def record(
        self, entry_type: str, scope: str, author: Author, *, message: str = "", body: JsonObject | None = None
    ) -> Record:
        """Append an entry of the journal's own."""
        self._number += 1
        return await self.append(
            Draft(
                client=self._client,
                number=self._number,
                time=self._clock(),
                type=entry_type,
                scope=scope,
                author=author,
                message=message,
                body=body,
            )
        )

    async def sign(self) -> Head | None:
        """Sign the last entry now, unless it is signed already; gives the newest head."""
        async with self._signing:
            tip = await self.store.last()
            if tip.seq == 0 or (self._head is not None and self._head.seq >= tip.seq):
                return self._head
            head = sign_head(self._key, tip.seq, tip.hash, self._clock())
            await self.store.add_head(head)
            self._head = head
            return head

    async def sign_at_intervals(self) -> None:
        """Sign what is new every interval, until cancelled."""
        while True:
            await asyncio.sleep(self._head_interval_s)
            try:
                await self.sign()
            except PactError as error:
                _log.error("journal: could not sign the head: %s (%s)", error.message, error.detail)

    async def close(self) -> None:
        """Sign the head a last time and close the store."""
        try:
            await self.sign()
        except PactError as error:
            _log.error("journal: stopped without a signed head: %s (%s)", error.message, error.detail)
        await self.store.close()

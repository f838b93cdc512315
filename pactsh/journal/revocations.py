"""What this journal no longer lets in: asked at each call, and told of calls that are open while it happens.

The rule for what is handed out here (certificates): take its date, keep its entry, then ask `check` a last time, with
nothing awaited before the answer. A revocation is in force here from the moment at which its own date is taken. So what
gets past that last question has an earlier date, and is covered by the later one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from pactsh.errors import AuthError
from pactsh.model.revocation import NODE, PERSON, Key, Revocation, before_of, key_of, later

_LONGEST_WAIT_S = 1.0


class Proof(NamedTuple):
    """Whom a token or a certificate is for, and when it was issued (seconds since the epoch)."""

    kind: str
    subject: str
    issued_at: float


class Revocations:
    """`known` is the fold of the entries (`Projections.revoked`), which grows by itself."""

    def __init__(self, known: Mapping[Key, Revocation], clock: Callable[[], datetime]) -> None:
        self._known, self._clock = known, clock
        self._begun: dict[Key, Revocation] = {}
        self._open: dict[asyncio.Timeout, Proof] = {}
        self._ahead_s = 0.0

    def find(self, proof: Proof) -> Revocation | None:
        """The revocation that covers `proof`."""
        found = self._of(proof.kind, proof.subject)
        return found if found is not None and found.covers(proof.issued_at) else None

    def check(self, proof: Proof) -> None:
        """Raise `AuthError` when it no longer counts."""
        if (found := self.find(proof)) is not None:
            raise refusal(found)

    def check_joining(self, node: str, issued_at: float) -> None:
        """Raise `AuthError` for a join token made before the node was revoked. These carry fractions of seconds, of the
        same clock: one that was made within the same second is good."""
        found = self._of(NODE, node)
        if found is not None and issued_at <= datetime.fromisoformat(found.time).timestamp():
            raise refusal(found)

    async def wait_to_issue(self, node: str) -> None:
        """Wait until what is issued to the node counts: to the end of the second in which it was revoked. Raises
        `AuthError` when a clock that was put back keeps it from counting for longer."""
        found = self._of(NODE, node)
        if found is not None and found.covers(now := self._clock().timestamp()):
            await asyncio.sleep(min(found.before - now, _LONGEST_WAIT_S))
            self.check(Proof(NODE, node, self._clock().timestamp()))

    def _of(self, kind: str, subject: str) -> Revocation | None:
        key = key_of(kind, subject)
        known, begun = self._known.get(key), self._begun.get(key)
        return known if begun is None else later(known, begun)

    def seen(self, issued_at: datetime) -> None:
        """A token of that date was shown. An issuer's clock may be ahead of ours, by no more than its verifier lets
        pass; what it dates ahead is taken back with the rest."""
        self._ahead_s = max(self._ahead_s, (issued_at - self._clock()).total_seconds())

    def begin(self, kind: str, subject: str, by: str, message: str) -> Revocation:
        """Refuse from now on what was issued to that one until now; `end` says what became of the entry."""
        now = self._clock()
        ahead_s = self._ahead_s if kind == PERSON else 0.0
        made = Revocation(
            kind, subject, before_of(now.timestamp() + ahead_s), by, now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), message
        )
        self._begun[made.key] = made
        return made

    def end(self, made: Revocation, *, kept: bool) -> None:
        """It is in `known` now, and open calls end; or it is not `kept`, and all is as it was."""
        if self._begun.get(made.key) is made:
            del self._begun[made.key]
        if kept:
            now = asyncio.get_running_loop().time()
            for limit, proof in self._open.items():
                if not limit.expired() and self.find(proof) is not None:
                    limit.reschedule(now)

    @contextmanager
    def watched(self, limit: asyncio.Timeout, proof: Proof) -> Iterator[None]:
        """Let `limit` run out when `proof` is revoked meanwhile."""
        self._open[limit] = proof
        try:
            yield
        finally:
            del self._open[limit]


def refusal(found: Revocation) -> AuthError:
    """What is said to whom it covers: not why, as that may be somebody who has stolen it."""
    if found.kind == PERSON:
        return AuthError(str(found), hint="pact login")
    hint = f"only a new join token brings it back: pact-journal join-token {found.subject} --vcluster V"
    return AuthError(str(found), hint=hint)

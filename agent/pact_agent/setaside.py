"""What to do with an entry that the journal refuses for good: keep it in a file, and say so in an entry.

It must neither stop the entries behind it nor disappear. `refused.jsonl` in the spool's directory holds
the draft and the reason, one JSON object a line, synced before the spool forgets the entry.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import msgspec

from pact_agent.clock import Clock, timestamp
from pact_agent.records import Unnumbered
from pact_agent.spool import Spool
from pactsh.errors import PactError
from pactsh.model.entry import Author, Draft

log = logging.getLogger(__name__)

# The journal will say the same tomorrow.
FINAL_KINDS = frozenset({"usage", "forbidden", "policy", "not-found", "conflict", "not-whitelisted"})
# Its own trouble (a full disk) or ours (a certificate to renew): tried again until it is over.
PASSING_KINDS = frozenset({"timeout", "auth"})
MAX_TRIES = 5  # of anything else
_REASON = "refused-by-journal"


class SetAside:
    """Decides about refused drafts of one spool."""

    def __init__(self, path: Path, spool: Spool, clock: Clock) -> None:
        self._path, self._spool, self._clock = path, spool, clock
        self._tries: dict[int, int] = {}

    async def settle(self, draft: Draft, error: PactError) -> None:
        """Make it safe for the spool to forget `draft`; raises `error` when it should be sent again.

        Raises OSError or `SpoolError` when the refusal itself can't be kept; then too it is sent again.
        """
        if error.kind in PASSING_KINDS:
            raise error
        tries = self._tries[draft.number] = self._tries.get(draft.number, 0) + 1
        if error.kind not in FINAL_KINDS and tries < MAX_TRIES:
            raise error
        del self._tries[draft.number]
        body = draft.body or {}
        if error.kind == "conflict":
            await self._number_taken(draft)
            return
        log.error("the journal refuses entry %d (%s): %s", draft.number, draft.type, error.message)
        self._keep(draft, error)
        if body.get("reason") == _REASON:
            return  # the report of a refusal was itself refused: once is enough
        await self._spool.append(
            Unnumbered(
                time=timestamp(self._clock.now()),
                type="audit.degraded",
                scope=draft.scope if draft.scope.startswith("node:") else "global",
                author=Author(principal=draft.client.rpartition(":")[0], kind="agent"),
                session=draft.session,
                message=f"the journal refuses entry {draft.number} ({draft.type}): {error.message}"[:500],
                body={
                    "reason": _REASON,
                    "client": draft.client,
                    "number": draft.number,
                    "type": draft.type,
                    "kind": error.kind,
                    "kept_in": str(self._path),
                },
            )
        )

    async def _number_taken(self, draft: Draft) -> None:
        """The journal holds something else under this number: the spool is an old copy of itself (a
        restored snapshot), or its entry can't be read any more and the journal has the real one."""
        body = draft.body or {}
        if draft.type == "audit.degraded" and body.get("reason") == "unreadable":
            log.warning("entry %d can't be read here, but the journal has it", draft.number)
            return
        fields = {f: getattr(draft, f) for f in Unnumbered.__struct_fields__}
        number = await self._spool.append(Unnumbered(**fields))
        log.error("number %d of %s is taken; recorded again as %d", draft.number, draft.client, number)

    def _keep(self, draft: Draft, error: PactError) -> None:
        record = {"kind": error.kind, "error": error.message, "draft": msgspec.to_builtins(draft)}
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)

"""Events for whoever watches the journal's log: approvals, revocations, emergencies, GPUs; a JSON object a line.

`component`, `entry_type`, `scope` and `author` are what a log shipper (Loki, for one) makes its labels of; the rest
says what it was about. They follow the entries, so that one is told once it is durable; `seq` makes it out.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from pactsh.journal.chain import Record
from pactsh.journal.drafts import BEGUN, DONE
from pactsh.journal.store import Query, Store
from pactsh.model import approval, revocation

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger("pact.events")
TYPES = (
    *approval.TYPES,
    revocation.TYPE,
    "emergency.start",
    "emergency.end",
    "emergency.stale",
    "gpu.health",
    BEGUN,
    DONE,
)
_CHUNK = 500
_TOLD = (
    "id",
    "action",
    "vcluster",
    "requester",
    "expires",
    "status",
    "target",
    "kind",
    "subject",
    "gpu",
    "pci",
    "before",
    "after",
)


class Events:
    """Follows a store from now on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, seen: int) -> None:
        """Tell of each entry after `seen`, until cancelled."""
        while True:
            tip = await self._store.wait_beyond(seen)
            while seen < tip:
                found = await self._store.query(Query(types=TYPES, from_seq=seen + 1, to_seq=tip, limit=_CHUNK))
                for record in found:
                    _log.info("event %s", json.dumps(event_of(record), sort_keys=True))
                seen = found[-1].seq if len(found) == _CHUNK else tip


def event_of(record: Record) -> JsonObject:
    """The event that an entry is. What is to be done stays in the entry: it may be long, and not for everybody."""
    entry = record.entry()
    about = {name: value for name, value in (entry.body or {}).items() if name in _TOLD}
    return {
        **about,
        "component": "pact-journal",
        "entry_type": entry.type,
        "scope": entry.scope,
        "author": entry.author.principal,
        "seq": entry.seq,
        "time": entry.time,
        "message": entry.message,
    }

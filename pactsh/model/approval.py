"""Two-person approval: what somebody wants to do, and what a second person says to it.

Folded from the entries `approval.requested`, `.approved`, `.denied`, `.expired` and `.done` (DESIGN.md, section 7). The
first decision is the only one: the journal keeps one entry for each step of an approval.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec

from pactsh.model.entry import Author, Entry

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject
else:
    from typing import Any

    JsonObject = dict[str, Any]

REQUESTED, APPROVED, DENIED, EXPIRED, DONE = (
    "approval.requested", "approval.approved", "approval.denied", "approval.expired", "approval.done",
)  # fmt: skip
TYPES = (REQUESTED, APPROVED, DENIED, EXPIRED, DONE)
AT_NODE = frozenset(
    {"commit", "rollback", "blacklist", "emergency_start", "emergency_end", "shell", "exec", "service_start",
     "service_stop", "service_restart"}
)  # fmt: skip
"""Actions that a node's agent asks for, and executes."""
_STATES = {APPROVED: "approved", DENIED: "denied", EXPIRED: "expired"}


class Approval(msgspec.Struct, frozen=True):
    """One request. `operation` is all it takes to do it later, {} once it is over; `expires` is when nobody may decide
    any more (RFC 3339).

    `state`: `pending`, then `approved`, `denied` or `expired`; `done` once it was executed, with the exit status that
    would have been the requester's, and the kind and text of an error.
    """

    id: str
    action: str
    scope: str
    vcluster: str
    summary: str
    requester: Author
    requested: str
    expires: str
    operation: JsonObject = {}
    state: str = "pending"
    by: str = ""
    reason: str = ""
    status: int | None = None
    kind: str = ""
    message: str = ""
    seq: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it waits for a decision, or for being executed."""
        return self.state in {"pending", "approved"}

    @property
    def node(self) -> str:
        """The node it is about, "" for a whole vCluster."""
        return self.scope.removeprefix("node:") if self.scope.startswith("node:") else ""


class ApprovalsView:
    """All requests that the entries tell of. Those that are open, and those that have changed, are found without going
    through the rest: a journal holds years of them, and every agent asks again at every change."""

    def __init__(self) -> None:
        self._all: dict[str, Approval] = {}
        self._open: dict[str, Approval] = {}
        self._changed: dict[str, None] = {}  # ids, the one that changed last at the end

    def get(self, id_: str) -> Approval | None:
        """The one of that id, if there is one."""
        return self._all.get(id_)

    def __getitem__(self, id_: str) -> Approval:
        return self._all[id_]

    def all(self) -> list[Approval]:
        """All of them, oldest first."""
        return [*self._all.values()]

    def open(self) -> list[Approval]:
        """Those that are open, oldest first."""
        return [*self._open.values()]

    def changed_since(self, seq: int) -> list[Approval]:
        """Those that an entry after `seq` is about, in the order of their last ones."""
        latest = takewhile(lambda approval: approval.seq > seq, (self._all[id_] for id_ in reversed(self._changed)))
        return [*latest][::-1]

    def keep(self, approval: Approval) -> None:
        """Take it in the place of what was known of it; its `seq` is above all others."""
        if not approval.is_open:
            approval = msgspec.structs.replace(approval, operation={})  # up to 1 MiB each; its entry has it for ever
        self._all[approval.id] = approval
        self._changed.pop(approval.id, None)
        self._changed[approval.id] = None
        if approval.is_open:
            self._open[approval.id] = approval
        else:
            self._open.pop(approval.id, None)


def fold(known: ApprovalsView, entry: Entry) -> None:
    """Take one entry in. What does not belong to a request that is known is left out."""
    body = entry.body or {}
    id_ = body.get("id")
    if not isinstance(id_, str):
        return
    if entry.type == REQUESTED:
        if known.get(id_) is None:
            known.keep(requested(entry))
        return
    old = known.get(id_)
    if old is None or (entry.type == DONE and entry.scope != old.scope):
        return
    if entry.type in _STATES and old.state == "pending":
        state = _STATES[entry.type]
        decided = msgspec.structs.replace(
            old, state=state, by=entry.author.principal, reason=entry.message, seq=entry.seq
        )
        known.keep(decided)
    elif entry.type == DONE and old.state == "approved":
        status = body.get("status")
        done = msgspec.structs.replace(
            old,
            state="done",
            status=status if isinstance(status, int) else None,
            kind=str(body.get("kind") or ""),
            message=entry.message,
            seq=entry.seq,
        )
        known.keep(done)


def requested(entry: Entry) -> Approval:
    """The request that an entry of its type is."""
    body = entry.body or {}
    operation = body.get("operation")
    return Approval(
        id=str(body.get("id")),
        action=str(body.get("action")),
        scope=entry.scope,
        vcluster=str(body.get("vcluster")),
        summary=entry.message,
        requester=entry.author,
        requested=entry.time,
        expires=str(body.get("expires")),
        operation=operation if isinstance(operation, dict) else {},
        seq=entry.seq,
    )

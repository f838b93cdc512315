"""Delegated deeds that a second person has to agree to: what is asked for, and who does it then.

The journal does it itself where the system is one that it is told of ([lattice], [openchami]; `pactsh.journal.doing`).
Else whoever asked for it does, when their pact comes back with the approval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pactsh.delegates.deeds import OPENCHAMI_NODE, Systems
from pactsh.errors import BY_KIND, ConflictError, ForbiddenError, NotFoundError, PactError, UsageError
from pactsh.journal.deeds import BY_JOURNAL, READS, Deeds, Target, check_facts
from pactsh.journal.doing import UNKNOWN, Doing, Finish, check_still_there, last_moment, parts
from pactsh.journal.projections import Projections
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.model.approval import Approval
    from pactsh.model.entry import Entry, JsonObject

ACTION = "delegate"
"""What approvals of these are called; the deed itself is in their operation."""
_LONGEST = timedelta(hours=24)


class Delegated:
    """Over the approvals in `views`; `finish` puts the end of one on record."""

    def __init__(
        self,
        deeds: Deeds,
        views: Projections,
        systems: Systems,
        finish: Finish,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._deeds, self._views, self._systems, self._finish = deeds, views, systems, finish
        self._clock = clock
        self._doing = Doing(deeds, views, systems, finish, self.ended, clock)

    def does(self, action: str) -> bool:
        """Whether the journal itself does that, once it is agreed to."""
        return (self._systems.openchami if action in OPENCHAMI_NODE else self._systems.lattice) is not None

    # -- asking, and coming back with it

    async def check_request(self, who: Identity, vcluster: str, operation: JsonObject) -> JsonObject:
        """The operation as it is kept: with who will do it. Raises what beginning it would, a second person apart."""
        action, names, facts = parts(operation)
        if action in READS:
            raise UsageError(f"{action}: nobody has to agree to it")
        targets = self._deeds.targets(action, names, vcluster)
        check_facts(action, targets, facts)
        foreign = [target.name for target in targets if target.vcluster != vcluster]
        if foreign:
            raise UsageError(
                f"{action}: {foreign[0]} is not in vcluster {vcluster}", hint="ask for each vCluster's own"
            )
        await self._deeds.check_all(who, action, targets, facts)
        return {**operation, BY_JOURNAL: self.does(action)}

    def check_approved(
        self, id_: str, who: Identity, action: str, targets: Sequence[Target], facts: JsonObject
    ) -> JsonObject:
        """What the entries say of the approval; raises where it is not for just this, by just them."""
        approval = self._views.approvals.get(id_)
        if approval is None or approval.action != ACTION:
            raise NotFoundError(
                f"no approval {id_[:40]!r} of a delegation", hint="pact approve list shows what is open"
            )
        if approval.requester.principal.casefold() != who.principal.casefold():
            raise ForbiddenError(f"{id_} was asked for by {approval.requester.principal}")
        if approval.state != "approved":
            raise ConflictError(f"{id_} is {approval.state}, not approved")
        if self._clock() >= last_moment(approval):
            raise ConflictError(f"{id_} is over its time", hint="it has to be asked for again")
        asked, names, said = parts(approval.operation)
        if (asked, sorted(names), said) != (action, sorted(target.name for target in targets), facts):
            raise ConflictError(f"{id_} is for something else: {asked} {', '.join(names)[:200]}")
        if approval.operation.get(BY_JOURNAL):
            raise ConflictError(f"{id_} is done by the journal itself")
        check_still_there(approval, targets)
        return {"approval": id_, "approved_by": approval.by}

    async def ended(self, id_: str) -> None:
        """One of its targets has an outcome: when all have, so has the approval."""
        approval = self._views.approvals.get(id_)
        if approval is None or approval.state != "approved" or approval.action != ACTION:
            return
        entries = []
        for name in reversed(parts(approval.operation)[1]):  # the last one is mostly the one that has none yet
            outcome = await self._deeds.ended(id_, name)
            if outcome is None:
                return
            entries.append(outcome.entry())
        entries.reverse()
        statuses = [status if isinstance(status := (entry.body or {}).get("status"), int) else 1 for entry in entries]
        worst = max(statuses, default=0)
        failed = [entry.message for entry, status in zip(entries, statuses, strict=True) if status]
        text = "; ".join(failed or [entry.message for entry in entries])
        await self._finish(approval, worst, _kind_of(entries[statuses.index(worst)]) if worst else "", text)

    # -- what is to become of it

    async def look_at(self, approval: Approval) -> None:
        """What an approved one needs: to be done by the journal, or to be given up where nobody came back for it."""
        if approval.operation.get(BY_JOURNAL):
            self._doing.begin(approval)
            return
        is_begun = await self._deeds.begun(approval.id, parts(approval.operation)[1][0]) is not None
        limit = last_moment(approval) + (_LONGEST if is_begun else timedelta())
        if self._clock() >= limit:
            who = approval.requester.principal
            text = f"{UNKNOWN}{who} has not told" if is_begun else f"{who} did not come back for it in time"
            await self._finish(approval, 5, "timeout", text)

    async def close(self) -> None:
        """Let go of what the journal does."""
        await self._doing.close()


def _kind_of(entry: Entry) -> str:
    """The kind of the error that an outcome was, where it says so: whoever approved it gets that exit status."""
    details = (entry.body or {}).get("details")
    kind = details.get("kind") if isinstance(details, dict) else None
    return kind if isinstance(kind, str) and kind in BY_KIND else PactError.kind

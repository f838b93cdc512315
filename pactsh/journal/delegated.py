"""Delegated deeds that a second person has to agree to: what is asked for, and who does it then.

The journal does it itself where the system is one that it is told of ([lattice], [openchami]): once, though everybody
has gone. Else whoever asked for it does, when their pact comes back with the approval.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pactsh.delegates.deeds import LATTICE_NODE, OPENCHAMI_NODE, Systems, perform
from pactsh.errors import ConflictError, ForbiddenError, NotFoundError, PactError, UsageError
from pactsh.journal.aside import aside
from pactsh.journal.deeds import Deeds, Target
from pactsh.journal.projections import Projections
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.delegates.answer import Answer
    from pactsh.model.approval import Approval
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

ACTION = "delegate"
"""What approvals of these are called; the deed itself is in their operation."""
GRACE = timedelta(minutes=5)
_LONGEST = timedelta(hours=24)
_TIMEOUT_S = 30.0
_UNKNOWN = "what came of it is not known: "

Finish = Callable[["Approval", int, str, str], Awaitable[None]]
"""Ends an approval, with a status, the kind of an error and a text."""


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
        self._running: dict[str, asyncio.Task[None]] = {}

    def does(self, action: str) -> bool:
        """Whether the journal itself does that, once it is agreed to."""
        return (self._systems.openchami if action in OPENCHAMI_NODE else self._systems.lattice) is not None

    # -- asking, and coming back with it

    async def check_request(self, who: Identity, vcluster: str, operation: JsonObject) -> JsonObject:
        """The operation as it is kept: with who will do it. Raises what beginning it would, a second person apart."""
        action, names, facts = _parts(operation)
        targets = self._deeds.targets(action, names, vcluster)
        foreign = [target.name for target in targets if target.vcluster != vcluster]
        if foreign:
            raise UsageError(
                f"{action}: {foreign[0]} is not in vcluster {vcluster}", hint="ask for each vCluster's own"
            )
        await self._deeds.check_all(who, action, targets, facts)
        return {**operation, "by_journal": self.does(action)}

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
        asked, names, said = _parts(approval.operation)
        if (asked, sorted(names), said) != (action, sorted(target.name for target in targets), facts):
            raise ConflictError(f"{id_} is for something else: {asked} {', '.join(names)[:200]}")
        if approval.operation.get("by_journal"):
            raise ConflictError(f"{id_} is done by the journal itself")
        _check_still_there(approval, targets)
        return {"approval": id_, "approved_by": approval.by}

    async def ended(self, id_: str) -> None:
        """One of its targets has an outcome: when all have, so has the approval."""
        approval = self._views.approvals.get(id_)
        if approval is None or approval.state != "approved" or approval.action != ACTION:
            return
        outcomes = [await self._deeds.ended(id_, name) for name in _parts(approval.operation)[1]]
        if any(outcome is None for outcome in outcomes):
            return
        entries = [outcome.entry() for outcome in outcomes if outcome is not None]
        statuses = [status if isinstance(status := (entry.body or {}).get("status"), int) else 1 for entry in entries]
        worst = max(statuses, default=0)
        failed = [entry.message for entry, status in zip(entries, statuses, strict=True) if status]
        text = "; ".join(failed or [entry.message for entry in entries])
        await self._finish(approval, worst, "error" if worst else "", text)

    # -- doing

    async def look_at(self, approval: Approval) -> None:
        """What an approved one needs: to be done by the journal, or to be given up where nobody came back for it."""
        if approval.operation.get("by_journal"):
            if approval.id not in self._running:
                task = asyncio.create_task(self._do(approval), name=f"delegation {approval.id}")
                self._running[approval.id] = task
                task.add_done_callback(lambda _: self._running.pop(approval.id, None))
            return
        _, names, _ = _parts(approval.operation)
        is_begun = await self._deeds.begun(approval.id, names[0]) is not None
        limit = datetime.fromisoformat(approval.expires) + (_LONGEST if is_begun else GRACE)
        if self._clock() >= limit:
            who = approval.requester.principal
            text = f"{_UNKNOWN}{who} has not told" if is_begun else f"{who} did not come back for it in time"
            await self._finish(approval, 5, "timeout", text)

    async def close(self) -> None:
        """Let go of what is under way: what the other systems do of it they do all the same."""
        tasks = [*self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self, approval: Approval) -> None:
        try:
            await self._do_all(approval)
        except PactError as error:
            _log.error("delegation %s: %s", approval.id, error.message)
            await self._finish(approval, error.code, error.kind, error.message)
        except Exception:  # noqa: BLE001  the top of a task
            _log.exception("delegation %s", approval.id)
            await self._finish(approval, 1, "error", "an internal error: see the journal's log")

    async def _do_all(self, approval: Approval) -> None:
        action, names, facts = _parts(approval.operation)
        await self._deeds.catch_up()
        targets = self._deeds.targets(action, names, approval.vcluster)
        _check_still_there(approval, targets)
        was_begun = await self._deeds.begun(approval.id, names[0]) is not None
        if not was_begun:
            author = approval.requester
            who = Identity(author.principal, author.roles, author.kind, "approval")
            await self._deeds.check_all(who, action, targets, facts)
            kept: JsonObject = {"approval": approval.id, "approved_by": self._views.approvals[approval.id].by}
            await self._deeds.begin(approval.id, action, targets, author, facts, kept)
        for target in targets:
            begun = await self._deeds.begun(approval.id, target.name)
            if begun is None or await self._deeds.ended(approval.id, target.name) is not None:
                continue
            if was_begun and action not in LATTICE_NODE:  # those can be asked for again
                text = f"{_UNKNOWN}the journal ended while it was under way"
                await self._deeds.end(begun, 5, text, {})
                continue
            status, text, details = await self._outcome(action, target.name, facts, approval.requester.principal)
            await self._deeds.end(begun, status, text, details)
        await self.ended(approval.id)

    async def _outcome(self, action: str, name: str, facts: JsonObject, user: str) -> tuple[int, str, JsonObject]:
        def call() -> Answer:
            return perform(self._systems, action, name, facts, user=user, timeout_s=_TIMEOUT_S)

        try:
            answer = await aside(call, f"{action} {name}")
        except PactError as error:
            return error.code, error.message, {"kind": error.kind, "hint": error.hint}
        return 0, answer.text, dict(answer.details)  # type: ignore[arg-type]  # JSON, as answers are


def _check_still_there(approval: Approval, targets: Sequence[Target]) -> None:
    """A second person of one vCluster has agreed, of no other."""
    moved = [target.name for target in targets if target.vcluster != approval.vcluster]
    if moved:
        raise ConflictError(f"{approval.id}: {moved[0]} is not in vcluster {approval.vcluster} any more")


def _parts(operation: JsonObject) -> tuple[str, list[str], JsonObject]:
    """Action, targets and facts of an operation; raises `UsageError`."""
    body = operation.get("body")
    found = body if isinstance(body, dict) else {}
    action, names, facts = (found.get(key) for key in ("action", "targets", "facts"))
    if not isinstance(action, str) or not isinstance(names, list) or not isinstance(facts, dict):
        raise UsageError("a delegation is an action, targets and facts")
    if not names or not all(isinstance(name, str) for name in names):
        raise UsageError("a delegation has targets, which are texts")
    return action, [str(name) for name in names], facts

"""Delegated deeds that a second person has agreed to, done by the journal itself: once, though everybody has gone.

It acts with credentials of its own, which may do more than who asked. So what it does is looked at again before: whose
the targets are by now, in pact and, of jobs, in lattice. After a restart nothing is done twice but what may be.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pactsh.delegates.deeds import LATTICE_NODE, OPENCHAMI_NODE, Systems, perform
from pactsh.delegates.limited import LimitedError
from pactsh.errors import ConflictError, ForbiddenError, PactError, UnreachableError, UsageError
from pactsh.journal.aside import aside
from pactsh.journal.deeds import BY_JOURNAL, Deeds, Target
from pactsh.journal.projections import Projections
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.delegates.answer import Answer
    from pactsh.model.approval import Approval
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

GRACE = timedelta(minutes=5)
UNKNOWN = "what came of it is not known: "
_TIMEOUT_S = 30.0
_LIMITED_S, _LIMITED_PAUSE_S = 600.0, 3.0  # where the other system limits the calls of a minute
_AT_ONCE, _AT_ONCE_MINUTES = 8, 32  # reboots take minutes each

Finish = Callable[["Approval", int, str, str], Awaitable[None]]
"""Ends an approval, with a status, the kind of an error and a text."""
Outcome = tuple[int, str, "JsonObject"]


class Doing:
    """`finish` ends an approval that came to nothing, `ended` one whose targets all have their outcome."""

    def __init__(
        self,
        deeds: Deeds,
        views: Projections,
        systems: Systems,
        finish: Finish,
        ended: Callable[[str], Awaitable[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._deeds, self._views, self._systems = deeds, views, systems
        self._finish, self._ended, self._clock = finish, ended, clock
        self._running: dict[str, asyncio.Task[None]] = {}

    def begin(self, approval: Approval) -> None:
        """Do it in the background, unless that is under way."""
        if approval.id not in self._running:
            task = asyncio.create_task(self._do(approval), name=f"delegation {approval.id}")
            self._running[approval.id] = task
            task.add_done_callback(lambda _: self._running.pop(approval.id, None))

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
            await self._given_up(approval, error.code, error.kind, error.message)
        except Exception:  # noqa: BLE001  the top of a task
            _log.exception("delegation %s", approval.id)
            await self._given_up(approval, 1, "error", "an internal error: see the journal's log")

    async def _given_up(self, approval: Approval, status: int, kind: str, text: str) -> None:
        """Its end, unless that can't be put on record either: then it is looked at again."""
        try:
            await self._finish(approval, status, kind, text)
        except PactError as error:
            _log.error("delegation %s: %s", approval.id, error.message)

    async def _do_all(self, approval: Approval) -> None:
        action, names, facts = parts(approval.operation)
        await self._deeds.catch_up()
        now = self._views.approvals.get(approval.id)
        if now is None or now.state != "approved":  # it has ended since somebody looked
            return
        targets = self._deeds.targets(action, names, approval.vcluster)
        is_late = self._clock() >= last_moment(approval)
        if await self._deeds.begun(approval.id, names[0]) is None:
            if is_late:
                raise UnreachableError("the journal was not there in time")
            check_still_there(approval, targets)
            await self._begin(now, action, targets, facts)
            left = targets
        else:
            left = tuple([t for t in targets if not await self._is_settled(approval, t, action, is_late=is_late)])
        at_once = asyncio.Semaphore(_AT_ONCE_MINUTES if action in OPENCHAMI_NODE else _AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for target in left:
                group.create_task(self._do_one(approval, action, target, facts, at_once))
        await self._ended(approval.id)

    async def _begin(self, approval: Approval, action: str, targets: Sequence[Target], facts: JsonObject) -> None:
        """With the rights that its requester has by now."""
        author = approval.requester
        who = Identity(author.principal, author.roles, author.kind, "approval")
        await self._deeds.check_all(who, action, targets, facts)
        own: JsonObject = {"approval": approval.id, "approved_by": approval.by, BY_JOURNAL: True}
        await self._deeds.begin(approval.id, action, targets, author, facts, own)

    async def _is_settled(self, approval: Approval, target: Target, action: str, *, is_late: bool) -> bool:
        """Of what was begun before the journal ended: whether it has its outcome. What can't be asked for again, and
        what it is too late for, or is somebody else's by now, is given one."""
        begun = await self._deeds.begun(approval.id, target.name)
        if begun is None or await self._deeds.ended(approval.id, target.name) is not None:
            return True
        if action in LATTICE_NODE and not is_late and target.vcluster == approval.vcluster:
            return False
        await self._deeds.end(begun, 5, f"{UNKNOWN}the journal ended while it was under way, or could not write", {})
        return True

    async def _do_one(
        self, approval: Approval, action: str, target: Target, facts: JsonObject, at_once: asyncio.Semaphore
    ) -> None:
        async with at_once:
            status, text, details = await self._outcome(approval, action, target.name, facts)
        begun = await self._deeds.begun(approval.id, target.name)
        assert begun is not None
        try:
            try:
                await self._deeds.end(begun, status, text, details)
            except UsageError:  # the other system says what no entry can hold
                await self._deeds.end(begun, status, text, {})
        except PactError as error:  # of one: it is looked at again
            _log.error("delegation %s: %s: %s; not on record: %s", approval.id, target.name, text, error.message)

    async def _outcome(self, approval: Approval, action: str, name: str, facts: JsonObject) -> Outcome:
        def call() -> Answer:
            self._check_belongs(action, name, approval.vcluster)
            return perform(self._systems, action, name, facts, user=approval.requester.principal, timeout_s=_TIMEOUT_S)

        until = time.monotonic() + _LIMITED_S
        while True:
            try:
                answer = await aside(call, f"{action} {name}")
            except LimitedError as error:
                if time.monotonic() >= until:
                    return error.code, error.message, {"kind": error.kind, "hint": error.hint}
                await asyncio.sleep(_LIMITED_PAUSE_S)
            except PactError as error:
                return error.code, error.message, {"kind": error.kind, "hint": error.hint}
            except Exception:  # noqa: BLE001  of one: the others are done all the same
                _log.exception("delegation %s: %s", approval.id, name)
                return 1, f"{UNKNOWN}an internal error: see the journal's log", {}
            else:
                return 0, answer.text, dict(answer.details)  # type: ignore[arg-type]  # JSON, as answers are

    def _check_belongs(self, action: str, name: str, vcluster: str) -> None:
        """Raise `ForbiddenError` for jobs of another vCluster: who asks says which it is, and the journal's own token
        is good for all of them."""
        if action not in {"job_cancel", "dag_cancel"} or self._systems.lattice is None:
            return
        from pactsh.delegates.lattice.client import Lattice

        with Lattice(self._systems.lattice, timeout_s=_TIMEOUT_S) as lattice:
            jobs = (lattice.job(name),) if action == "job_cancel" else lattice.dag(name).jobs
        for job in jobs:
            if job.vcluster != vcluster:
                where = f"in vcluster {job.vcluster}" if job.vcluster else "in no vcluster"
                what = f"job {job.id}" if action == "job_cancel" else f"DAG {name}: its job {job.id}"
                raise ForbiddenError(f"{what} is {where}, where nobody has agreed to that")


def last_moment(approval: Approval) -> datetime:
    """After which nothing is begun that was agreed to."""
    return datetime.fromisoformat(approval.expires) + GRACE


def check_still_there(approval: Approval, targets: Sequence[Target]) -> None:
    """A second person of one vCluster has agreed, of no other."""
    moved = [target.name for target in targets if target.vcluster != approval.vcluster]
    if moved:
        raise ConflictError(f"{approval.id}: {moved[0]} is not in vcluster {approval.vcluster} any more")


def parts(operation: JsonObject) -> tuple[str, list[str], JsonObject]:
    """Action, targets and facts of an operation; raises `UsageError`."""
    body = operation.get("body")
    found = body if isinstance(body, dict) else {}
    action, names, facts = (found.get(key) for key in ("action", "targets", "facts"))
    if not isinstance(action, str) or not isinstance(names, list) or not isinstance(facts, dict):
        raise UsageError("a delegation is an action, targets and facts")
    if not names or not all(isinstance(name, str) for name in names):
        raise UsageError("a delegation has targets, which are texts")
    return action, [str(name) for name in names], facts

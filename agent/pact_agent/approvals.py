"""What waits here for a second person, and what is done once that one has agreed (DESIGN.md, section 7).

The journal keeps requests and decisions; it tells this node's agent, which executes. An approval is on disk as begun
before anything is done, and as done together with the entry that says so: whatever crashes in between, nothing is
executed twice. One that was begun and not finished is on record as such.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from pact_agent.declared import Declared
from pact_agent.recorder import Recorder
from pactsh.errors import NotFoundError, PactError, PolicyError, UnreachableError
from pactsh.model.approval import DONE, Approval
from pactsh.model.entry import Author

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)
BEGUN, FINISHED = "begun", "done"
_ASK_LIMIT_S = 5.0
_LATEST = timedelta(minutes=15)  # beyond its expiry: an approval may be on its way

Request = Callable[[str, bytes, str, bytes], Awaitable[Approval]]
Execute = Callable[[Approval], Awaitable[int]]


class Approvals:
    """Of one node. `request(action, operation, summary, requester)` asks the journal; `execute` does what nobody waits
    for any more and returns its status; `closed` is told of each that is decided otherwise, or done."""

    def __init__(
        self,
        declared: Declared,
        recorder: Recorder,
        agent: Author,
        *,
        request: Request,
        execute: Execute,
        closed: Callable[[Approval], Awaitable[None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._declared, self._recorder, self._agent = declared, recorder, agent
        self._request, self._execute, self._closed = request, execute, closed
        self._known: dict[str, Approval] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._attached: set[str] = set()
        self._running: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._marking = asyncio.Lock()
        self._given_up: set[str] = set()
        self._now = now

    def open_ids(self) -> list[str]:
        """Those that something here still waits for: asked about after the journal was away."""
        held = [held.id for held in self._declared.now.held]
        return [*dict.fromkeys([*held, *self._news, *(i for i, a in self._known.items() if a.is_open)])]

    async def ask(self, author: Author, action: str, operation: JsonObject, summary: str) -> Approval:
        """Ask for a second person. Raises `UnreachableError` without a journal, and what that refuses."""
        who = json.dumps({"principal": author.principal, "roles": author.roles, "kind": author.kind}).encode()
        try:
            async with asyncio.timeout(_ASK_LIMIT_S):
                approval = await self._request(action, json.dumps(operation).encode(), summary, who)
        except TimeoutError as error:
            raise UnreachableError(
                "the journal does not answer, and a second person can't be asked", hint="`pact status`"
            ) from error
        self._known.setdefault(approval.id, approval)
        return approval

    # -- waiting

    async def decided(self, id_: str) -> Approval:
        """It, once somebody has decided, or nobody in time. While someone waits here, what is approved is theirs to do:
        `begin` it, or `leave`."""
        self._attached.add(id_)
        return await self._when(id_, lambda approval: approval.state != "pending")

    async def over(self, id_: str) -> Approval:
        """It, once it is done, or will never be. Raises `NotFoundError` for one that this node does not know."""
        if id_ not in self._known:
            raise NotFoundError(f"no approval {id_[:40]!r} on this node", hint="pact approve list shows what is open")
        return await self._when(id_, lambda approval: not approval.is_open)

    async def _when(self, id_: str, is_so: Callable[[Approval], bool]) -> Approval:
        while True:
            known = self._known.get(id_)
            if known is not None and is_so(known):
                return known
            news = self._news.setdefault(id_, asyncio.Event())
            await news.wait()

    def leave(self, id_: str) -> None:
        """Nobody waits for it any more: it is executed here when it is approved."""
        self._attached.discard(id_)
        known = self._known.get(id_)
        if known is not None and known.state == "approved":
            self._start(known)

    # -- what the journal says

    async def arrived(self, approval: Approval) -> None:
        """One that is open, or has changed."""
        self._known[approval.id] = approval
        if (news := self._news.pop(approval.id, None)) is not None:
            news.set()
        if approval.state == "approved":
            if approval.id not in self._attached:
                self._start(approval)
        elif not approval.is_open:
            self._known.pop(approval.id)
            self._known[approval.id] = approval  # the last are kept for who asks late
            while len(self._known) > 1000:
                self._known.pop(next(iter(self._known)))
            try:
                await self._forget(approval.id)
                await self._closed(approval)
            except PactError as error:  # a disk that takes nothing must not cut the uplink
                _log.error("approval %s: %s", approval.id, error.message)

    async def _forget(self, id_: str) -> None:
        async with self._marking:
            marks = self._declared.now.approved
            if id_ in marks:
                rest = {known: mark for known, mark in marks.items() if known != id_}
                await self._declared.step(msgspec.structs.replace(self._declared.now, approved=rest))

    # -- executing

    def _start(self, approval: Approval) -> None:
        if approval.id in self._running | self._given_up or self._declared.now.approved.get(approval.id) == FINISHED:
            return
        self._running.add(approval.id)
        task = asyncio.get_running_loop().create_task(self._run(approval), name=f"approval {approval.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, approval: Approval) -> None:
        try:
            if self._declared.now.approved.get(approval.id) == BEGUN:
                await self.finish(approval.id, PactError("it was begun, and the agent ended before it was done"))
                return
            if self._now() - datetime.fromisoformat(approval.expires) > _LATEST:
                late = PolicyError("it was approved, but its time was over when this node could do it")
                await self.finish(approval.id, late)
                return
            await self.begin(approval.id)
            await self.finish(approval.id, await self._executed(approval))
        except PactError as error:
            _log.error("approval %s: %s", approval.id, error.message)
        finally:
            self._running.discard(approval.id)

    async def _executed(self, approval: Approval) -> PactError | int:
        try:
            return await self._execute(approval)
        except PactError as error:
            return error
        except Exception:  # noqa: BLE001  the top of a task: it is on record as begun and needs an end
            _log.exception("approval %s", approval.id)
            return PactError("it failed for a fault of pact's: please report it")

    async def begin(self, id_: str, unless: Callable[[], bool] = lambda: False) -> bool:
        """Put on disk that it is being done: from here on nobody else does it. False when by then it is not to be,
        for `unless`. Raises `PolicyError` when it was begun before, and what keeping it raises."""
        async with self._marking:  # which another's end may hold for as long as the disk takes
            if unless():
                return False
            saved = self._declared.now
            if id_ in saved.approved:
                raise PolicyError(f"{id_} is being executed already, or was")
            self._running.add(id_)
            try:
                await self._declared.step(msgspec.structs.replace(saved, approved={**saved.approved, id_: BEGUN}))
            except PactError:
                self._running.discard(id_)
                raise
            return True

    async def give_up(self, id_: str, why: PactError) -> None:
        """Who waited for it was told that it is not done: it must not be done after that, and is on record so."""
        self._given_up.add(id_)
        self._attached.discard(id_)
        try:
            await self.finish(id_, why)
        except PactError as error:
            _log.error("approval %s: %s", id_, error.message)

    async def finish(self, id_: str, outcome: PactError | int) -> None:
        """Put on record how it ended: an exit status, or an error."""
        failed = outcome if isinstance(outcome, PactError) else None
        body: JsonObject = {
            "id": id_,
            "status": failed.code if failed else outcome,  # type: ignore[dict-item]
            "kind": failed.kind if failed else "",
        }
        entry = self._recorder.draft(DONE, self._agent, body, message=failed.message[:500] if failed else "")
        async with self._marking:  # a step that fails takes its own mark back, and nobody else's
            saved = self._declared.now
            await self._declared.step(msgspec.structs.replace(saved, approved={**saved.approved, id_: FINISHED}), entry)
        self._attached.discard(id_)
        self._running.discard(id_)

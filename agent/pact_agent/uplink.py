"""The uplink: brings what is in the spool to the journal, in order, and what the journal says to the agent.

One connection carries three things: entries up (acknowledged in the spool once they are durable there), the
node's report up, the vCluster's policy down. When it is lost, the agent goes on and this comes back by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import msgspec

from pact_agent.backoff import Backoff
from pact_agent.setaside import SetAside
from pact_agent.spool import Spool
from pactsh.errors import AuthError, ForbiddenError, PactError, UnreachableError
from pactsh.model.approval import Approval
from pactsh.model.entry import Draft
from pactsh.model.overlay import Overlay
from pactsh.model.revocation import Revocation
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.append import AppendStream
from pactsh.rpc.client import Journal
from pactsh.rpc.wire import draft_bytes

log = logging.getLogger(__name__)

_BATCH_DRAFTS = 256
_BATCH_BYTES = 1 << 20
_BATCHES_UNDER_WAY = 4
_POLICY_RETRY_S = 30.0
_GATHER_S = 0.025
_ASK_S = 0.1


@dataclass(frozen=True, slots=True)
class Report:
    """What the agent says of its node. `details` is a JSON object."""

    node: str
    vcluster: str
    ssh_address: str
    state: str
    version: str
    details: bytes = b"{}"


async def _ignore(_approval: Approval) -> None:
    pass


class Uplink:
    """`run` it in a task of its own; it ends only when cancelled.

    `connected` and `last_error` are for whoever shows the state. `open_journal` is called for each connection, so
    renewed certificates are used. `on_policy(document, seq, judged)` gets each policy document (JSON), `on_overlay`
    each overlay of the vCluster, `on_sequenced(number, seq)` the journal's number of each entry, `on_approval` what
    becomes of those of this node; `open_approvals()` are those it was not told the end of. `on_member` gets the
    vCluster that the journal has this node in, `on_revoked(revocations, whole)` what was revoked.
    """

    def __init__(
        self,
        spool: Spool,
        open_journal: Callable[[], Journal],
        set_aside: SetAside,
        *,
        report: Callable[[], Report],
        on_policy: Callable[[bytes, int, bool], None],
        on_overlay: Callable[[Overlay], None] = lambda _overlay: None,
        on_sequenced: Callable[[int, int], None] = lambda _number, _seq: None,
        on_approval: Callable[[Approval], Awaitable[None]] = _ignore,
        open_approvals: Callable[[], Collection[str]] = list,
        on_member: Callable[[str], None] = lambda _vcluster: None,
        on_revoked: Callable[[list[Revocation], bool], None] = lambda _revocations, _whole: None,
        backoff: Backoff | None = None,
    ) -> None:
        self._spool = spool
        self._open_journal = open_journal
        self._set_aside = set_aside
        self._report = report
        self._on_policy, self._on_overlay, self._on_sequenced = on_policy, on_overlay, on_sequenced
        self._on_approval, self._open_approvals = on_approval, open_approvals
        self._on_member, self._on_revoked = on_member, on_revoked
        self._backoff = backoff or Backoff()
        self._report_now = asyncio.Event()
        self._journal: Journal | None = None
        self._answers = 0
        self.connected = False
        self.last_error = "not connected yet"

    def report_soon(self) -> None:
        """The node's report has changed: send it without waiting for its time."""
        self._report_now.set()

    async def hear(self, timeout_s: float) -> bool:
        """Whether the journal answers to a report sent from now on, within that time."""
        before = self._answers
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._answers < before + 2:  # one may have been on its way
                    self.report_soon()
                    await asyncio.sleep(_ASK_S)
        return self._answers >= before + 2

    def journal(self) -> Journal:
        """The connection, to ask something; raises `UnreachableError` when there is none."""
        if not self.connected or self._journal is None:
            raise UnreachableError("the journal can't be reached", hint="`pact status` shows since when")
        return self._journal

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled."""
        while True:
            try:
                async with self._open_journal() as self._journal, asyncio.TaskGroup() as group:
                    journal = self._journal
                    group.create_task(self._ship(journal), name="uplink: entries")
                    group.create_task(self._send_reports(journal), name="uplink: reports")
                    group.create_task(self._follow_policy(journal), name="uplink: policy")
                    group.create_task(self._follow_approvals(journal), name="uplink: approvals")
                    group.create_task(self._follow_revocations(journal), name="uplink: revocations")
            except* (PactError, OSError) as failures:
                self._lost(_first_of(failures))
            except* Exception as failures:  # the top of the task: an agent without uplink must not go unnoticed
                log.exception("uplink: unexpected failure")
                self._lost(_first_of(failures))
            await asyncio.sleep(self._backoff.next())

    def _lost(self, error: Exception) -> None:
        text = error.message if isinstance(error, PactError) else str(error)
        if self.connected or text != self.last_error:
            if isinstance(error, AuthError):  # no pause mends that
                log.error("uplink: the journal refuses this agent: %s; %s", text, error.hint or "its log says more")
            else:
                log.warning("uplink: %s", text)
        self.connected, self._journal = False, None
        self.last_error = text

    def _alive(self) -> None:
        """Something came back from the journal."""
        if not self.connected:
            log.info("uplink: connected, %d entries waiting", self._spool.pending())
        self.connected = True
        self.last_error = ""
        self._backoff.reset()

    # Entries

    async def _ship(self, journal: Journal) -> None:
        under_way: deque[list[Draft]] = deque()
        room = asyncio.Semaphore(_BATCHES_UNDER_WAY)
        async with journal.open_append() as stream, asyncio.TaskGroup() as group:
            group.create_task(self._send(stream, under_way, room), name="uplink: send")
            group.create_task(self._receive(stream, under_way, room), name="uplink: receive")

    async def _send(self, stream: AppendStream, under_way: deque[list[Draft]], room: asyncio.Semaphore) -> None:
        following = self._spool.acknowledged() + 1
        while True:
            self._spool.arrived.clear()
            drafts, payloads = self._next_batch(following)
            if not drafts:
                await self._spool.arrived.wait()
                await self._gather()
                continue
            await room.acquire()
            under_way.append(drafts)
            await stream.send_raw(payloads)
            following = drafts[-1].number + 1

    async def _gather(self) -> None:
        """Let a line's entries come together, out of the way of the line itself; not when someone waits for them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_S):
                await self._spool.awaited.wait()

    def _next_batch(self, number: int) -> tuple[list[Draft], list[bytes]]:
        drafts: list[Draft] = []
        payloads: list[bytes] = []
        size = 0
        for draft in self._spool.read_from(number, _BATCH_DRAFTS):
            payload = draft_bytes(draft)
            size += len(payload)
            if drafts and size > _BATCH_BYTES:
                break
            drafts.append(draft)
            payloads.append(payload)
        return drafts, payloads

    async def _receive(self, stream: AppendStream, under_way: deque[list[Draft]], room: asyncio.Semaphore) -> None:
        while True:
            acks, head = await stream.receive()
            if not under_way:
                raise PactError("the journal acknowledges what was not sent")
            batch = under_way[0]
            if [a.number for a in acks] != [d.number for d in batch]:
                raise PactError("the journal acknowledges other entries than those sent")
            self._alive()
            for draft, ack in zip(batch, acks, strict=True):
                if ack.error is not None:
                    self._spool.acknowledge(draft.number - 1, None)
                    await self._set_aside.settle(draft, ack.error)
                else:
                    self._on_sequenced(draft.number, ack.seq)  # before the spool forgets it
            under_way.popleft()
            self._spool.acknowledge(batch[-1].number, head)
            room.release()

    # Reports and policy

    async def _send_reports(self, journal: Journal) -> None:
        while True:
            self._report_now.clear()
            report = self._report()
            try:
                interval_s = await journal.report_node(
                    vcluster=report.vcluster,
                    ssh_address=report.ssh_address,
                    state=report.state,
                    version=report.version,
                    details=report.details,
                )
            except ForbiddenError:
                if (bound := (await journal.node(report.node)).vcluster) not in ("", report.vcluster):
                    self._on_member(bound)
                raise
            self._on_member(report.vcluster)
            self._answers += 1
            self._alive()
            try:
                async with asyncio.timeout(max(interval_s, 2) / 2):
                    await self._report_now.wait()
            except TimeoutError:
                continue

    def _take_overlay(self, document: pb.PolicyDocument) -> None:
        if not document.overlay_seq:  # none was ever applied
            self._on_overlay(Overlay(document.vcluster))
            return
        try:
            self._on_overlay(msgspec.json.decode(document.overlay, type=Overlay))
        except ValueError as error:  # DecodeError, ValidationError: of a journal of another version
            log.error("uplink: the overlay seq:%d can't be read: %s", document.overlay_seq, error)

    async def _follow_policy(self, journal: Journal) -> None:
        """A refusal here must not stop the entries: it is logged and asked again later."""
        vcluster = self._report().vcluster
        while True:
            try:
                async for document in journal.watch_policy(vcluster):
                    self._on_policy(document.document, document.seq, document.judged)
                    self._take_overlay(document)
            except UnreachableError:
                raise
            except PactError as error:
                log.warning("uplink: policy of %s: %s", vcluster, error.message)
                await asyncio.sleep(_POLICY_RETRY_S)
            else:
                raise UnreachableError("the journal ended the policy stream")

    async def _follow_approvals(self, journal: Journal) -> None:
        """First those that were closed while the journal was away, then all that are open, and what becomes of them. A
        refusal here must not stop the entries either: an older journal has none."""
        while True:
            try:
                for id_ in self._open_approvals():
                    for approval in await journal.approvals(id_=id_):
                        await self._on_approval(approval)
                async for approval in journal.watch_approvals():
                    await self._on_approval(approval)
            except UnreachableError:
                raise
            except PactError as error:
                log.warning("uplink: approvals: %s", error.message)
                await asyncio.sleep(_POLICY_RETRY_S)
            else:
                raise UnreachableError("the journal ended the stream of approvals")

    async def _follow_revocations(self, journal: Journal) -> None:
        """All that there are, then each that comes. An older journal has none."""
        while True:
            try:
                async for revocations, whole in journal.watch_revocations():
                    self._on_revoked(revocations, whole)
            except UnreachableError:
                raise
            except PactError as error:
                log.warning("uplink: revocations: %s", error.message)
                await asyncio.sleep(_POLICY_RETRY_S)
            else:
                raise UnreachableError("the journal ended the stream of revocations")


def _first_of(failures: BaseExceptionGroup[Exception]) -> Exception:
    first: BaseException = failures
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, Exception)
    return first

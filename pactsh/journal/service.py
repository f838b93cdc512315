"""`pact.v1.Journal`: append, list, get, watch, heads, export. What a caller sees is within its reach."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec

from pactsh.catalog.loader import load_catalog
from pactsh.errors import ApprovalError, ForbiddenError, NotFoundError, PactError, UsageError
from pactsh.journal.access import Reach, agent_node_of, reach_of
from pactsh.journal.chain import Record
from pactsh.journal.drafts import authorize_draft, is_scope, is_time, parse_draft
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger
from pactsh.journal.overlays import TYPE as OVERLAY_TYPE
from pactsh.journal.overlays import check_overlay
from pactsh.journal.policies import TYPE as POLICY_TYPE
from pactsh.journal.policies import check_update
from pactsh.journal.projections import PolicyView, Projections
from pactsh.journal.store import Outcome, Query
from pactsh.model.entry import Draft, Head, JsonObject
from pactsh.model.identity import Identity
from pactsh.policy.model import parse_policy
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.wire import head_message

MAX_LIST = 100_000
MAX_DRAFTS = 1024
_CHUNK = 128  # entries read at once: at most 128 MiB, usually 100 KiB
_REPLY_BYTES = 1 << 20
_GATHER_S = 0.02  # between two looks of one watch, while entries come faster
_CHECKED = {POLICY_TYPE: "policy", OVERLAY_TYPE: "overlay"}  # and where the document is in the entry's body
_LARGEST_SEQ = (1 << 63) - 1  # the wire holds larger numbers, no store does


class JournalService:
    """The handlers. `views` is caught up before each question that needs it; `judge` is asked about what people
    change and read here."""

    def __init__(self, ledger: Ledger, views: Projections, judge: Judge) -> None:
        self._ledger, self._judge = ledger, judge
        self._store = ledger.store
        self._views = views
        self._catalog = load_catalog()
        self._policies = asyncio.Lock()

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {
            "Journal/Append": self.append,
            "Journal/List": self.list,
            "Journal/Get": self.get,
            "Journal/Watch": self.watch,
            "Journal/Heads": self.heads,
            "Journal/Export": self.export,
        }

    async def append(self, caller: Caller, requests: Any) -> AsyncIterator[pb.AppendReply]:
        """Drafts in, acknowledgements out, after they are durable."""
        async for request in requests:
            if len(request.drafts) > MAX_DRAFTS:
                raise UsageError(f"{len(request.drafts)} drafts in one request", hint=f"at most {MAX_DRAFTS}")
            yield await self._append(caller, request.drafts)

    async def _append(self, caller: Caller, texts: Iterable[bytes]) -> pb.AppendReply:
        answers: list[pb.Ack] = []
        drafts: list[Draft] = []
        places: list[int] = []
        for place, text in enumerate(texts):
            answers.append(pb.Ack())
            try:
                draft = parse_draft(text)
                answers[place].number = draft.number
                authorize_draft(draft, caller.known)
            except PactError as error:
                _refuse(answers[place], error)
                continue
            drafts.append(draft)
            places.append(place)
        outcomes, head = await self._keep(drafts, caller.known)
        for place, outcome in zip(places, outcomes, strict=True):
            _answer(answers[place], outcome)
        return pb.AppendReply(acks=answers, head=None if head is None else head_message(head))

    async def _keep(self, drafts: Sequence[Draft], who: Identity) -> tuple[list[Outcome], Head | None]:
        """Append; policies and overlays one at a time, each checked against the one that it replaces."""
        if not any(draft.type in _CHECKED for draft in drafts):
            return await self._ledger.append_batch(drafts)
        outcomes: list[Outcome] = []
        head = self._ledger.head
        async with self._policies:  # between the check and the append nobody else's change comes in
            for draft in drafts:
                refusal = await self._objection(draft, who) if draft.type in _CHECKED else None
                if refusal is not None:
                    outcomes.append(refusal)
                    continue
                (outcome,), head = await self._ledger.append_batch([draft])
                outcomes.append(outcome)
        return outcomes, head

    async def _objection(self, draft: Draft, who: Identity | None) -> PactError | None:
        """Why a policy or an overlay is not kept; a retry of one that was kept is the store's to answer."""
        if await self._store.by_number(draft.client, draft.number) is not None:
            return None
        await self._views.catch_up(self._store)
        vcluster = draft.scope.removeprefix("vcluster:")
        try:
            if draft.type == OVERLAY_TYPE:
                check_overlay(draft, self._views.overlays.get(vcluster, PolicyView()))
            else:
                check_update(draft, self._views.policies.get(vcluster, PolicyView()), self._catalog)
            await self._check_second_person(draft, who, vcluster)
        except PactError as error:
            return error
        return None

    async def _check_second_person(self, draft: Draft, who: Identity | None, vcluster: str) -> None:
        """What the site's policy says, and whether a second person has to agree; `who` None: one has, or is asked."""
        action = "apply" if draft.type == OVERLAY_TYPE else "policy_update"
        facts: JsonObject = {"message": draft.message, "document": (draft.body or {}).get(_CHECKED[draft.type])}
        author = draft.author
        asking = who or Identity(author.principal, author.roles, author.kind, "approval")
        verdict = await self._judge.check(asking, action, vcluster, facts)
        if who is None:
            return
        view = self._views.policies.get(vcluster, PolicyView())
        if verdict.approval or (view.seq and parse_policy(view.document).two_person_approval):
            raise ApprovalError(f"two-person policy on vcluster: {vcluster}", hint="ask for an approval")

    async def append_approved(self, draft: Draft, approval: JsonObject) -> Outcome:
        """Append a policy or an overlay that a second person has agreed to, checked like any other; the entry's body
        names the `approval` too. One that was appended before is given as it is."""
        async with self._policies:
            if (kept := await self._store.by_number(draft.client, draft.number)) is not None:
                return kept
            if (refusal := await self._objection(draft, None)) is not None:
                return refusal
            marked = msgspec.structs.replace(draft, body={**(draft.body or {}), **approval})
            (outcome,), _ = await self._ledger.append_batch([marked])
            return outcome

    async def check(self, draft: Draft) -> None:
        """Raise what appending it would be refused with, a second person apart."""
        async with self._policies:
            refusal = await self._objection(draft, None)
        if refusal is not None:
            raise refusal

    async def list(self, caller: Caller, request: pb.ListRequest) -> AsyncIterator[pb.Entries]:
        """Up to `n` entries, newest first unless asked otherwise."""
        query = await self._query(caller, request.filter)
        await self._judge.check_read(caller.known, "log", request.filter.scope, self._vclusters())
        left = min(request.n or 20, MAX_LIST)
        low, high = 1, (await self._store.last()).seq
        if request.before_seq:
            high = min(high, request.before_seq - 1)
        while left > 0 and low <= high:
            records = await self._store.query(
                msgspec.structs.replace(
                    query,
                    from_seq=low,
                    to_seq=high,
                    limit=min(left, _CHUNK),
                    newest_first=not request.oldest_first,
                )
            )
            if not records:
                return
            for reply in _replies(records):
                yield reply
            left -= len(records)
            if request.oldest_first:
                low = records[-1].seq + 1
            else:
                high = records[-1].seq - 1

    async def get(self, caller: Caller, request: pb.GetRequest) -> pb.Entry:
        """One entry. What is out of reach can't be told from what isn't there."""
        reach = await self._reach(caller)
        await self._judge.check_read(caller.known, "log", "", {})
        record = await self._store.get(request.seq) if request.seq <= _LARGEST_SEQ else None
        if record is None or not reach.sees(record.entry().scope, self._vclusters()):
            raise NotFoundError(f"there is no entry seq:{request.seq} that {caller.known.principal} may read")
        return _entry(record)

    async def watch(self, caller: Caller, request: pb.WatchRequest) -> AsyncIterator[pb.Entries]:
        """Entries from `from_seq` on, without end. Reads from the store at the reader's pace:
        a slow one holds one chunk of memory, however far behind it is. What comes close together goes together."""
        await self._views.catch_up(self._store)
        await self._judge.check_read(caller.known, "log", request.filter.scope, self._vclusters())
        next_seq = request.from_seq or (await self._store.last()).seq + 1
        # Says where the watch stands, so that a reader cut off before the first entry resumes there.
        yield pb.Entries(through=next_seq - 1)
        looked_at = 0.0
        while True:
            tip = await self._store.wait_beyond(next_seq - 1)
            if (early_s := looked_at + _GATHER_S - time.monotonic()) > 0:
                await asyncio.sleep(early_s)
                tip = (await self._store.last()).seq
            query = await self._query(caller, request.filter)  # afresh: nodes may have come
            records = await self._store.query(
                msgspec.structs.replace(query, from_seq=next_seq, to_seq=tip, limit=_CHUNK)
            )
            is_behind = len(records) == _CHUNK
            looked_at = 0.0 if is_behind else time.monotonic()
            next_seq = records[-1].seq + 1 if is_behind else tip + 1
            for reply in _replies(records):
                yield reply

    async def heads(self, _caller: Caller, request: pb.HeadsRequest) -> AsyncIterator[pb.HeadList]:
        """Signed heads in order."""
        if request.last:
            head = self._ledger.head
            yield pb.HeadList(heads=[] if head is None else [head_message(head)])
            return
        start = min(request.from_seq, _LARGEST_SEQ)
        while heads := await self._store.heads(start, 1000):
            yield pb.HeadList(heads=[head_message(head) for head in heads])
            start = heads[-1].seq + 1

    async def export(self, caller: Caller, request: pb.ExportRequest) -> AsyncIterator[pb.Entries]:
        """The chain as it is kept, up to its present end. Out of reach: without the JSON, so that
        the links can be checked all the same."""
        reach = await self._reach(caller)
        await self._judge.check_read(caller.known, "log", "", {})
        vclusters = self._vclusters()
        next_seq, end = max(1, request.from_seq), (await self._store.last()).seq
        while next_seq <= end:
            rows = await self._store.rows(next_seq, _CHUNK)
            if not rows:
                return
            batch = pb.Entries()
            for row in rows:
                scope = row.columns.scope if row.columns else ""
                if reach.sees(scope, vclusters):
                    batch.entries.add(seq=row.seq, hash=row.hash, json=row.text.encode("utf-8", "replace"))
                else:
                    batch.entries.add(seq=row.seq, hash=row.hash, prev_hash=_prev_hash(row.text))
                if batch.ByteSize() > _REPLY_BYTES:
                    yield batch
                    batch = pb.Entries()
            if batch.entries:
                yield batch
            next_seq = rows[-1].seq + 1

    async def _query(self, caller: Caller, wanted: pb.Filter) -> Query:
        if wanted.scope and not is_scope(wanted.scope):
            raise UsageError(f"scope {wanted.scope!r}: expected global, vcluster:NAME or node:ID")
        if wanted.since and not is_time(wanted.since):
            raise UsageError(f"since {wanted.since!r}: expected RFC 3339 UTC with microseconds")
        reach = await self._reach(caller)
        vclusters = self._vclusters()
        if wanted.scope and not reach.sees(wanted.scope, vclusters):
            raise ForbiddenError(f"{caller.known.principal} may not read {wanted.scope}")
        scopes = None if wanted.scope else reach.scopes(vclusters)
        return Query(
            scope=wanted.scope,
            type=wanted.type,
            author=wanted.author,
            since=wanted.since,
            session=wanted.session,
            scopes=scopes,
        )

    async def _reach(self, caller: Caller) -> Reach:
        await self._views.catch_up(self._store)
        identity = caller.known
        reach = reach_of(identity)
        node = agent_node_of(identity)
        if not node:
            return reach
        return msgspec.structs.replace(reach, overlay=self._vclusters().get(node, ""))

    def _vclusters(self) -> dict[str, str]:
        return {name: view.vcluster for name, view in self._views.nodes.items() if view.vcluster}


def _entry(record: Record) -> pb.Entry:
    return pb.Entry(seq=record.seq, hash=record.hash, json=record.text.encode("ascii"))


def _replies(records: Iterable[Record]) -> Iterable[pb.Entries]:
    """The records in messages of about 1 MiB."""
    reply, size = pb.Entries(), 0
    for record in records:
        reply.entries.append(_entry(record))
        reply.through = record.seq
        size += len(record.text)
        if size >= _REPLY_BYTES:
            yield reply
            reply, size = pb.Entries(), 0
    if reply.entries:
        yield reply


def _prev_hash(text: str) -> str:
    try:
        return str(json.loads(text)["prev_hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""  # damaged: the reader's check will say so


def _answer(ack: pb.Ack, outcome: Outcome) -> None:
    if isinstance(outcome, PactError):
        _refuse(ack, outcome)
    else:
        ack.seq, ack.hash = outcome.seq, outcome.hash


def _refuse(ack: pb.Ack, error: PactError) -> None:
    ack.error_kind = error.kind
    ack.error = error.message.encode("utf-8", "replace").decode()
    ack.hint = error.hint

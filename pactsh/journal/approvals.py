"""`pact.v1.Approvals`: requests for a second person, their decisions, and what is executed here.

Each step of an approval is an entry under a client of its own, `journal:approval:ID`, of which the store keeps one for
each number: of two who decide at the same moment one has decided, and nothing is executed twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from pactsh.auth.names import check_principal
from pactsh.delegates.deeds import Systems
from pactsh.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, PactError, UsageError
from pactsh.journal.access import agent_node_of, reach_of
from pactsh.journal.chain import Record
from pactsh.journal.deeds import Deeds
from pactsh.journal.delegated import ACTION as DELEGATE
from pactsh.journal.delegated import Delegated
from pactsh.journal.documents import parse_object
from pactsh.journal.drafts import PERSONS, authorize_draft, check_draft
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger, now_text, time_text
from pactsh.journal.projections import PolicyView, Projections
from pactsh.journal.service import JournalService
from pactsh.model.approval import APPROVED, AT_NODE, DENIED, DONE, EXPIRED, REQUESTED, Approval, requested
from pactsh.model.entry import Author, Draft
from pactsh.model.identity import Identity
from pactsh.model.revocation import PERSON, key_of
from pactsh.policy.model import Policy, parse_policy
from pactsh.policy.rbac import may
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.wire import approval_message

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)
_REQUEST, _DECISION, _DONE = 1, 2, 3  # the numbers of an approval's entries
_TICK_S = 1.0
_MOST_OPERATION, _MOST_REQUESTER, _LONGEST_TEXT = 950 << 10, 16 << 10, 1000
_MOST_OPEN, _MOST_OF_ONE = 1000, 50  # on a vCluster, and of those of a requester: nobody fills it alone
_ID_BYTES = (2, 2, 2, 2, 3, 4, 8)
AT_JOURNAL = {"apply": "overlay.updated", "policy_update": "policy.updated"}
"""Actions that the journal executes itself, and the type of the entry that does it."""


class ApprovalsService:
    """The handlers; `run` ends what nobody decided in time, and executes what is the journal's to do."""

    def __init__(
        self,
        ledger: Ledger,
        views: Projections,
        journal: JournalService,
        judge: Judge,
        *,
        deeds: Deeds | None = None,
        systems: Systems = Systems(),  # noqa: B008  it is frozen
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._ledger, self._store, self._views, self._journal = ledger, ledger.store, views, journal
        self.delegated = Delegated(deeds or Deeds(ledger, views, judge), views, systems, self._finish, clock)
        self._judge, self._clock, self._token = judge, clock, token
        self._asking, self._deciding = asyncio.Lock(), asyncio.Lock()

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {
            "Approvals/Request": self.request,
            "Approvals/Decide": self.decide,
            "Approvals/List": self.list,
            "Approvals/Watch": self.watch,
        }

    # -- requesting

    async def request(self, caller: Caller, request: pb.ApprovalRequest) -> pb.Approval:
        """Put an operation on record that waits for a second person."""
        await self._views.catch_up(self._store)
        who, scope, vcluster = self._requester(caller, request)
        operation = parse_object(request.operation, "operation", _MOST_OPERATION)
        if request.action in AT_JOURNAL:
            await self._check_own(caller.known, request.action, scope, operation)
        elif request.action == DELEGATE:
            operation = await self.delegated.check_request(caller.known, vcluster, operation)
        summary = " ".join(request.summary.split())[:_LONGEST_TEXT]
        timeout = timedelta(seconds=self._policy(vcluster).approval_timeout_seconds)
        body: JsonObject = {
            "action": request.action,
            "vcluster": vcluster,
            "operation": operation,
            "expires": time_text(self._clock() + timeout),
            "nonce": self._token(8),  # tells this request from one that has the id already
        }
        async with self._asking:  # or several at once would all be the last that is allowed
            self._check_number(who.principal, vcluster)
            for size in _ID_BYTES:
                id_ = f"ap-{self._token(size)}"
                with contextlib.suppress(ConflictError):  # what the store says when a request has that id already
                    await self._append(id_, _REQUEST, REQUESTED, scope, who, summary, body | {"id": id_})
                    return await self._answer(id_)
        raise ConflictError("no id is free for the approval", hint="try again")

    def _check_number(self, principal: str, vcluster: str) -> None:
        """Raises `ConflictError` where enough is open already. Of each person less than of all, so that nobody keeps
        others from asking."""
        open_ = [approval for approval in self._views.approvals.open() if approval.vcluster == vcluster]
        name, where = principal.casefold(), f"are open on vcluster {vcluster}"
        if sum(approval.requester.principal.casefold() == name for approval in open_) >= _MOST_OF_ONE:
            raise ConflictError(f"{_MOST_OF_ONE} approvals of {principal} {where}", hint="pact approve list")
        if len(open_) >= _MOST_OPEN:
            raise ConflictError(f"{_MOST_OPEN} approvals {where}", hint="pact approve list")

    def _requester(self, caller: Caller, request: pb.ApprovalRequest) -> tuple[Author, str, str]:
        """Who asks, the scope and the vCluster; raises `ForbiddenError`, `UsageError`."""
        identity = caller.known
        if node := agent_node_of(identity):
            vcluster = self._views.nodes[node].vcluster if node in self._views.nodes else ""
            if request.action in AT_JOURNAL or request.action == DELEGATE or not vcluster:
                raise ForbiddenError(f"the agent of {node} may not ask for {request.action or 'nothing'}")
            if request.action not in AT_NODE:
                raise UsageError(f"action {request.action[:64]!r}: expected one of {', '.join(sorted(AT_NODE))}")
            return _vouched_for(request.requester), f"node:{node}", vcluster
        vcluster = request.scope.removeprefix("vcluster:")
        actions = (*AT_JOURNAL, DELEGATE)
        if request.action not in actions or request.scope != f"vcluster:{vcluster}" or not vcluster:
            raise UsageError(f"approvals are asked for {', '.join(actions)} of a vCluster, or by agents")
        return Author(identity.principal, identity.roles, identity.kind), request.scope, vcluster

    async def _check_own(self, identity: Identity, action: str, scope: str, operation: JsonObject) -> None:
        """What the journal is to do: whether its requester might do it alone, were no second person needed, and it can
        be done. Raises what appending the entry would."""
        draft = _entry_of("", action, scope, Author(identity.principal, identity.roles, identity.kind), operation)
        authorize_draft(msgspec.structs.replace(draft, client=f"user:{identity.principal}:x"), identity)
        await self._journal.check(draft)

    # -- deciding

    async def decide(self, caller: Caller, request: pb.ApprovalDecision) -> pb.Approval:
        """Approve or deny; the first decision counts."""
        identity = caller.known
        reason = " ".join(request.reason.split())[:_LONGEST_TEXT]
        async with self._deciding:
            approval = await self._find(caller, request.id)
            await self._check_decider(identity, approval, approve=request.approve)
            if not request.approve and not reason:
                raise UsageError(f"{approval.id}: say why it is denied", hint="pact approve deny ID -m REASON")
            self._check_open(approval)
            kind = APPROVED if request.approve else DENIED
            author = Author(identity.principal, identity.roles, identity.kind)
            record = await self._append(
                approval.id, _DECISION, kind, approval.scope, author, reason,
                {"id": approval.id, "action": approval.action, "requester": approval.requester.principal},
            )  # fmt: skip
            kept = record.entry()
            if (kept.type, kept.author.principal) != (kind, identity.principal):
                raise ConflictError(f"{approval.id} was decided meanwhile, by {kept.author.principal}")
        if request.approve and approval.action in AT_JOURNAL:
            await self._execute(approval)
        elif request.approve and approval.action == DELEGATE:
            await self._views.catch_up(self._store)
            await self.delegated.look_at(self._views.approvals[approval.id])
        return await self._answer(approval.id)

    async def _check_decider(self, identity: Identity, approval: Approval, *, approve: bool) -> None:
        """Raises `ForbiddenError` for who may not, `PolicyError` where the site's policy says so."""
        policy = self._policy(approval.vcluster)
        if identity.kind != "human" or not may(identity, "approve", policy):
            raise ForbiddenError(
                f"{identity.principal} may not decide on vcluster {approval.vcluster}", hint="pact whoami"
            )
        if identity.principal.casefold() == approval.requester.principal.casefold():
            raise ForbiddenError(
                f"{approval.id} is your own request: somebody else has to decide",
                hint="it ends by itself, or ask a colleague to deny it",
            )
        if approve:
            self._check_requester(approval)
            facts: JsonObject = {"params": {"action": approval.action, "requester": approval.requester.principal}}
            await self._judge.check(identity, "approve", approval.vcluster, facts)

    def _check_requester(self, approval: Approval) -> None:
        """What was asked for with a token or a certificate that counts no more is not done: somebody else may have."""
        found = self._views.revoked.get(key_of(PERSON, approval.requester.principal))
        if found is not None and found.covers(datetime.fromisoformat(approval.requested).timestamp()):
            raise ConflictError(f"{approval.id}: {found}, after asking for it", hint="it has to be asked for again")

    def _check_open(self, approval: Approval) -> None:
        if approval.state != "pending":
            raise ConflictError(
                f"{approval.id} is {approval.state} already{f', by {approval.by}' if approval.by else ''}"
            )
        if self._is_over(approval):
            raise ConflictError(f"{approval.id} has expired", hint="it has to be asked for again")

    def _is_over(self, approval: Approval) -> bool:
        return time_text(self._clock()) >= approval.expires

    async def _find(self, caller: Caller, id_: str) -> Approval:
        await self._views.catch_up(self._store)
        approval = self._views.approvals.get(id_)
        if approval is None or not self._sees(caller, approval):
            raise NotFoundError(f"no approval {id_[:40]!r}", hint="pact approve list shows what is open")
        return approval

    def _sees(self, caller: Caller, approval: Approval) -> bool:
        reach = reach_of(caller.known)
        return reach.sees(approval.scope, {approval.node: approval.vcluster})

    # -- listing

    async def list(self, caller: Caller, request: pb.ApprovalsRequest) -> AsyncIterator[pb.Approval]:
        """Those within reach, oldest first; only open ones unless asked for all. Of one that is over its operation is
        told when it is asked for by its id."""
        await self._views.catch_up(self._store)
        for approval in self._asked_for(request):
            if self._is_wanted(caller, request, approval):
                yield approval_message(await self._whole(approval) if request.id else approval)

    async def _whole(self, approval: Approval) -> Approval:
        record = None if approval.is_open else await self._store.by_number(_client(approval.id), _REQUEST)
        if record is None:
            return approval
        return msgspec.structs.replace(approval, operation=requested(record.entry()).operation)

    def _asked_for(self, request: pb.ApprovalsRequest) -> Sequence[Approval]:
        """Those among which there may be wanted ones."""
        views = self._views.approvals
        if request.id:
            return [found] if (found := views.get(request.id)) is not None else []
        return views.all() if request.all else views.open()

    def _is_wanted(self, caller: Caller, request: pb.ApprovalsRequest, approval: Approval) -> bool:
        return (
            request.vcluster in {"", approval.vcluster}
            and request.id in {"", approval.id}
            and (request.all or bool(request.id) or approval.is_open)
            and self._sees(caller, approval)
        )

    async def watch(self, caller: Caller, request: pb.ApprovalsRequest) -> AsyncIterator[pb.Approval]:
        """Those of `list` now, then each that changes, without end. One that was sent open is sent closed as well.
        An empty message comes first: whoever connects learns that it stands."""
        sent: set[str] = set()  # and open then
        yield pb.Approval()
        await self._views.catch_up(self._store)
        fresh = self._asked_for(request)
        while True:
            seen = self._views.seq  # while something is sent, others fold in what comes next
            for approval in fresh:
                if approval.id in sent or self._is_wanted(caller, request, approval):
                    (sent.add if approval.is_open else sent.discard)(approval.id)
                    yield approval_message(approval)
            await self._store.wait_beyond(seen)
            await self._views.catch_up(self._store)
            fresh = self._views.approvals.changed_since(seen)

    # -- what happens by itself

    async def run(self) -> None:
        """Until cancelled: end what nobody decided in time, execute what was approved before a restart."""
        while True:
            try:
                await self._tick()
            except PactError as error:
                _log.error("approvals: %s", error.message)
            except Exception:  # noqa: BLE001  the top of a task: without it nothing would end any more
                _log.exception("approvals")
            await asyncio.sleep(_TICK_S)

    async def _tick(self) -> None:
        await self._views.catch_up(self._store)
        for approval in self._views.approvals.open():
            try:
                await self._look_at(approval)
            except PactError as error:  # of one: the others have their time too
                _log.error("approval %s: %s", approval.id, error.message)

    async def _look_at(self, approval: Approval) -> None:
        if approval.state == "pending" and self._is_over(approval):
            async with self._deciding:
                await self._append(
                    approval.id, _DECISION, EXPIRED, approval.scope, Author("pact-journal", (), "service"),
                    "nobody decided in time", {"id": approval.id, "action": approval.action},
                )  # fmt: skip
        elif approval.state == "approved" and approval.action in AT_JOURNAL:
            await self._execute(approval)
        elif approval.state == "approved" and approval.action == DELEGATE:
            await self.delegated.look_at(approval)

    async def _execute(self, approval: Approval) -> None:
        """Do what is the journal's to do, in the requester's name; once, whatever happens in between."""
        draft = _entry_of(approval.id, approval.action, approval.scope, approval.requester, approval.operation)
        by = self._views.approvals[approval.id].by
        outcome = await self._journal.append_approved(draft, {"approval": approval.id, "approved_by": by})
        failed = outcome if isinstance(outcome, PactError) else None
        if failed is None:
            await self._finish(approval, 0, "", "")
        else:
            await self._finish(approval, failed.code, failed.kind, failed.message)

    async def _finish(self, approval: Approval, status: int, kind: str, message: str) -> None:
        """Its end, with the exit status that would have been the requester's."""
        body: JsonObject = {"id": approval.id, "status": status, "kind": kind}
        with contextlib.suppress(ConflictError):  # whoever approved it and `run` come here at once: one has said it
            await self._append(
                approval.id, _DONE, DONE, approval.scope, Author("pact-journal", (), "service"),
                message[:_LONGEST_TEXT], body,
            )  # fmt: skip

    # -- helpers

    async def _append(
        self, id_: str, number: int, kind: str, scope: str, author: Author, message: str, body: JsonObject
    ) -> Record:
        """The entry of that step: ours, or the one that is there already."""
        draft = Draft(
            client=_client(id_), number=number, time=now_text(), type=kind, scope=scope, author=author,
            message=message, body=body,
        )  # fmt: skip
        check_draft(draft)
        record = await self._ledger.append(draft)
        await self._views.catch_up(self._store)
        return record

    async def _answer(self, id_: str) -> pb.Approval:
        await self._views.catch_up(self._store)
        return approval_message(self._views.approvals[id_])

    def _policy(self, vcluster: str) -> Policy:
        view = self._views.policies.get(vcluster, PolicyView())
        return Policy(vcluster) if view.seq == 0 else parse_policy(view.document)


def _client(id_: str) -> str:
    """Under which the entries of an approval are kept."""
    return f"journal:approval:{id_}"


def _vouched_for(requester: bytes) -> Author:
    """Whoever an agent asks for: a person, or a service; raises `UsageError`."""
    try:
        author = msgspec.convert(parse_object(requester, "requester", _MOST_REQUESTER), Author)
    except msgspec.ValidationError as error:
        raise UsageError(f"requester: {error}") from error
    if not author.principal.strip() or author.kind not in PERSONS:
        raise UsageError("requester: expected a principal, and a kind of human or service")
    try:
        check_principal(author.principal)  # nor is anybody called like the journal or an agent
    except AuthError as error:
        raise UsageError(f"requester: {error.message}") from error
    return author


def _entry_of(id_: str, action: str, scope: str, author: Author, operation: JsonObject) -> Draft:
    """The entry that does what the journal is asked for; the store keeps one for each approval."""
    return Draft(
        client=f"journal:approved:{id_}",
        number=1,
        time=now_text(),
        type=AT_JOURNAL[action],
        scope=scope,
        author=author,
        message=str(operation.get("message") or "")[:_LONGEST_TEXT],
        body=_mapping(operation.get("body")),
    )


def _mapping(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}

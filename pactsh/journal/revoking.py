"""Revoking, and telling agents of it: two methods of `pact.v1.Certificates`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from pactsh.auth.names import check_node, check_principal
from pactsh.errors import ApprovalError, NotFoundError, PactError, UsageError
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger
from pactsh.journal.projections import Projections
from pactsh.journal.revocations import Revocations
from pactsh.journal.store import Query
from pactsh.model.entry import Author, Draft
from pactsh.model.revocation import KINDS, NODE, TYPE, Revocation, text_of
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.wire import revocation_message

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_LONGEST_MESSAGE = 1000
_CHUNK = 500


class RevokingService:
    """The handlers."""

    def __init__(self, ledger: Ledger, views: Projections, revocations: Revocations, judge: Judge) -> None:
        self._ledger, self._views, self._revocations, self._judge = ledger, views, revocations, judge

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {"Certificates/Revoke": self.revoke, "Certificates/Revocations": self.revocations}

    async def revoke(self, caller: Caller, request: pb.RevokeRequest) -> pb.RevokeReply:
        """Take back all that was issued to a person or a node until now. Raises `UsageError`, `AuthError` for what is
        no name, `NotFoundError` for a node that is not there, `PolicyError` where the site's own rules refuse it."""
        message = " ".join(request.message.split())[:_LONGEST_MESSAGE]
        if request.kind not in KINDS or not message:
            raise UsageError("a revocation is of a person or a node, and says why", hint="pact revoke --help")
        known, scope, vcluster = await self._looked_up(request)
        facts: JsonObject = {"message": message, "params": {"kind": request.kind, "subject": request.subject}}
        verdict = await self._judge.check(caller.known, "revoke", vcluster, facts)
        if verdict.approval:
            raise ApprovalError(
                "revoke: the site's policy asks for a second person, and a revocation waits for nobody",
                hint="its rules have to leave out the action revoke, or refuse it with a reason",
            )
        made = self._revocations.begin(request.kind, request.subject, caller.known.principal, message)
        seq = await self._keep(made, scope, caller)
        reply = revocation_message(made)
        reply.seq = seq
        return pb.RevokeReply(revocation=reply, known=known)

    async def _looked_up(self, request: pb.RevokeRequest) -> tuple[bool, str, str]:
        """Whether the subject is known here, the entry's scope, and the vCluster it is in ("": none)."""
        await self._views.catch_up(self._ledger.store)
        if request.kind == NODE:
            view = self._views.nodes.get(check_node(request.subject))
            if view is None:
                raise NotFoundError(
                    f"no node {request.subject!r}", hint="pact status --vcluster NAME shows those there are"
                )
            return True, f"node:{view.node}", view.vcluster
        entries = await self._ledger.store.query(Query(author=check_principal(request.subject), limit=1))
        return bool(entries), "global", ""

    async def _keep(self, made: Revocation, scope: str, caller: Caller) -> int:
        """Its entry; returns the number. A call that is cut off leaves what was begun in force: it may be kept yet."""
        who = caller.known
        draft = Draft(
            client=f"journal:revoke:{uuid.uuid4()}",
            number=1,
            time=made.time,
            type=TYPE,
            scope=scope,
            author=Author(who.principal, who.roles, who.kind),
            message=made.message,
            body={"kind": made.kind, "subject": made.subject, "before": text_of(made.before), "peer": caller.peer},
        )
        try:
            record = await self._ledger.append(draft)
        except PactError:
            self._revocations.end(made, kept=False)
            raise
        await self._views.catch_up(self._ledger.store)
        self._revocations.end(made, kept=True)
        return record.seq

    async def revocations(self, _caller: Caller, _request: pb.RevocationsRequest) -> AsyncIterator[pb.RevocationList]:
        """All that there are, then each that comes, without end. `whole` marks the end of the first."""
        sent, whole = 0, False
        while True:
            await self._views.catch_up(self._ledger.store)
            seen = self._views.seq  # while something is sent, others fold in what comes next
            news = sorted((r for r in self._views.revoked.values() if r.seq > sent), key=lambda r: r.seq)
            for start in range(0, len(news), _CHUNK):
                yield _told(news[start : start + _CHUNK])
            if not whole:
                yield pb.RevocationList(whole=True)
            sent, whole = seen, True
            await self._ledger.store.wait_beyond(seen)


def _told(found: Sequence[Revocation]) -> pb.RevocationList:
    """As agents are told: without the reasons, which are nothing of theirs."""
    return pb.RevocationList(revocations=[revocation_message(one) for one in found])

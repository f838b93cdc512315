"""`pact.v1.Delegation`: what pact has lattice and OpenCHAMI do is decided here and put on record here.

lattice hardly authorises anything itself, so nobody is called before `Begin` has said yes.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING

from pactsh.errors import ForbiddenError, NotFoundError, UsageError
from pactsh.journal.deeds import BY_JOURNAL, MOST_FACTS, READS, Deeds, check_facts
from pactsh.journal.delegated import Delegated
from pactsh.journal.documents import parse_object
from pactsh.journal.gate import Caller, Handler
from pactsh.model.entry import Author
from pactsh.rpc import pact_pb2 as pb

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_MOST_STATUS = 255
_ID = re.compile(r"(dg|ap)-[0-9a-f]{4,32}")


class DelegationService:
    """The handlers. `delegated` is what a second person has agreed to, or has to."""

    def __init__(self, deeds: Deeds, delegated: Delegated) -> None:
        self._deeds, self._delegated = deeds, delegated
        self._beginning = asyncio.Lock()  # between the look whether it was begun and the entry nobody else begins

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {"Delegation/Begin": self.begin, "Delegation/End": self.end}

    async def begin(self, caller: Caller, request: pb.DelegationRequest) -> pb.DelegationBegun:
        """Decide, and put the intent on record."""
        who, action = caller.known, request.action
        await self._deeds.catch_up()
        facts = parse_object(request.facts or b"{}", "facts", MOST_FACTS)
        targets = self._deeds.targets(action, list(request.targets), request.vcluster)
        check_facts(action, targets, facts)
        needing = await self._deeds.check_all(who, action, targets, facts, self._deeds.known(request.vcluster))
        kept: JsonObject = {}
        if request.approval:
            kept = self._delegated.check_approved(request.approval, who, action, targets, facts)
        elif needing:
            return pb.DelegationBegun(
                principal=who.principal,
                approval_needed=True,
                vcluster=needing[0],
                by_journal=self._delegated.does(action),
            )
        if request.dry_run or action in READS:
            return pb.DelegationBegun(principal=who.principal)
        id_ = request.approval or f"dg-{secrets.token_hex(8)}"
        async with self._beginning:
            author = Author(who.principal, who.roles, who.kind)
            await self._deeds.begin(id_, action, targets, author, facts, kept)
        return pb.DelegationBegun(id=id_, principal=who.principal)

    async def end(self, caller: Caller, request: pb.DelegationOutcome) -> pb.DelegationEnded:
        """Put on record what came of it. Told again in the same words it is the same entry."""
        begun = await self._deeds.begun(request.id, request.target) if _ID.fullmatch(request.id) else None
        if begun is None:
            raise NotFoundError(f"nothing was begun as {request.id[:40]!r} on {request.target[:80]!r}")
        entry = begun.entry()
        if entry.author.principal != caller.known.principal:
            raise ForbiddenError(f"{request.id} was begun by {entry.author.principal}")
        if (entry.body or {}).get(BY_JOURNAL):  # in the name of who asked for it, whose word does not count there
            raise ForbiddenError(f"{request.id} is done by the journal, which tells itself what came of it")
        if request.status > _MOST_STATUS:
            raise UsageError(f"status {request.status}: an exit status is at most {_MOST_STATUS}")
        details = parse_object(request.details or b"{}", "details", MOST_FACTS)
        record = await self._deeds.end(begun, request.status, request.answer, details)
        await self._delegated.ended(request.id)
        return pb.DelegationEnded(seq=record.seq)

"""`pact.v1.Delegation`: what pact has lattice and OpenCHAMI do is decided here and put on record here.

lattice hardly authorises anything itself, so nobody is called before `Begin` has said yes. Each target has two entries,
what was to be done and what came of it, under a client of its own, of which the store keeps one for each number.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from pactsh.errors import ForbiddenError, NotFoundError, PactError, UsageError
from pactsh.journal.access import reach_of
from pactsh.journal.documents import parse_object
from pactsh.journal.drafts import BEGUN, DONE, is_scope
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.projections import PolicyView, Projections
from pactsh.journal.store import Outcome
from pactsh.model.entry import Author, Draft, JsonObject
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy, parse_policy
from pactsh.policy.rbac import DELEGATED_NODE, DELEGATED_OTHER, LATTICE_READ, may
from pactsh.rpc import pact_pb2 as pb

_MOST_TARGETS, _MOST_FACTS, _LONGEST = 10_000, 64 << 10, 1000
_BEGIN, _END = 1, 2


class DelegationService:
    """The handlers."""

    def __init__(self, ledger: Ledger, views: Projections, judge: Judge) -> None:
        self._ledger, self._views, self._judge = ledger, views, judge

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {"Delegation/Begin": self.begin, "Delegation/End": self.end}

    async def begin(self, caller: Caller, request: pb.DelegationRequest) -> pb.DelegationBegun:
        """Decide, and put the intent on record."""
        who = caller.known
        await self._views.catch_up(self._ledger.store)
        facts = parse_object(request.facts or b"{}", "facts", _MOST_FACTS)
        scopes = self._scopes(request.action, list(request.targets), request.vcluster)
        vclusters = dict.fromkeys(vcluster for _, _, vcluster in scopes) or {self._known(request.vcluster): None}
        needing = [v for v in vclusters if await self._check(who, request.action, v, facts)]
        if needing:
            return pb.DelegationBegun(principal=who.principal, approval_needed=True, vcluster=needing[0])
        if request.dry_run or request.action == LATTICE_READ:
            return pb.DelegationBegun(principal=who.principal)
        id_ = f"dg-{secrets.token_hex(8)}"
        author = Author(who.principal, who.roles, who.kind)
        drafts = [
            self._draft(id_, target, _BEGIN, BEGUN, scope, author, facts, request.action)
            for target, scope, _ in scopes
        ]  # fmt: skip
        _raise_first((await self._ledger.append_batch(drafts))[0])
        return pb.DelegationBegun(id=id_, principal=who.principal)

    async def end(self, caller: Caller, request: pb.DelegationOutcome) -> pb.DelegationEnded:
        """Put on record what came of it."""
        who = caller.known
        begun = await self._ledger.store.by_number(_client(request.id, request.target), _BEGIN)
        if begun is None:
            raise NotFoundError(f"nothing was begun as {request.id[:40]!r} on {request.target[:80]!r}")
        entry = begun.entry()
        if entry.author.principal != who.principal:
            raise ForbiddenError(f"{request.id} was begun by {entry.author.principal}")
        details = parse_object(request.details or b"{}", "details", _MOST_FACTS)
        action = str((entry.body or {}).get("action"))
        body: JsonObject = {"status": request.status, "details": details}
        draft = self._draft(
            request.id, request.target, _END, DONE, entry.scope, entry.author, body, action, request.answer
        )
        record = await self._ledger.append(draft)
        return pb.DelegationEnded(seq=record.seq)

    # -- deciding

    def _scopes(self, action: str, targets: Sequence[str], vcluster: str) -> list[tuple[str, str, str]]:
        """Of each target: itself, the scope of its entries, and its vCluster ("": none)."""
        if action == LATTICE_READ:
            return []
        if action not in DELEGATED_NODE | DELEGATED_OTHER:
            raise UsageError(f"action {action[:64]!r}: nothing that can be delegated")
        if not targets or len(targets) > _MOST_TARGETS or len(set(targets)) != len(targets):
            raise UsageError(f"{action}: expected from 1 to {_MOST_TARGETS} targets, each once")
        if any(not t or len(t) > _LONGEST or not t.isprintable() for t in targets):
            raise UsageError(f"{action}: a target is one line of text")
        if action in DELEGATED_NODE:
            return [(name, f"node:{name}", self._vcluster_of(name)) for name in targets]
        known = self._known(vcluster)
        return [(target, f"vcluster:{known}" if known else "global", known) for target in targets]

    def _vcluster_of(self, name: str) -> str:
        if not is_scope(f"node:{name}"):
            raise UsageError(f"{name[:80]!r} is no node's name")
        view = self._views.nodes.get(name)
        return "" if view is None else view.vcluster

    def _known(self, vcluster: str) -> str:
        """The vCluster if pact has one of that name: lattice's are free text."""
        names = {view.vcluster for view in self._views.nodes.values()} | set(self._views.policies)
        return vcluster if vcluster in names else ""

    async def _check(self, who: Identity, action: str, vcluster: str, facts: JsonObject) -> bool:
        """Whether a second person has to agree; raises `ForbiddenError`, `PolicyError`."""
        view = self._views.policies.get(vcluster, PolicyView())
        policy = parse_policy(view.document) if view.seq else Policy(vcluster)
        # Of a read of what is in no vCluster: whoever may read in any.
        others = reach_of(who).vclusters if action == LATTICE_READ and not vcluster else ()
        is_allowed = may(who, action, policy) or any(may(who, action, Policy(name)) for name in others)
        if not is_allowed:
            where = f"on vcluster {vcluster}" if vcluster else "on what is in no vcluster"
            raise ForbiddenError(f"{who.principal} may not {action.replace('_', ' ')} {where}", hint="pact whoami")
        verdict = await self._judge.check(who, action, vcluster, {"params": facts})
        return action != LATTICE_READ and (verdict.approval or policy.two_person_approval)

    # -- entries

    def _draft(
        self, id_: str, target: str, number: int, kind: str, scope: str, author: Author, facts: JsonObject, action: str,
        message: str = "",
    ) -> Draft:  # fmt: skip
        body: JsonObject = {"id": id_, "action": action, "target": target, **facts}
        return Draft(
            client=_client(id_, target), number=number, time=now_text(), type=kind, scope=scope, author=author,
            message=message[:_LONGEST] or f"{action.replace('_', ' ')} {target}", body=body,
        )  # fmt: skip


def _client(id_: str, target: str) -> str:
    import hashlib

    return f"journal:delegation:{id_[:64]}:{hashlib.sha256(target.encode()).hexdigest()[:32]}"


def _raise_first(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, PactError):
            raise outcome

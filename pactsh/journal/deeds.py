"""Delegated deeds: who may have lattice and OpenCHAMI do what, and the entries that tell of it.

Each target has two entries, what was to be done and what came of it, under a client of its own, of which the store
keeps one for each number: nothing is begun twice under one id, and nothing has two outcomes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pactsh.errors import ConflictError, ForbiddenError, PactError, UsageError
from pactsh.journal.access import reach_of
from pactsh.journal.chain import Record
from pactsh.journal.drafts import BEGUN, DONE, is_scope
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.projections import PolicyView, Projections
from pactsh.model.entry import Author, Draft, JsonObject
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy, parse_policy
from pactsh.policy.rbac import DELEGATED_NODE, DELEGATED_OTHER, LATTICE_READ, may

if TYPE_CHECKING:
    from pactsh.model.entry import JsonValue

MOST_TARGETS = 10_000
MOST_FACTS = 64 << 10
_MOST_KEPT = 4 << 20  # of the facts, in all the entries of one deed
_LONGEST = 1000
_BEGIN, _END = 1, 2
BY_JOURNAL = "by_journal"
"""In entries of what the journal itself does: nobody else tells what came of it."""
_OWN = frozenset({"approval", "approved_by", BY_JOURNAL, "emergency", "began_by"})
"""What the journal alone says in entries; and `id`, `action` and `target`, which `_draft` sets in any case."""
READS = frozenset({LATTICE_READ, "backup_verify"})
"""Of these nothing is put on record, and nobody has to agree to them."""


class Target(NamedTuple):
    """A node, a job, a DAG or a path; the scope of its entries, and the vCluster it belongs to ("": none)."""

    name: str
    scope: str
    vcluster: str


class Deeds:
    """Over the journal's entries. `views` is as of the last time that somebody caught up."""

    def __init__(self, ledger: Ledger, views: Projections, judge: Judge) -> None:
        self._ledger, self._views, self._judge = ledger, views, judge
        self._ending = asyncio.Lock()  # or the same outcome, told twice at once, would be two

    async def catch_up(self) -> None:
        """Take in what was appended meanwhile."""
        await self._views.catch_up(self._ledger.store)

    # -- deciding

    def targets(self, action: str, names: Sequence[str], vcluster: str) -> tuple[Target, ...]:
        """What it is about; raises `UsageError`. A read may name nothing."""
        if action not in DELEGATED_NODE | DELEGATED_OTHER | READS:
            raise UsageError(f"action {action[:64]!r}: nothing that can be delegated")
        if action not in READS and not names:
            raise UsageError(f"{action}: on what?")
        if len(names) > MOST_TARGETS or len(set(names)) != len(names):
            raise UsageError(f"{action}: expected at most {MOST_TARGETS} targets, each once")
        if any(not name or len(name) > _LONGEST or not name.isprintable() for name in names):
            raise UsageError(f"{action}: a target is one line of text, of at most {_LONGEST} characters")
        if action in DELEGATED_NODE:
            return tuple(Target(name, f"node:{name}", self._vcluster_of(name)) for name in names)
        known = self.known(vcluster)
        return tuple(Target(name, f"vcluster:{known}" if known else "global", known) for name in names)

    def _vcluster_of(self, name: str) -> str:
        if not is_scope(f"node:{name}"):
            raise UsageError(f"{name[:80]!r} is no node's name")
        view = self._views.nodes.get(name)
        return "" if view is None else view.vcluster

    def known(self, vcluster: str) -> str:
        """The vCluster, if pact has one of that name: lattice's are free text."""
        names = {view.vcluster for view in self._views.nodes.values()} | set(self._views.policies)
        return vcluster if vcluster in names else ""

    async def check(self, who: Identity, action: str, vcluster: str, facts: JsonObject) -> bool:
        """Whether a second person has to agree; raises `ForbiddenError`, `PolicyError`."""
        view = self._views.policies.get(vcluster, PolicyView())
        policy = parse_policy(view.document) if view.seq else Policy(vcluster)
        # Of a read of what is in no vCluster: whoever may read in any.
        others = reach_of(who).vclusters if action == LATTICE_READ and not vcluster else ()
        if not (may(who, action, policy) or any(may(who, action, Policy(name)) for name in others)):
            where = f"on vcluster {vcluster}" if vcluster else "on what is in no vcluster"
            raise ForbiddenError(f"{who.principal} may not {action.replace('_', ' ')} {where}", hint="pact whoami")
        verdict = await self._judge.check(who, action, vcluster, {"params": facts})
        return action not in READS and (verdict.approval or policy.two_person_approval)

    async def check_all(
        self, who: Identity, action: str, targets: Sequence[Target], facts: JsonObject, elsewhere: str = ""
    ) -> tuple[str, ...]:
        """The vClusters in which a second person has to agree; `elsewhere` is the one of what has no targets."""
        vclusters = dict.fromkeys(target.vcluster for target in targets) or {elsewhere: None}
        params: JsonObject = {**facts, "targets": [target.name for target in targets]}
        return tuple([name for name in vclusters if await self.check(who, action, name, params)])

    # -- entries

    async def begin(
        self,
        id_: str,
        action: str,
        targets: Sequence[Target],
        author: Author,
        facts: JsonObject,
        own: JsonObject | None = None,
    ) -> None:
        """Put on record what is to be done; raises `ConflictError` for what was begun under that id already. Of the
        facts, which are whatever who asks says, none passes for what the journal itself says, `own`."""
        check_facts(action, targets, facts)
        for target in targets:
            if await self.begun(id_, target.name) is not None:
                raise ConflictError(f"{id_}: {action} of {target.name} was begun already")
        told = {name: value for name, value in facts.items() if name not in _OWN} | (own or {})
        jobs, of_all = _jobs_of(action, told)
        drafts = [
            _draft(id_, target, _BEGIN, BEGUN, author, _about(target, told, jobs, of_all), action)
            for target in targets
        ]  # fmt: skip
        outcomes, _ = await self._ledger.append_batch(drafts)
        for outcome in outcomes:
            if isinstance(outcome, PactError):
                raise outcome
        await self.catch_up()

    async def end(self, begun: Record, status: int, answer: str, details: JsonObject) -> Record:
        """Put on record what came of it; raises `ConflictError` where something else is on record."""
        async with self._ending:
            return await self._end(begun, status, answer, details)

    async def _end(self, begun: Record, status: int, answer: str, details: JsonObject) -> Record:
        entry = begun.entry()
        body = entry.body or {}
        target = Target(str(body.get("target")), entry.scope, "")
        own: JsonObject = {name: body[name] for name in sorted(_OWN) if name in body}
        facts: JsonObject = {"status": status, "details": details, **own}
        id_, action = str(body.get("id")), str(body.get("action"))
        ended = await self.ended(id_, target.name)
        if ended is not None:
            before = ended.entry()
            if ((before.body or {}).get("status"), before.message) == (status, answer[:_LONGEST]):
                return ended  # told twice, since the first answer was lost
            raise ConflictError(f"{id_}: what came of {target.name} is on record: {before.message}")
        record = await self._ledger.append(_draft(id_, target, _END, DONE, entry.author, facts, action, answer))
        await self.catch_up()
        return record

    async def begun(self, id_: str, name: str) -> Record | None:
        """The entry that says what was to be done, if there is one."""
        return await self._ledger.store.by_number(_client(id_, name), _BEGIN)

    async def ended(self, id_: str, name: str) -> Record | None:
        """The entry that says what came of it, if there is one."""
        return await self._ledger.store.by_number(_client(id_, name), _END)


def check_facts(action: str, targets: Sequence[Target], facts: JsonObject) -> None:
    """Raise `UsageError` for facts that can't be kept, or would fill the journal: each target has them in its entry."""
    jobs, of_all = _jobs_of(action, facts)
    each: JsonObject = facts if jobs is None else facts | {"jobs": of_all}
    try:
        once, again = (len(json.dumps(value, allow_nan=False)) for value in (facts, each))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"facts: not JSON: {error}") from error
    if once > MOST_FACTS:
        raise UsageError(f"facts: more than {MOST_FACTS} bytes")
    if once + again * len(targets) > _MOST_KEPT:
        raise UsageError(
            f"facts: {again} bytes for each of {len(targets)} targets, more than are kept of one deed",
            hint="say less, or of fewer at a time",
        )


def _jobs_of(action: str, facts: JsonObject) -> tuple[dict[str, list[JsonValue]] | None, list[JsonValue]]:
    """The jobs by the target that they are of, and those of all; None where all are of all."""
    key = "node" if action in DELEGATED_NODE else "id" if action == "job_cancel" else ""
    jobs = facts.get("jobs")
    if not key or not isinstance(jobs, list):
        return None, []
    found: dict[str, list[JsonValue]] = {}
    of_all: list[JsonValue] = []
    for job in jobs:
        name = job.get(key) if isinstance(job, dict) else None
        (found.setdefault(name, []) if isinstance(name, str) else of_all).append(job)
    return found, of_all


def _about(
    target: Target, facts: JsonObject, jobs: dict[str, list[JsonValue]] | None, of_all: list[JsonValue]
) -> JsonObject:
    """The facts, with its own jobs alone: those of a thousand nodes are not kept a thousand times."""
    return facts if jobs is None else facts | {"jobs": [*jobs.get(target.name, []), *of_all]}


def _draft(
    id_: str, target: Target, number: int, kind: str, author: Author, facts: JsonObject, action: str, message: str = ""
) -> Draft:
    body: JsonObject = {**facts, "id": id_, "action": action, "target": target.name}
    return Draft(
        client=_client(id_, target.name),
        number=number,
        time=now_text(),
        type=kind,
        scope=target.scope,
        author=author,
        message=message[:_LONGEST] or f"{action.replace('_', ' ')} {target.name}",
        body=body,
    )


def _client(id_: str, name: str) -> str:
    """Under which the entries of one target are kept; a path may hold what no client's name does."""
    return f"journal:delegation:{id_}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"

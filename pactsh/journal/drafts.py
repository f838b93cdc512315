"""What may be appended, and by whom: the entry types, and the check of drafts from the wire. Pure.

A draft that isn't exactly one is refused; nothing is guessed, filled in or passed through.
"""

from __future__ import annotations

import json
import re

import msgspec

from pactsh.errors import ForbiddenError, UsageError
from pactsh.journal.chain import MAX_ENTRY_BYTES
from pactsh.journal.documents import no_constant
from pactsh.model import approval, revocation
from pactsh.model.entry import Draft
from pactsh.model.identity import Identity

AGENT_TYPES = frozenset(
    {
        "session.start",
        "session.end",
        "intent",
        "amend",
        "outcome",
        "refusal",
        "connection.refused",
        "agent.start",
        "agent.stop",
        "audit.degraded",
        "audit.restored",
        "drift.detected",
        "drift.cleared",
        "drift.adopted",
        "gpu.health",
        "commit",
        "converged",
        "rollback.begun",
        "rollback",
        "window.extended",
        "overlay.begun",
        "overlay.applied",
        "overlay.failed",
        "blacklist.added",
        "blacklist.removed",
        "emergency.start",
        "emergency.end",
        "emergency.stale",
        "approval.done",
        "service.begun",
        "service.done",
        "recording.failed",
        "recording.played",
    }
)
# Who may append these: a role, `{}` standing for the vCluster of the draft's scope.
PERSON_TYPES: dict[str, tuple[str, ...]] = {
    "policy.updated": ("pact-platform-admin",),
    "overlay.updated": ("pact-platform-admin", "pact-ops-{}"),
}
# Written by the journal itself alone.
BEGUN, DONE = "delegation.begun", "delegation.done"
JOURNAL_TYPES = frozenset({"cert.signed", "node.enrolled", BEGUN, DONE, revocation.TYPE, *approval.TYPES})
KNOWN_TYPES = AGENT_TYPES | JOURNAL_TYPES | frozenset(PERSON_TYPES)

NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_SCOPE = re.compile(rf"global|vcluster:{NAME}|node:{NAME}")
_TIME = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
)
_CLIENT = re.compile(r"(agent|user|journal):[!-~]{1,200}")
_SESSION = re.compile(r"[!-~]{0,128}")
PERSONS = ("human", "service")
KINDS = (*PERSONS, "agent")


def is_time(text: str) -> bool:
    """Whether `text` is a time as entries have it (RFC 3339 UTC, microseconds)."""
    return _TIME.fullmatch(text) is not None


def is_scope(text: str) -> bool:
    """Whether `text` is `global`, `vcluster:NAME` or `node:ID`."""
    return _SCOPE.fullmatch(text) is not None


def parse_draft(data: bytes) -> Draft:
    """The draft in `data` (JSON); raises `UsageError` that says what is wrong with it."""
    if len(data) > MAX_ENTRY_BYTES:
        raise UsageError(f"draft of {len(data)} bytes", hint=f"an entry holds at most {MAX_ENTRY_BYTES} bytes")
    try:
        draft = msgspec.convert(json.loads(data, parse_constant=no_constant), Draft)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not a draft: {error}") from error
    check_draft(draft)
    return draft


def check_draft(draft: Draft) -> None:
    """Raise `UsageError` unless every field has its form."""
    problem = ""
    if draft.type not in KNOWN_TYPES:
        problem = f"unknown entry type {draft.type[:64]!r}"
    elif not is_time(draft.time):
        problem = f"time {draft.time[:64]!r}: expected RFC 3339 UTC with microseconds"
    elif not is_scope(draft.scope):
        problem = f"scope {draft.scope[:128]!r}: expected global, vcluster:NAME or node:ID"
    elif not _CLIENT.fullmatch(draft.client):
        problem = f"client {draft.client[:64]!r}: expected agent:… or user:…"
    elif not 0 <= draft.number < 1 << 63:
        problem = f"number {draft.number} is out of range"
    elif not _SESSION.fullmatch(draft.session):
        problem = f"session {draft.session[:64]!r}: expected printable ASCII without blanks"
    elif not draft.author.principal or len(draft.author.principal) > 256 or draft.author.kind not in KINDS:
        problem = "author: expected a principal and a kind of human, agent or service"
    elif draft.parent is not None and not 0 < draft.parent < 1 << 63:
        problem = f"parent {draft.parent} is not an entry's number"
    elif draft.ttl is not None and not 0 < draft.ttl < 1 << 31:
        problem = f"ttl {draft.ttl} is out of range"
    if problem:
        raise UsageError(f"draft refused: {problem}")


def authorize_draft(draft: Draft, identity: Identity) -> None:
    """Raise `ForbiddenError` unless `identity` may append `draft`.

    An agent speaks for its node: the people on it are vouched for by the agent, but no agent
    writes into another node's history, and none takes another's numbers. A person speaks
    for itself only.
    """
    if identity.kind == "agent":
        node = identity.principal.removeprefix("agent:")
        if draft.type not in AGENT_TYPES:
            raise ForbiddenError(f"an agent may not append entries of type {draft.type}")
        if draft.scope != f"node:{node}":
            raise ForbiddenError(f"the agent of {node} may not append to {draft.scope}")
        if not draft.client.startswith(f"agent:{node}:"):
            raise ForbiddenError(f"client {draft.client!r} is not of the agent of {node}")
        return
    needed = PERSON_TYPES.get(draft.type)
    if needed is None:
        raise ForbiddenError(f"{identity.principal} may not append entries of type {draft.type}")
    vcluster = draft.scope.removeprefix("vcluster:")
    roles = [role.format(vcluster) for role in needed]
    if not set(roles) & set(identity.roles):
        raise ForbiddenError(f"{draft.type} needs the role {' or '.join(roles)}")
    if not draft.client.startswith(f"user:{identity.principal}:"):
        raise ForbiddenError(f"client {draft.client!r} is not of {identity.principal}")
    author = (draft.author.principal, draft.author.roles, draft.author.kind)
    if author != (identity.principal, identity.roles, identity.kind):
        raise ForbiddenError(f"{identity.principal} may not append in the name of {draft.author.principal}")

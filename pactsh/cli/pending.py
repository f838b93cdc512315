"""Waiting for a second person: what is shown meanwhile, and how it ends.

On a node its agent tells how it ends, from elsewhere the journal does. Who waits no longer (Ctrl-C, or JSON output,
which never waits) leaves the request pending.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pactsh.cli.context import Context
from pactsh.cli.nodes import counted_nodes, is_name
from pactsh.cli.settled import Outcome, SettledError
from pactsh.errors import PolicyError, UnreachableError, error_of
from pactsh.model.approval import Approval

if TYPE_CHECKING:
    from pactsh.cli.delegating import Deed
    from pactsh.cli.local import LocalAgent
    from pactsh.model.entry import Draft, JsonObject
    from pactsh.rpc import pact_pb2 as pb

T = TypeVar("T")

_AGAIN_S = 1.0


class Pending(msgspec.Struct, frozen=True):
    """A request that was put on record."""

    id: str
    vcluster: str
    expires: str
    left_s: int


def is_pending(item: Mapping[str, object]) -> bool:
    """Whether an agent's answer is that a second person has to agree."""
    return isinstance(item.get("approval"), dict)


def settle_here(ctx: Context, agent: LocalAgent, item: Mapping[str, object], what: str) -> None:
    """Wait with the node's agent; always raises: `SettledError`, or the error that it came to."""
    pending = msgspec.convert(item["approval"], Pending)
    where = str(item.get("node") or pending.vcluster)
    try:
        _announce(ctx, pending, what, where)
        over = msgspec.convert(agent.ask("approval", {"id": pending.id}, endless=True), Approval)
    except KeyboardInterrupt:
        raise SettledError(Outcome(pending.id, "pending", what, where)) from None
    _end(over, what, where)


def settle_elsewhere(ctx: Context, pending: Pending, what: str, where: str) -> None:
    """Wait with the journal; raises like `settle_here`."""
    try:
        _announce(ctx, pending, what, where)
        over = _watch(ctx, pending.id)
    except KeyboardInterrupt:
        raise SettledError(Outcome(pending.id, "pending", what, where)) from None
    _end(over, what, where)


def pending_of(ctx: Context, approval: Approval) -> Pending:
    """A request as the journal has it."""
    from datetime import datetime

    left = datetime.fromisoformat(approval.expires) - ctx.now()
    return Pending(approval.id, approval.vcluster, approval.expires, max(0, round(left.total_seconds())))


def request(ctx: Context, action: str, draft: Draft) -> Pending:
    """Ask the journal for a second person who agrees to this entry."""
    from pactsh.cli.remote import ask

    operation = json.dumps({"message": draft.message, "body": draft.body}).encode()
    found = ask(ctx, lambda j: j.request_approval(action, operation, draft.message, scope=draft.scope))
    return pending_of(ctx, found)


def agreed(ctx: Context, deed: Deed, begun: pb.DelegationBegun) -> Approval:
    """Wait until a second person has agreed to what lattice or OpenCHAMI is to do, and where the journal does it then,
    until that is over; raises `PolicyError` where nobody does. Who comes back for what they have asked for finds it
    again."""
    from pactsh.cli.remote import ask

    what, where = deed.action.replace("_", " "), begun.vcluster
    found = _asked_before(ctx, deed, begun)
    if found is None:
        names = counted_nodes(deed.targets) if all(map(is_name, deed.targets)) else ", ".join(deed.targets)
        reason = deed.facts.get("reason")
        summary = f"{what} {names}{f': {reason}' if reason else ''}"
        body = {"action": deed.action, "targets": list(deed.targets), "facts": deed.facts}
        operation = json.dumps({"message": summary, "body": body}).encode()
        found = ask(ctx, lambda j: j.request_approval("delegate", operation, summary, scope=f"vcluster:{where}"))
    elif not ctx.json:
        ctx.notice(f"{found.id} asks for this already")
    again = not begun.by_journal  # whoever asks for it does it

    def waits(approval: Approval) -> bool:
        return approval.state == "pending" if again else approval.is_open

    if waits(found):
        pending = pending_of(ctx, found)
        try:
            _announce(ctx, pending, what, where, again=again)
            found = _watch(ctx, pending.id, waits)
        except KeyboardInterrupt:
            raise SettledError(Outcome(pending.id, "pending", what, where, again=again)) from None
    if found.state not in {"approved", "done"}:
        _end(found, what, where)
    if not ctx.json:
        ctx.notice(f"Approved by {found.by}")
    return found


def facts_of(approval: Approval) -> JsonObject:
    """The facts that somebody has agreed to."""
    return _body_of(approval, "facts", dict) or {}


def _asked_before(ctx: Context, deed: Deed, begun: pb.DelegationBegun) -> Approval | None:
    """The caller's own open request for the same; the jobs there may be others by now."""
    from pactsh.cli.remote import ask

    def wanted(facts: JsonObject) -> JsonObject:
        return {name: value for name, value in facts.items() if not name.startswith("jobs")}

    for one in ask(ctx, lambda journal: journal.approvals(vcluster=begun.vcluster)):
        is_own = one.action == "delegate" and one.requester.principal == begun.principal
        if (
            is_own
            and _body_of(one, "action", str) == deed.action
            and sorted(_body_of(one, "targets", list) or []) == sorted(deed.targets)
            and wanted(facts_of(one)) == wanted(deed.facts)
        ):
            return one
    return None


def _body_of(approval: Approval, key: str, kind: type[T]) -> T | None:
    body = approval.operation.get("body")
    value = body.get(key) if isinstance(body, dict) else None
    return value if isinstance(value, kind) else None


def _announce(ctx: Context, pending: Pending, what: str, where: str, *, again: bool = False) -> None:
    if ctx.json:
        raise SettledError(Outcome(pending.id, "pending", what, where, again=again))
    ctx.notice(f"Approval required (two-person policy on vcluster: {pending.vcluster})")
    ctx.notice(f"Pending approval: {pending.id} (expires in {max(1, round(pending.left_s / 60))} min)")
    ctx.notice("Waiting for approval... (Ctrl-C to background)")


def _watch(ctx: Context, id_: str, waits: Callable[[Approval], bool] = lambda approval: approval.is_open) -> Approval:
    from pactsh.cli.remote import ask, iterate

    while True:
        try:
            for known in ask(ctx, lambda journal: journal.approvals(id_=id_)):
                if not waits(known):
                    return known
            for approval in iterate(ctx, lambda journal: journal.watch_approvals(id_=id_)):
                if not waits(approval):
                    return approval
        except UnreachableError as error:
            ctx.notice(f"pact: {error.message}; trying again")
        ctx.sleep(_AGAIN_S)


def _end(over: Approval, what: str, where: str) -> None:
    if over.state == "denied":
        raise PolicyError(f"{what}: {over.id} was denied by {over.by}: {over.reason}")
    if over.state == "expired":
        hint = "" if over.action == "delegate" else "what it was to commit is rolled back"
        raise PolicyError(f"{what}: nobody approved {over.id} in time", hint=hint)
    if over.status is None or over.status:
        raise error_of(over.kind, over.message or f"{what}: {over.id} was approved by {over.by}, and failed")
    raise SettledError(Outcome(over.id, "done", what, where, over.by))

"""`pact approve`: the second person's part of two-person approval."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import NotFoundError, UsageError, error_of

if TYPE_CHECKING:
    from pactsh.model.approval import Approval

_ID = re.compile(r"ap-[0-9a-f]{4,16}")
_WAIT_S = 30.0
_DONE = {
    "shell": "The line was run", "exec": "The line was run", "emergency_start": "Emergency begun",
    "emergency_end": "Emergency ended", "apply": "Spec applied", "policy_update": "Policy changed",
    "blacklist": "Blacklist changed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ListArgs:
    """`all`: those that are over as well."""

    all: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A request: where, what for, by whom, since when (seconds), and how far it is."""

    id: str
    vcluster: str
    node: str | None
    action: str
    summary: str
    requester: str
    requested: str
    expires: str
    age_s: int
    state: str
    by: str | None
    reason: str | None


def _deed(approval: Approval) -> str:
    """What it is about: of what is delegated, while it is open, the deed."""
    body = approval.operation.get("body")
    deed = body.get("action") if approval.action == "delegate" and isinstance(body, dict) else None
    return deed if isinstance(deed, str) else approval.action


def _listed(ctx: Context, approval: Approval) -> Listed:
    from datetime import datetime

    age = ctx.now() - datetime.fromisoformat(approval.requested)
    return Listed(
        approval.id,
        approval.vcluster,
        approval.node or None,
        _deed(approval),
        approval.summary,
        approval.requester.principal,
        approval.requested,
        approval.expires,
        max(0, round(age.total_seconds())),
        approval.state,
        approval.by or None,
        approval.reason or None,
    )


def run_list(ctx: Context, args: ListArgs) -> tuple[Listed, ...]:
    """What waits for a decision, oldest first."""
    from pactsh.cli.remote import ask

    vcluster = ctx.settings.vcluster if "vcluster" in ctx.explicit else ""
    found = ask(ctx, lambda journal: journal.approvals(vcluster=vcluster or "", closed=args.all))
    return tuple(_listed(ctx, approval) for approval in found)


def render_list(result: tuple[Listed, ...], out: Out) -> None:
    """A line a request."""
    from pactsh.cli.changes import lasts

    if not result:
        out.line("No pending approvals.")
    for item in result:
        state = "" if item.state == "pending" else f"  {item.state}{f' by {item.by}' if item.by else ''}"
        what = item.action if item.node is None else f"{item.action} on {item.node}"
        who = f"by {item.requester}  {lasts(item.age_s)} ago"
        out.line(f'{item.id}  {item.vcluster}  "{item.summary}"  {who}  ({what}){state}')


@dataclass(frozen=True, slots=True)
class Shown:
    """A request with all that it would do, a line each."""

    request: Listed
    details: tuple[str, ...]


def run_show(ctx: Context, args: ApproveArgs) -> Shown:
    """One request. Raises `NotFoundError`."""
    from pactsh.cli.remote import ask
    from pactsh.cli.request import details

    id_ = _checked(args.id)
    found = ask(ctx, lambda journal: journal.approvals(id_=id_))
    if not found:
        raise NotFoundError(f"approve: no approval {id_}", hint="pact approve list --all shows them")
    return Shown(_listed(ctx, found[0]), tuple(details(ctx, found[0])))


def render_shown(result: Shown, out: Out) -> None:
    """The line of the list, until when, and what it would do."""
    render_list((result.request,), out)
    out.line(f"  expires: {result.request.expires[:19]}Z")
    for line in result.details:
        out.line(f"  {line}")


@dataclass(frozen=True, slots=True)
class ApproveArgs:
    """Which one."""

    id: str


@dataclass(frozen=True, slots=True)
class DenyArgs:
    """Which one, and why not."""

    id: str
    message: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of it: `done` with its status, or still `approved` when the node has not done it yet."""

    id: str
    state: str
    action: str
    where: str
    by: str
    message: str = ""
    done_by: str = ""


def run_approve(ctx: Context, args: ApproveArgs) -> Decided:
    """Approve, and wait a while for it to be done; raises what doing it came to."""
    approval = _decide(ctx, args.id, approve=True)
    if approval.is_open and approval.operation.get("by_journal", True):
        approval = _followed(ctx, approval)
    if approval.state == "done" and approval.status:
        raise error_of(approval.kind, f"{approval.id} is approved, and failed: {approval.message or approval.status}")
    done_by = ""
    if approval.action == "delegate" and approval.is_open:
        done_by = "the journal" if approval.operation.get("by_journal") else f"{approval.requester.principal}'s pact"
    return Decided(
        approval.id, approval.state, approval.action, _where(approval), approval.by, approval.message, done_by
    )


def _followed(ctx: Context, approval: Approval) -> Approval:
    """What has become of it within a while."""
    import asyncio

    from pactsh.cli.remote import ask
    from pactsh.rpc.client import Journal

    async def until_done(journal: Journal) -> Approval:
        latest = approval
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                async for latest in journal.watch_approvals(id_=approval.id):
                    if not latest.is_open:
                        break
        return latest

    return ask(ctx, until_done)


def run_deny(ctx: Context, args: DenyArgs) -> Decided:
    """Deny; raises like the journal."""
    approval = _decide(ctx, args.id, approve=False, reason=args.message)
    return Decided(approval.id, approval.state, approval.action, _where(approval), approval.by)


def _decide(ctx: Context, id_: str, *, approve: bool, reason: str = "") -> Approval:
    from pactsh.cli.remote import ask

    known = _checked(id_)
    return ask(ctx, lambda journal: journal.decide_approval(known, approve=approve, reason=reason))


def _checked(id_: str) -> str:
    if not _ID.fullmatch(id_):
        raise UsageError(f"approve: {id_[:40]!r} is not an approval's id", hint="pact approve list shows them")
    return id_


def _where(approval: Approval) -> str:
    return approval.node or approval.vcluster


def render_decided(result: Decided, out: Out) -> None:
    """One line."""
    if result.state == "denied":
        out.line(f"Denied: {result.id} ({result.action} on {result.where}).")
    elif result.done_by:
        out.line(f"Approved. It is done by {result.done_by} now.")
    elif result.state == "done" and result.action == "delegate":
        out.line(f"Approved. {result.message}")
    elif result.state == "done":
        what = _DONE.get(result.action, f"{result.action.capitalize()} applied")
        out.line(f"Approved. {what} on {result.where}.")
    else:
        out.line(f"Approved. What was asked for on {result.where} is on its way.")


class _Approve(Group):
    """`pact approve ID` approves; without anything it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the verb in where an id, or nothing, stands in its place."""
        if not args:
            args = ["list"]
        elif args[0] not in self.commands and not args[0].startswith("-"):
            args = ["id", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Without the one that is not typed."""
        return [name for name in super().list_commands(ctx) if name != "id"]


_WHICH = click.Argument(["id"], metavar="ID")

LIST: Command[ListArgs, tuple[Listed, ...]] = Command(
    "list",
    help="List what waits for a second person.",
    run=run_list,
    render=render_list,
    args=ListArgs,
    params=[click.Option(["--all"], is_flag=True, help="Those that are over as well.")],
)
SHOW: Command[ApproveArgs, Shown] = Command(
    "show",
    help="Show all that a request would do.\n\nOf a policy or a spec, how it differs from what is in force.",
    run=run_show,
    render=render_shown,
    args=ApproveArgs,
    params=[_WHICH],
)
APPROVE: Command[ApproveArgs, Decided] = Command(
    "id",
    help="Approve it: it is done at once, in its requester's name.",
    run=run_approve,
    render=render_decided,
    args=ApproveArgs,
    params=[_WHICH],
)
APPROVE.hidden = True
DENY: Command[DenyArgs, Decided] = Command(
    "deny",
    help="Deny it.",
    run=run_deny,
    render=render_decided,
    args=DenyArgs,
    params=[_WHICH, click.Option(["-m", "--message"], metavar="REASON", required=True, help="Why not.")],
)

command = _Approve(
    "approve",
    help="""Approve or deny two-person operations.

    `pact approve ID` approves: what was asked for is done, once, though its requester has gone. Nobody approves their
    own.""",
    commands=[LIST, SHOW, DENY, APPROVE],
)

"""`pact revoke`: take back what was issued to a person or a node. The journal decides who may, and dates it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pactsh.cli.arguments import NODE
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.rpc import pact_pb2 as pb

_MOST = 100_000


@dataclass(frozen=True, slots=True)
class PersonArgs:
    """Who, as tokens and entries name it, and why."""

    principal: str
    message: str


@dataclass(frozen=True, slots=True)
class NodeArgs:
    """Which node, and why."""

    node: str
    message: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was issued before (RFC 3339 UTC) counts no more. `known`: the journal has entries of that one."""

    kind: str
    subject: str
    before: str
    seq: int
    known: bool


def run_person(ctx: Context, args: PersonArgs) -> Revoked:
    """Revoke; raises `ForbiddenError` for who may not, `PolicyError` where the site's own rules say so."""
    from pactsh.auth.names import check_principal

    return _revoke(ctx, "person", check_principal(args.principal), args.message)


def run_node(ctx: Context, args: NodeArgs) -> Revoked:
    """Revoke; raises `NotFoundError` as well."""
    return _revoke(ctx, "node", args.node, args.message)


def _revoke(ctx: Context, kind: str, subject: str, message: str) -> Revoked:
    from pactsh.cli.remote import ask

    if not message.strip():
        raise UsageError("revoke: say why", hint="-m MESSAGE")
    reply: pb.RevokeReply = ask(ctx, lambda journal: journal.revoke(kind, subject, message))
    made = reply.revocation
    if not reply.known:
        ctx.notice(f"pact: revoke: the journal has no entry by {subject}: is that the name in their token?")
    return Revoked(kind, made.subject, _text(made.before), made.seq, reply.known)


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_revoked(result: Revoked, out: Out) -> None:
    """One line, and for a node what brings it back."""
    out.line(f"Revoked: {result.subject}. What was issued before {result.before} counts no more (seq:{result.seq}).")


@dataclass(frozen=True, slots=True)
class ListArgs:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Row:
    """One that was revoked: the last time, by whom, when (RFC 3339), how long ago (seconds), and why."""

    kind: str
    subject: str
    before: str
    by: str
    time: str
    age_s: int
    message: str
    seq: int


def run_list(ctx: Context, _args: ListArgs) -> tuple[Row, ...]:
    """What was revoked and the caller may see, the newest first."""
    from pactsh.cli.remote import ask
    from pactsh.model.revocation import TYPE, Key, Revocation, fold

    known: dict[Key, Revocation] = {}
    for entry in ask(ctx, lambda journal: journal.list(_MOST, type=TYPE, newest_first=False)):
        fold(known, entry)
    now = ctx.now()
    return tuple(
        Row(
            one.kind,
            one.subject,
            _text(one.before),
            one.by,
            one.time,
            max(0, round((now - datetime.fromisoformat(one.time)).total_seconds())),
            one.message,
            one.seq,
        )
        for one in sorted(known.values(), key=lambda one: one.seq, reverse=True)
    )


def render_list(result: tuple[Row, ...], out: Out) -> None:
    """A line each."""
    from pactsh.cli.changes import lasts

    if not result:
        out.line("(nothing was revoked)")
    for row in result:
        about = f'by {row.by}  {lasts(row.age_s)} ago  "{row.message}"'
        out.line(f"{row.kind}  {row.subject}  {about}  (issued before {row.before})")


def _message() -> click.Option:
    return click.Option(["-m", "--message"], metavar="MESSAGE", required=True, help="Why.")


PERSON_COMMAND: Command[PersonArgs, Revoked] = Command(
    "person",
    help="Take back a person's tokens and certificates.\n\nWho has them is refused, and what runs over them ends.",
    run=run_person,
    render=render_revoked,
    args=PersonArgs,
    params=[click.Argument(["principal"], metavar="PERSON"), _message()],
)
NODE_COMMAND: Command[NodeArgs, Revoked] = Command(
    "node",
    help="Take back a node's certificates.\n\nIts agent is refused until it is enrolled with a new join token.",
    run=run_node,
    render=render_revoked,
    args=NodeArgs,
    params=[click.Argument(["node"], type=NODE), _message()],
)
LIST: Command[ListArgs, tuple[Row, ...]] = Command(
    "list",
    help="List what was revoked.",
    run=run_list,
    render=render_list,
    args=ListArgs,
)

command = Group(
    "revoke",
    help="""Take back what was issued to a person or a node.

    What was issued until now counts no more, at once: tokens and certificates, on the journal and on every node that
    it reaches. Platform admins only. It bars nobody: who may sign in gets new ones.""",
    commands=[PERSON_COMMAND, NODE_COMMAND, LIST],
)

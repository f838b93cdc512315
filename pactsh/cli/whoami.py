"""`pact whoami`: who the node, or the journal, takes you for, and what proved it."""

from __future__ import annotations

from dataclasses import dataclass

from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out


@dataclass(frozen=True, slots=True)
class Args:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Result:
    """A verified identity. `source` proved it (uid, ssh, token, tls), `verified_by` checked the proof.

    `expires_at` (RFC 3339 UTC) is when the proof ends; None: with the session.
    """

    principal: str
    roles: tuple[str, ...]
    kind: str
    source: str
    verified_by: str
    expires_at: str | None = None


def run(ctx: Context, _args: Args) -> Result:
    """Ask the agent on a node, the journal from elsewhere."""
    if ctx.node is None:
        from pactsh.cli.certificate import certified_identity
        from pactsh.cli.remote import ask

        ask(ctx, lambda journal: journal.heads(last=True))  # a kept certificate does not know that it was revoked
        who, until = certified_identity(ctx)
        return Result(
            who.principal,
            who.roles,
            who.kind,
            who.source,
            f"journal {ctx.settings.endpoint}",
            until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
    with ctx.agent() as agent:
        item = agent.ask("whoami")
    roles = tuple(str(role) for role in item["roles"])
    return Result(str(item["principal"]), roles, str(item["kind"]), str(item["source"]), f"node {item['node']}")


def render(result: Result, out: Out) -> None:
    """One line: principal, roles, proof."""
    out.line(f"{result.principal} ({', '.join(result.roles) or 'no roles'})")
    until = f", until {result.expires_at}" if result.expires_at else ""
    out.line(f"{result.kind}, by {result.source}, verified by {result.verified_by}{until}")


command = Command(
    "whoami",
    help="Show who you are here, and what proved it.",
    run=run,
    render=render,
    args=Args,
)

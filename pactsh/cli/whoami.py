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
    """A verified identity; `by` is who verified it: `node:ID` or `journal:ENDPOINT`."""

    principal: str
    roles: tuple[str, ...]
    kind: str
    source: str
    by: str


def run(ctx: Context, _args: Args) -> Result:
    """Ask the agent on a node, the journal from elsewhere."""
    item = next(ctx.agent().call("whoami"))
    return Result(str(item["principal"]), (), str(item["kind"]), str(item["source"]), "")


def render(result: Result, out: Out) -> None:
    """One line: principal, roles, proof."""
    roles = ", ".join(result.roles) or "no roles"
    out.line(f"{result.principal} ({roles}), {result.kind}, proved by {result.source} to {result.by}")


command = Command(
    "whoami",
    help="Show who you are here, and what proved it.",
    run=run,
    render=render,
    args=Args,
)

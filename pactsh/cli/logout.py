"""`pact logout`: forget the saved token, and the SSH key and certificate that came with it."""

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
    """Where the credentials were, and where a token still comes from after this ("" from nowhere)."""

    directory: str
    token_still_from: str


def run(ctx: Context, _args: Args) -> Result:
    """Remove the files. A token given otherwise isn't ours to remove: that is said."""
    from pactsh.auth.credentials import Credentials, state_directory

    directory = state_directory(ctx.environ)
    Credentials(directory).forget()
    settings = ctx.settings
    still = "PACT_TOKEN, --token or cli.toml" if settings.token else str(settings.token_file or "")
    return Result(str(directory), still)


def render(result: Result, out: Out) -> None:
    """One line, and one more when a token is still there."""
    out.line(f"Signed out: nothing is kept in {result.directory}")
    if result.token_still_from:
        out.line(f"A token is still given by {result.token_still_from}")


command = Command("logout", help="Forget the token that login stored.", run=run, render=render, args=Args)

"""`pact logout`: revoke the sign-ins at their issuers, and forget them with the SSH keys and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import PactError, UnreachableError

if TYPE_CHECKING:
    from pactsh.auth.logins import Login


@dataclass(frozen=True, slots=True)
class Args:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Result:
    """Where the credentials were, the issuers at which sign-ins were revoked, and where a token still comes from after
    this ("" from nowhere)."""

    directory: str
    revoked: tuple[str, ...]
    token_still_from: str


def run(ctx: Context, _args: Args) -> Result:
    """Revoke, then remove the files whatever came of it. A token given otherwise isn't ours to remove: that is said.

    Raises `UnreachableError` when an issuer could not be told: what it gave counts there until it ends.
    """
    from pactsh.auth.credentials import Credentials
    from pactsh.auth.logins import Logins
    from pactsh.auth.state import state_directory

    directory = state_directory(ctx.environ)
    logins = Logins(directory)
    revoked, failed = [], []
    try:
        for known in logins.all():
            login = logins.take(known)
            if login is None:
                continue
            try:
                if _revoke(login):
                    revoked.append(login.provider.issuer)
            except PactError as error:
                failed.append(error.message)
    finally:
        logins.forget()
        Credentials(directory).forget()
    if failed:
        raise UnreachableError(
            f"signed out here, but not revoked: {'; '.join(failed)}",
            hint="what was given counts at the issuer until it ends",
        )
    settings = ctx.settings
    still = "PACT_TOKEN, --token or cli.toml" if settings.token else str(settings.token_file or "")
    return Result(str(directory), tuple(revoked), still)


def _revoke(login: Login) -> bool:
    """Whether there was something that could be revoked, and was."""
    from pactsh.auth.oidc.signin import SignIn

    if login.service:  # without its secret, and it has nothing that lasts
        return False
    tokens = {"refresh_token": login.refresh_token} if login.refresh_token else {}
    if not login.provider.takes_id_token:
        tokens["access_token"] = login.token
    return bool(tokens) and SignIn(login.provider).revoke(tokens)


def render(result: Result, out: Out) -> None:
    """A line for each issuer, one for the files, and one more when a token is still there."""
    for issuer in result.revoked:
        out.line(f"Revoked at {issuer}")
    out.line(f"Signed out: nothing is kept in {result.directory}")
    if result.token_still_from:
        out.line(f"A token is still given by {result.token_still_from}")


command = Command("logout", help="Sign out, and revoke what sign-in gave.", run=run, render=render, args=Args)

"""`pact login`: sign in with the site's OIDC issuer. The issuer's side of it comes with a later version.

Until then it says how an identity is given instead. The seam: `run` will ask the journal for the issuer, walk the
chosen flow (`pactsh.auth`) and store the token where `token_file` of cli.toml points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import click

from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import PactError


@dataclass(frozen=True, slots=True)
class Args:
    """Which flow."""

    device_code: bool
    service_account: bool


@dataclass(frozen=True, slots=True)
class Result:
    """Who has been signed in, and until when (RFC 3339 UTC)."""

    principal: str
    expires_at: str


def run(_ctx: Context, _args: Args) -> NoReturn:
    """Raise `PactError`: no issuer can be configured in this version."""
    raise PactError(
        "login: no OIDC issuer is configured, and this version can't use one",
        hint="set PACT_TOKEN, or token_file in cli.toml (a development system: pact dev env)",
    )


def render(result: Result, out: Out) -> None:
    """One line."""
    out.line(f"Signed in as {result.principal} until {result.expires_at}")


command: Command[Args, Result] = Command(
    "login",
    help="Sign in.",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Option(["--device-code"], is_flag=True, help="Sign in on another device, with a code."),
        click.Option(["--service-account"], is_flag=True, help="Sign in with client credentials."),
    ],
)

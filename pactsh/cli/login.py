"""`pact login`: sign in at the site's issuer, by browser, on another device, or as a service.

The journal says which issuer that is, and has the last word on who it was: a sign-in that it does not take is not kept.
"""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pactsh.cli import interrupts
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import PactError, UsageError

if TYPE_CHECKING:
    from pactsh.auth.logins import Login
    from pactsh.auth.oidc.provider import Provider
    from pactsh.auth.oidc.signin import DeviceCode, Tokens
    from pactsh.model.identity import Identity

_WAITING = "Waiting for the sign-in... (Ctrl-C to give up)"
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@dataclass(frozen=True, slots=True)
class Args:
    """Which flow, and at which issuer where the journal trusts several."""

    device_code: bool = False
    service_account: bool = False
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Who has been signed in and where, with which roles; whether pact gets the next token by itself."""

    principal: str
    roles: tuple[str, ...]
    kind: str
    issuer: str
    journal: str
    renews: bool


def run(ctx: Context, args: Args) -> Result:
    """Walk the flow, show the journal the token, keep it."""
    from msgspec.structs import replace

    from pactsh.auth.logins import Login, Logins, new_id
    from pactsh.auth.state import state_directory
    from pactsh.cli.bearer import CLIENT_ID, CLIENT_SECRET, client_credentials, updated

    if args.device_code and args.service_account:
        raise UsageError("login: --device-code and --service-account: one of them")
    secret = client_credentials(ctx.environ) if args.service_account else None
    if args.service_account and secret is None:
        raise UsageError(f"login: --service-account needs {CLIENT_ID} and {CLIENT_SECRET}")
    logins = Logins(state_directory(ctx.environ))
    provider = _provider(ctx, args.issuer)
    if secret is not None:
        provider = replace(provider, client_id=secret[0])
    tokens = _tokens(ctx, args, provider, secret)
    endpoint = ctx.settings.endpoint
    login = updated(Login(new_id(), endpoint, provider, "", 0.0, service=args.service_account), tokens)
    try:
        who = _verified(ctx, login)
    except PactError:
        _give_back(provider, "" if secret is None else secret[1], tokens)
        raise
    logins.save(login)
    if ctx.settings.token is not None or ctx.settings.token_file is not None:
        ctx.notice("a token is given by PACT_TOKEN, --token or cli.toml, and goes before this sign-in")
    renews = bool(login.refresh_token or args.service_account)
    return Result(who.principal, who.roles, who.kind, provider.issuer, endpoint, renews)


def _provider(ctx: Context, issuer: str | None) -> Provider:
    """The issuer to sign in at, which the journal names. Raises `UsageError` when there is none, or no such."""

    from pactsh.cli.remote import read_ca
    from pactsh.rpc.client import Journal

    async def ask() -> list[Provider]:
        endpoint, timeout_s = ctx.settings.endpoint, ctx.settings.timeout
        async with Journal(endpoint, ca=read_ca(ctx.settings), timeout_s=timeout_s) as journal:
            return await journal.providers()

    providers = interrupts.run(ask())
    names = [provider.issuer for provider in providers]
    if not providers:
        raise UsageError(
            "login: the journal trusts no issuer",
            hint="[[oidc]] in pact-journal(8); in a development system: pact dev env",
        )
    if issuer is None and len(providers) > 1:
        raise UsageError(
            f"login: the journal trusts several issuers: {', '.join(names)}", hint="name one: --issuer URL"
        )
    for provider in providers:
        if issuer in (None, provider.issuer):
            return provider
    raise UsageError(f"login: the journal does not trust {issuer}", hint=f"it trusts {', '.join(names)}")


def _tokens(ctx: Context, args: Args, provider: Provider, secret: tuple[str, str] | None) -> Tokens:
    from pactsh.auth.oidc.signin import SignIn

    if secret is not None:
        return SignIn(provider, secret=secret[1]).as_service()
    signing = SignIn(provider, sleep=ctx.sleep)
    if args.device_code:
        return signing.by_device(lambda device: _show_code(ctx, device))
    return signing.by_browser(lambda url: _show_page(ctx, url))


def _show_code(ctx: Context, device: DeviceCode) -> None:
    ctx.notice(f"On any device open {device.url} and enter the code {device.code}")
    if device.complete_url:
        ctx.notice(f"or open {device.complete_url}")
    ctx.notice(_WAITING)


def _show_page(ctx: Context, url: str) -> None:
    """Open a browser where there is a screen for it; the address is there for all others."""
    opened = False
    if _has_screen(ctx.environ):
        with suppress(webbrowser.Error, OSError):
            opened = webbrowser.open(url)
    ctx.notice(f"{'Your browser shows' if opened else 'Open in a browser on this machine:'} {url}")
    if not opened:
        ctx.notice("(with a browser on another machine: pact login --device-code)")
    ctx.notice(_WAITING)


def _has_screen(environ: Mapping[str, str]) -> bool:
    # On a text console Python would start a browser in the terminal, in the middle of ours.
    return any(environ.get(name) for name in _DISPLAYS)


def _verified(ctx: Context, login: Login) -> Identity:
    """Who the journal says it is. Raises `AuthError` when it does not take the token, `ForbiddenError` when nobody with
    a role has signed in."""

    from pactsh.auth.credentials import Credentials, SshCredentials
    from pactsh.auth.state import binding_of, state_directory
    from pactsh.cli.certificate import certified
    from pactsh.cli.remote import read_ca
    from pactsh.rpc.client import Journal

    settings, credentials = ctx.settings, Credentials(state_directory(ctx.environ))
    binding = binding_of(login.endpoint, login.id)

    async def ask() -> SshCredentials:
        async with Journal(
            login.endpoint, ca=read_ca(settings), token=login.token, timeout_s=settings.timeout
        ) as journal:
            return await credentials.ensure_ssh_certificate(journal, ctx.now(), binding=binding)

    return certified(interrupts.run(ask()))


def _give_back(provider: Provider, secret: str, tokens: Tokens) -> None:
    """Revoke what will not be used, as far as that can be done."""
    from pactsh.auth.oidc.signin import SignIn

    if tokens.refresh_token:
        with suppress(PactError):
            SignIn(provider, secret=secret).revoke({"refresh_token": tokens.refresh_token})


def render(result: Result, out: Out) -> None:
    """Who it is, and what it is good for."""
    out.line(f"Signed in as {result.principal} ({', '.join(result.roles)})")
    if not result.renews:
        out.line("until the token ends: the issuer gives nothing that would get the next")


command: Command[Args, Result] = Command(
    "login",
    help="Sign in.",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Option(["--device-code"], is_flag=True, help="Sign in on another device, with a code."),
        click.Option(["--service-account"], is_flag=True, help="Sign in with client credentials."),
        click.Option(["--issuer"], metavar="URL", help="Which issuer, where the journal trusts several."),
    ],
)

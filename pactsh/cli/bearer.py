"""The token that the journal is shown: one that was given, or that of the sign-in, renewed when it is about to end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pactsh.auth.logins import Login, Logins
from pactsh.auth.state import binding_of, state_directory
from pactsh.errors import AuthError, UsageError

if TYPE_CHECKING:
    from pactsh.auth.oidc.signin import Tokens
    from pactsh.cli.config import Settings

CLIENT_ID, CLIENT_SECRET = "PACT_CLIENT_ID", "PACT_CLIENT_SECRET"


class Bearer(NamedTuple):
    """A token, and what certificates for it are kept under: the same for all tokens of a sign-in."""

    token: str
    binding: str


def find_bearer(settings: Settings, environ: Mapping[str, str]) -> Bearer | None:
    """The token in the settings, that in the file they name, else that of `pact login`; None without any.

    Raises `UsageError` for a file that others may read, `AuthError` when the sign-in has ended, and
    `UnreachableError` when it has to be renewed and its issuer can't be reached.
    """
    from pactsh.cli.config import read_token

    token = read_token(settings)
    if token is not None:
        return Bearer(token, binding_of(settings.endpoint, token))
    login = Logins(state_directory(environ)).fresh(settings.endpoint, time.time, lambda old: renewed(old, environ))
    return None if login is None else Bearer(login.token, binding_of(settings.endpoint, login.id))


def require_bearer(settings: Settings, environ: Mapping[str, str]) -> Bearer:
    """The same; raises `AuthError` without one: there is no default identity."""
    bearer = find_bearer(settings, environ)
    if bearer is None:
        raise AuthError(f"not signed in at {settings.endpoint}", hint="pact login, or set PACT_TOKEN")
    return bearer


def renewed(login: Login, environ: Mapping[str, str]) -> Login:
    """The sign-in with its next token. Raises `AuthError` when there is none to be had."""
    from pactsh.auth.oidc.signin import SignIn

    if login.service:
        provider, secret = login.provider, client_credentials(environ)
        if secret is None or secret[0] != provider.client_id:
            raise AuthError(
                f"the sign-in of {provider.client_id} has ended",
                hint=f"set {CLIENT_ID} and {CLIENT_SECRET} again, or pact login --service-account",
            )
        return updated(login, SignIn(provider, secret=secret[1]).as_service())
    if not login.refresh_token:
        raise AuthError("the sign-in has ended", hint="pact login")
    return updated(login, SignIn(login.provider).refresh(login.refresh_token))


def updated(login: Login, tokens: Tokens) -> Login:
    """The sign-in with other tokens; an issuer that sends no new refresh token means the old one to go on."""
    from msgspec.structs import replace

    return replace(
        login,
        token=tokens.token,
        expires_at=time.time() + tokens.lifetime_s,
        refresh_token=tokens.refresh_token or login.refresh_token,
    )


def client_credentials(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """A service's id and secret, from the environment; None without. Raises `UsageError` for one without the other.

    The secret may be in a file that PACT_CLIENT_SECRET_FILE names, as credentials of systemd units are.
    """
    from pathlib import Path

    from pactsh.auth import private

    client, secret = environ.get(CLIENT_ID, ""), environ.get(CLIENT_SECRET, "")
    path = environ.get(f"{CLIENT_SECRET}_FILE", "")
    if path and not secret:
        content = private.read_private(Path(os.path.expanduser(path)))
        if content is None:
            raise UsageError(f"{CLIENT_SECRET}_FILE: {path}: no such file")
        secret = content.decode("utf-8", "replace").strip()
    if bool(client) != bool(secret):
        raise UsageError(f"{CLIENT_ID} and {CLIENT_SECRET} (or {CLIENT_SECRET}_FILE) belong together")
    return (client, secret) if client else None

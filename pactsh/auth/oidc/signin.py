"""Signing in at an issuer: by browser, on another device, as a service; and what follows: refreshing, revoking.

The protocol is Authlib's; here is what pact wants of it. Everything blocks, and is bounded in time.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError

from pactsh.auth.oidc.discovery import MAX_DOCUMENT, WELL_KNOWN, Endpoints, parse_document, read_endpoints, trust
from pactsh.auth.oidc.loopback import Loopback, printable
from pactsh.auth.oidc.provider import Provider
from pactsh.auth.tokens import Issuer, StaticKeys, check_id_token
from pactsh.errors import AuthError, UnreachableError, UsageError

LIMIT_S = 10.0
BROWSER_S = 300.0
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SHORTEST_POLL_S, _SLOW_DOWN_S = 1.0, 5.0  # RFC 8628, section 3.5: five seconds more each time it is asked for
_UNKNOWN_LIFE_S = 300.0


class Tokens(NamedTuple):
    """What a sign-in gave: the token for the journal, how long it lives (s), and what gets the next one."""

    token: str
    lifetime_s: float
    refresh_token: str = ""


class DeviceCode(NamedTuple):
    """What a person is told: where to go, and the code to type there (the address with the code in it, if any)."""

    url: str
    code: str
    complete_url: str


class SignIn:
    """At one issuer, as its client. `secret` is for clients that act for themselves."""

    def __init__(self, provider: Provider, *, secret: str = "", sleep: Callable[[float], None] = time.sleep) -> None:
        self._provider, self._secret, self._sleep = provider, secret, sleep
        self._tls = trust(provider.ca.encode() or None)
        self._known: Endpoints | None = None

    def by_browser(self, show: Callable[[str], None], *, limit_s: float = BROWSER_S) -> Tokens:
        """By authorization code with PKCE (RFC 7636, RFC 8252). `show` brings the address before a person's eyes.
        Raises `AuthError`, `UnreachableError`, `UsageError`."""
        endpoints = self._endpoints()
        url = self._offered(endpoints.authorization, "authorization codes")
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        port, names_itself = self._provider.redirect_port, endpoints.names_itself
        with (
            Loopback(state, self._provider.issuer, port=port, names_itself=names_itself) as loopback,
            self._client(redirect_uri=loopback.uri) as client,
        ):
            more = {"prompt": "consent"} if "offline_access" in self._provider.scopes else {}
            shown, _ = client.create_authorization_url(
                url, state=state, code_verifier=verifier, nonce=nonce, **more, **self._resource()
            )
            show(shown)
            code = loopback.code(limit_s)
            answer = client.fetch_token(
                self._offered(endpoints.token, "tokens"),
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                redirect_uri=loopback.uri,
                **self._resource(),
            )
        self._check_id_token(endpoints, answer, nonce)
        return self._tokens(answer)

    def by_device(self, show: Callable[[DeviceCode], None]) -> Tokens:
        """By a code that is typed on another device (RFC 8628). Raises like `by_browser`."""
        endpoints = self._endpoints()
        url = self._offered(endpoints.device, "device codes")
        with self._client() as client:
            form = {"client_id": self._provider.client_id, "scope": self._scope(), **self._resource()}
            begun = client.post(url, data=form, auth=None)
            if begun.status_code != 200:
                raise AuthError(f"{self._provider.issuer} gives no device code: {_reason(begun.content)}")
            device = parse_document(url, begun.status_code, begun.content[:MAX_DOCUMENT])
            show(_device_code(device))
            answer = self._poll(client, self._offered(endpoints.token, "tokens"), device)
        self._check_id_token(endpoints, answer, None)
        return self._tokens(answer)

    def as_service(self) -> Tokens:
        """By client credentials (RFC 6749, section 4.4). Raises like `by_browser`."""
        endpoints = self._endpoints()
        if self._provider.takes_id_token:
            raise UsageError(f"{self._provider.issuer}: only ID tokens are taken here, which services don't get")
        with self._client(scope=None) as client:
            token_url = self._offered(endpoints.token, "tokens")
            answer = client.fetch_token(token_url, grant_type="client_credentials", **self._resource())
        return self._tokens(answer)

    def refresh(self, refresh_token: str) -> Tokens:
        """The next token (RFC 6749, section 6). Raises `AuthError` when the sign-in has ended, `UnreachableError`."""
        endpoints = self._endpoints()
        with self._client(scope=None) as client:
            client.token = {"refresh_token": refresh_token}
            answer = client.refresh_token(
                self._offered(endpoints.token, "tokens"), refresh_token=refresh_token, **self._resource()
            )
        return self._tokens(answer)

    def revoke(self, tokens: Mapping[str, str]) -> bool:
        """Revoke tokens (RFC 7009), by their kinds (`refresh_token`, `access_token`); whether any could be: some
        issuers revoke nothing, many no access tokens. Raises `UnreachableError`, and `AuthError` when it refuses."""
        endpoints = self._endpoints()
        if not endpoints.revocation:
            return False
        revoked = False
        with self._client() as client:
            for kind, token in tokens.items():
                answer = client.revoke_token(endpoints.revocation, token=token, token_type_hint=kind)
                if answer.status_code >= 500:
                    raise UnreachableError(f"{endpoints.revocation}: HTTP status {answer.status_code}")
                if answer.status_code == 200:
                    revoked = True
                elif _error(answer.content) != "unsupported_token_type":
                    raise AuthError(f"{self._provider.issuer} does not revoke: {_reason(answer.content)}")
        return revoked

    def _poll(self, client: Any, url: str, device: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the token until somebody has agreed, in the rhythm that the issuer wants."""
        from authlib.integrations.base_client.errors import OAuthError

        interval_s = max(_SHORTEST_POLL_S, _number(device.get("interval"), 5.0))
        end = time.monotonic() + min(_number(device.get("expires_in"), 300.0), 3600.0)
        while time.monotonic() < end:
            self._sleep(interval_s)
            try:
                answer: Mapping[str, Any] = client.fetch_token(
                    url, grant_type=_DEVICE_GRANT, device_code=device.get("device_code"), **self._resource()
                )
            except OAuthError as error:
                if error.error == "slow_down":
                    interval_s += _SLOW_DOWN_S
                elif error.error != "authorization_pending":
                    raise
            else:
                return answer
        raise AuthError("nobody typed the code in time", hint="pact login --device-code again")

    def _check_id_token(self, endpoints: Endpoints, answer: Mapping[str, Any], nonce: str | None) -> None:
        """OpenID Connect Core 1.0, section 3.1.3.7; no ID token is no fault where nobody asked for one."""
        token = answer.get("id_token")
        if token is None and not self._provider.takes_id_token:
            return
        with self._client() as client:
            got = client.get(endpoints.jwks, auth=None)
        try:
            keys = StaticKeys(parse_document(endpoints.jwks, got.status_code, got.content))
        except ValueError as error:
            raise AuthError(f"{self._provider.issuer}: {error}") from error
        issuer = Issuer(self._provider.issuer, keys, audiences=(self._provider.client_id,))
        asyncio.run(check_id_token(str(token), issuer, nonce, time.time()))

    def _tokens(self, answer: Mapping[str, Any]) -> Tokens:
        name = "id_token" if self._provider.takes_id_token else "access_token"
        token = answer.get(name)
        if not isinstance(token, str) or not token:
            raise AuthError(f"{self._provider.issuer} gave no {name.replace('_', ' ')}")
        life = _jwt_life(token)
        if life is None:
            raise AuthError(
                f"{self._provider.issuer} gave a token that only it can read",
                hint="the journal needs JWTs: see resource, audience and token in pact-journal(8)",
            )
        refresh = answer.get("refresh_token")
        return Tokens(token, life, refresh if isinstance(refresh, str) else "")

    def _endpoints(self) -> Endpoints:
        if self._known is None:
            url = self._provider.issuer.rstrip("/") + WELL_KNOWN
            with self._client() as client:
                got = client.get(url, auth=None)
            document = parse_document(url, got.status_code, got.content[:MAX_DOCUMENT])
            self._known = read_endpoints(self._provider.issuer, document)
        return self._known

    def _offered(self, endpoint: str, what: str) -> str:
        if not endpoint:
            raise AuthError(f"{self._provider.issuer} does not give {what}", hint="pact login --help has other ways")
        return endpoint

    def _scope(self) -> str:
        return " ".join(self._provider.scopes)

    def _resource(self) -> dict[str, str]:
        return {"resource": self._provider.resource} if self._provider.resource else {}

    @contextmanager
    def _client(self, **more: Any) -> Iterator[Any]:
        """Authlib's client; its errors leave as pact's."""
        import httpx2
        from authlib.integrations.base_client.errors import OAuthError
        from authlib.integrations.httpx_client import OAuth2Client

        try:
            with OAuth2Client(
                client_id=self._provider.client_id,
                client_secret=self._secret or None,
                scope=more.pop("scope", self._scope()),
                code_challenge_method="S256",
                verify=self._tls,
                timeout=LIMIT_S,
                follow_redirects=False,
                **more,
            ) as client:
                yield client
        except OAuthError as error:
            raise AuthError(
                f"{self._provider.issuer} refused: {printable(str(error.description or error.error))}",
                hint="pact login",
            ) from error
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
            raise UnreachableError(f"the issuer {self._provider.issuer} can't be reached: {printable(why)}") from error
        except ValueError as error:  # an answer that is no JSON
            raise UnreachableError(f"{self._provider.issuer}: an answer that can't be read") from error


def _device_code(device: Mapping[str, Any]) -> DeviceCode:
    url, code = device.get("verification_uri"), device.get("user_code")
    if not isinstance(url, str) or not isinstance(code, str) or not isinstance(device.get("device_code"), str):
        raise AuthError("the issuer's answer has no device code")
    complete = device.get("verification_uri_complete")
    return DeviceCode(printable(url), printable(code), printable(complete) if isinstance(complete, str) else "")


def _jwt_life(token: str) -> float | None:
    """How long a JWT that we were given lives (s), by its own dates; None for what is no JWT."""
    try:
        claims = json.loads(jws.extract_compact(token.encode("ascii")).payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    return max(0.0, _number(claims.get("exp"), 0.0) - _number(claims.get("iat"), 0.0)) or _UNKNOWN_LIFE_S


def _number(value: object, default: float) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**40
    return float(value) if usable and isinstance(value, int | float) else default


def _reason(content: bytes) -> str:
    """The error in an issuer's answer, in words."""
    return printable(_error(content, "error_description") or _error(content)) or "an answer that can't be read"


def _error(content: bytes, name: str = "error") -> str:
    """A member of an error's object (RFC 6749, section 5.2); empty when it isn't there."""
    try:
        return str(json.loads(content[:MAX_DOCUMENT])[name])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""

"""What an issuer publishes about itself (OpenID Connect Discovery 1.0, RFC 8414), fetched over TLS and bounded."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pactsh.errors import AuthError, UnreachableError, UsageError

WELL_KNOWN = "/.well-known/openid-configuration"
MAX_DOCUMENT = 1 << 20


class Endpoints(NamedTuple):
    """Where an issuer is asked for what; empty where it doesn't offer that."""

    jwks: str
    authorization: str = ""
    token: str = ""
    device: str = ""
    revocation: str = ""
    names_itself: bool = False
    """Whether its answers carry `iss` (RFC 9207)."""


_NAMES = {
    "jwks": "jwks_uri",
    "authorization": "authorization_endpoint",
    "token": "token_endpoint",
    "device": "device_authorization_endpoint",
    "revocation": "revocation_endpoint",
}


def check_issuer(url: str) -> str:
    """Return `url` if it can be an issuer's: https, a host, neither query nor fragment. Raises `UsageError`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or set(url) & set("?#@ ") or not url.isprintable():
        raise UsageError(f"issuer {url!r}: expected https://HOST[/PATH]")
    return url


def read_endpoints(issuer: str, document: Mapping[str, Any]) -> Endpoints:
    """The endpoints out of an issuer's document. Raises `AuthError` for that of another issuer, or without keys."""
    if document.get("issuer") != issuer:  # Discovery 1.0, section 4.3
        raise AuthError(
            f"the document of {issuer} is that of another issuer",
            hint="the issuer's name has to be exactly the one it gives itself",
            detail=repr(document.get("issuer"))[:200],
        )
    found: dict[str, str] = {}
    for name, key in _NAMES.items():
        url = document.get(key, "")
        if not isinstance(url, str) or (url and urlsplit(url).scheme != "https"):
            raise AuthError(f"{issuer}: {key} is no https address")
        found[name] = url
    if not found["jwks"]:
        raise AuthError(f"{issuer}: names no keys (jwks_uri)")
    return Endpoints(**found, names_itself=document.get("authorization_response_iss_parameter_supported") is True)


def trust(ca: bytes | None) -> ssl.SSLContext:
    """TLS towards an issuer: with the certificates of `ca` (PEM) alone, or the system's. Raises `UsageError`."""
    if ca is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=ca.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise UsageError("the issuer's CA is not a PEM certificate") from error


def parse_document(url: str, status: int, content: bytes) -> dict[str, Any]:
    """An answer that has to be a JSON object. Raises `UnreachableError` for any other."""
    if status != 200:
        raise UnreachableError(f"{url}: HTTP status {status}")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreachableError(f"{url}: the answer is not JSON") from error
    if not isinstance(document, dict):
        raise UnreachableError(f"{url}: the answer is not a JSON object")
    return document

"""What an issuer may say of itself."""

from __future__ import annotations

from typing import Any

import pytest

from pactsh.auth.oidc.discovery import check_issuer, parse_document, read_endpoints
from pactsh.errors import AuthError, UnreachableError, UsageError

ISSUER = "https://sso.example.org/realms/hpc"
GOOD: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": "https://sso.example.org/jwks", "token_endpoint": "https://x/t"}


def test_what_is_not_offered_is_empty() -> None:
    found = read_endpoints(ISSUER, GOOD | {"device_authorization_endpoint": ""})
    assert (found.jwks, found.token) == ("https://sso.example.org/jwks", "https://x/t")
    assert (found.device, found.revocation, found.authorization, found.names_itself) == ("", "", "", False)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"issuer": ISSUER + "/"}, "another issuer"),
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"jwks_uri": "http://sso.example.org/jwks"}, "jwks_uri is no https address"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is no https address"),
        ({"jwks_uri": 7}, "jwks_uri is no https address"),
        ({"jwks_uri": ""}, "names no keys"),
        ({"token_endpoint": "http://x/t"}, "token_endpoint is no https address"),
    ],
)
def test_what_it_must_not_say(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(AuthError, match=why):
        read_endpoints(ISSUER, GOOD | changes)


@pytest.mark.parametrize(
    ("status", "content"),
    [(404, b"{}"), (302, b"{}"), (500, b""), (200, b""), (200, b"[]"), (200, b"<html>"), (200, b"[" * 100_000)],
)
def test_an_answer_that_is_no_document_is_no_answer(status: int, content: bytes) -> None:
    with pytest.raises(UnreachableError):
        parse_document(ISSUER, status, content)


@pytest.mark.parametrize(
    "url",
    ["", "sso.example.org", "http://sso.example.org", "https://", "https:///x", "https://x:0/", "https://x:y/",
     "https://u@x/", "https://x/?a", "https://x/#a", "https://x/ y", "https://[::1/", "https://x/\x1b"],
)  # fmt: skip
def test_what_is_no_issuer(url: str) -> None:
    with pytest.raises(UsageError, match="expected https"):
        check_issuer(url)


@pytest.mark.parametrize("url", ["https://x", "https://x/", "https://x:8443/realms/hpc", "https://[::1]:8443"])
def test_what_is_one(url: str) -> None:
    assert check_issuer(url) == url

"""From the claims of a verified token to an identity: which claim is the person, which groups are which roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pactsh.auth.names import CERTIFIED_KINDS, check_principal, known_roles
from pactsh.errors import AuthError
from pactsh.model.identity import Identity

SERVICE_PREFIX = "service:"  # no person is ever called so


@dataclass(frozen=True, slots=True)
class ClaimMap:
    """How one issuer's claims are read.

    `principal`, `groups` and `roles` name claims; a dot leads into an object (`realm_access.roles`). `email` counts
    only when `email_verified`, and without regard to case. `domain` is what every person's name ends with: it is
    appended to a name without `@`, and a name of another domain is refused. `group_roles` maps the issuer's group
    names to roles, `clients` the ids of clients that act for themselves (client credentials) to theirs. Through those
    in `people` persons sign in: a token of any other is a service's, whatever its subject (empty: of any a person's).
    """

    principal: str = "sub"
    groups: str = "groups"
    roles: str = "pact_role"
    domain: str = ""
    group_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clients: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    people: tuple[str, ...] = ()


def identity_of(claims: Mapping[str, Any], wanted: ClaimMap) -> Identity:
    """The identity that verified claims stand for; raises `AuthError` when they name nobody.

    Roles that pact doesn't know are dropped; a token without a known one gives `roles=()`.
    """
    named = list(_strings(_claim(claims, wanted.roles)))
    for group in _strings(_claim(claims, wanted.groups)):
        named += wanted.group_roles.get(group, ())
    client = _client(claims)
    if client in wanted.clients:
        roles = known_roles([*named, *wanted.clients[client]])
        return Identity(check_principal(SERVICE_PREFIX + client), roles, "service", "token")
    kind = claims.get("pact_principal_type", "human")
    if kind not in CERTIFIED_KINDS:
        raise AuthError("the token is for a kind of principal that has no tokens")
    itself = bool(client) and claims.get("sub") == client  # RFC 9068, section 2.2
    if itself or (client and wanted.people and client not in wanted.people) or claims.get("idtyp") == "app":
        return Identity(check_principal(SERVICE_PREFIX + client), known_roles(named), "service", "token")
    return Identity(_principal(claims, wanted), known_roles(named), kind, "token")


def _principal(claims: Mapping[str, Any], wanted: ClaimMap) -> str:
    name = _claim(claims, wanted.principal)
    if not isinstance(name, str):
        raise AuthError(f"the token does not say who it is for (claim {wanted.principal!r})")
    if wanted.principal == "email":
        if claims.get("email_verified") is not True:
            raise AuthError("the token's e-mail address is not verified by its issuer")
        name = name.lower()
    if name.startswith(SERVICE_PREFIX):
        raise AuthError("not a usable principal name", detail=repr(name[:200]))
    if wanted.domain:
        if "@" not in name:
            name = f"{name}@{wanted.domain}"
        if name.startswith("@") or name.rpartition("@")[2].lower() != wanted.domain.lower():
            raise AuthError(f"this issuer speaks for people of {wanted.domain} alone", detail=repr(name[:200]))
    return check_principal(name)


def _client(claims: Mapping[str, Any]) -> str:
    """The client that the token was made for: `client_id` (RFC 9068), or `azp` (OpenID Connect Core)."""
    for name in ("client_id", "azp"):
        if isinstance(value := claims.get(name), str):
            return value
    return ""


def _claim(claims: Mapping[str, Any], path: str) -> object:
    """A claim by its name, or by the way to it: some issuers have names with dots, others objects."""
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _strings(value: object) -> Iterable[str]:
    """A claim that is a string or a list of strings, as strings; anything else in it is left out."""
    values = value if isinstance(value, list) else [value]
    return (item for item in values if isinstance(item, str))

"""The issuers that a journal trusts: `[[oidc]]` of its file.

Several have a domain each: otherwise one could give tokens in the names of another's people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pactsh.auth.claims import ClaimMap
from pactsh.auth.names import is_role
from pactsh.auth.oidc.discovery import check_issuer, trust
from pactsh.auth.oidc.keys import IssuerKeys
from pactsh.auth.oidc.provider import Provider
from pactsh.auth.tokens import AUDIENCE, Issuer
from pactsh.errors import UsageError

Roles = tuple[str, ...]
_SCOPE = r"^[\x21\x23-\x5b\x5d-\x7e]+$"  # RFC 6749, section 3.3
_DOMAIN = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"


class OidcConfig(BaseModel):
    """One issuer, and what its tokens mean here. `groups` and `clients` map its names to roles; `token` is the one that
    people show the journal; `audience` what has to be in it: `pact-journal` for access tokens, the client for ID
    tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    client_id: Annotated[str, Field(min_length=1, max_length=256)] = "pact"
    more_clients: tuple[str, ...] = ()
    id_token: bool = False
    audience: tuple[str, ...] = ()
    scopes: tuple[Annotated[str, Field(pattern=_SCOPE)], ...] = ("openid", "profile", "offline_access")
    resource: str = ""
    redirect_port: Annotated[int, Field(ge=0, lt=65536)] = 0
    ca: Path | None = None
    principal_claim: Annotated[str, Field(min_length=1)] = "sub"
    groups_claim: Annotated[str, Field(min_length=1)] = "groups"
    role_claim: Annotated[str, Field(min_length=1)] = "pact_role"
    domain: Annotated[str, Field(pattern=_DOMAIN)] | None = None
    groups: dict[str, Roles] = {}
    clients: dict[str, Roles] = {}

    @field_validator("issuer")
    @classmethod
    def _is_issuer(cls, value: str) -> str:
        try:
            return check_issuer(value)
        except UsageError as error:
            raise ValueError(error.message) from error

    @field_validator("groups", "clients")
    @classmethod
    def _are_roles(cls, value: dict[str, Roles]) -> dict[str, Roles]:
        for name, roles in value.items():
            for role in roles:
                if not is_role(role):
                    raise ValueError(f"{name}: {role}: no role of pact, such as pact-ops-VCLUSTER")
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes: openid has to be among them")
        for client in {self.client_id, *self.more_clients} & self.clients.keys():
            raise ValueError(f"clients: {client} is one that people sign in with")
        return self

    @property
    def audiences(self) -> tuple[str, ...]:
        """What a token has to be for."""
        return self.audience or ((self.client_id,) if self.id_token else (AUDIENCE,))

    def provider(self) -> Provider:
        """What `pact login` is told. Raises `UsageError` when the CA can't be read."""
        try:
            ca = "" if self.ca is None else self.ca.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"oidc: ca: {self.ca}: {getattr(error, 'strerror', None) or 'not PEM'}") from error
        return Provider(
            self.issuer,
            self.client_id,
            self.scopes,
            takes_id_token=self.id_token,
            resource=self.resource,
            redirect_port=self.redirect_port,
            ca=ca,
        )

    def trusted(self, cache: Path) -> tuple[Issuer, IssuerKeys]:
        """The issuer for the verifier, and its keys, which are to be run; `cache` is a directory of their own. Raises
        `UsageError`."""
        ca, name = self.provider().ca, hashlib.sha256(self.issuer.encode()).hexdigest()[:32]
        keys = IssuerKeys(self.issuer, trust(ca.encode() or None), cache=cache / f"{name}.json")
        keys.load()
        claims = ClaimMap(
            principal=self.principal_claim,
            groups=self.groups_claim,
            roles=self.role_claim,
            domain=self.domain or "",
            group_roles=self.groups,
            clients=self.clients,
            people=(self.client_id, *self.more_clients),
        )
        return Issuer(self.issuer, keys, self.audiences, claims), keys


def check_together(issuers: Sequence[OidcConfig]) -> None:
    """Raise `ValueError` for issuers that could speak for each other's people."""
    if len({one.issuer for one in issuers}) < len(issuers):
        raise ValueError("an issuer is named twice")
    domains = [(one.domain or "").lower() for one in issuers]
    if len(issuers) > 1 and ("" in domains or len(set(domains)) < len(domains)):
        raise ValueError("several issuers need a domain each, or one could speak for another's people")
    clients = [client for one in issuers for client in one.clients]
    if len(set(clients)) < len(clients):
        raise ValueError("clients of two issuers have the same name")

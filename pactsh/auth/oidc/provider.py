"""What `pact login` has to know of an issuer, as the journal tells it and as it is kept with a sign-in."""

from __future__ import annotations

import msgspec


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An issuer, and the client that pact is there.

    The journal takes the access token (RFC 9068), or with `takes_id_token` the ID token; `resource` is what an access
    token is asked for (RFC 8707). `redirect_port` is 0 for any port of the loopback address (RFC 8252,
    section 7.3). `ca` (PEM) takes the place of the system's certificates, unless it is empty.
    """

    issuer: str
    client_id: str
    scopes: tuple[str, ...] = ("openid",)
    takes_id_token: bool = False
    resource: str = ""
    redirect_port: int = 0
    ca: str = ""

"""Who acts: a verified principal, its roles and how it was verified."""

from __future__ import annotations

import msgspec

KINDS = ("human", "agent", "service")


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verified identity. There is no default one: without proof there is no value.

    `source` says what proved it: `uid` (SO_PEERCRED and the agent's `local_users`), `ssh`
    (a user certificate of the journal's CA), `token` (OIDC or the development issuer),
    `tls` (an agent's client certificate).
    """

    principal: str
    roles: tuple[str, ...]
    kind: str
    source: str

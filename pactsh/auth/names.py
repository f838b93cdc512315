"""Names that stand in certificates and tokens: principals, roles, nodes, hosts.

Everything here is checked by form before it is signed and again when it is read, so that a
name can't smuggle a second principal, a role or a line break past either side. Standard
library and the model alone: the agent's SSH server loads this.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from pactsh.errors import AuthError
from pactsh.model.identity import Identity

NODE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?|::1?")
# The roles of facts/upstream-constants.md, section 7: fixed ones, and ones for a vCluster.
ROLE = re.compile(r"pact-platform-admin|pact-service-(agent|ai)|pact-(ops|viewer|regulated)-[a-z0-9][a-z0-9-]{0,62}")
ROLE_PREFIX = "role="
MAX_PRINCIPAL = 128
MAX_ROLES = 64
CERTIFIED_KINDS = ("human", "service")  # agents prove themselves with TLS certificates, never with a token
_RESERVED = ("-", ROLE_PREFIX, "agent:", "journal:")
_JOURNAL = "pact-journal"  # the author of what the journal does by itself
_KEY_ID = re.compile(r"pact (?P<kind>[a-z]+) (?P<principal>\S+) serial=(?P<serial>[0-9]{1,20})")


def check_principal(name: str) -> str:
    """Return `name` if it can stand for a person or a service, else raise `AuthError`.

    Printable, NFKC (no look-alike spelling of another name), no blank, comma or control
    character, at most 128 characters, not starting with `-`, `role=` or what pact's own programs are called.

    >>> check_principal("alice@example.org")
    'alice@example.org'
    """
    odd = (
        not name
        or len(name) > MAX_PRINCIPAL
        or not name.isprintable()
        or any(c.isspace() or c == "," for c in name)
        or name.startswith(_RESERVED)
        or name.casefold() == _JOURNAL
        or not unicodedata.is_normalized("NFKC", name)
    )
    if odd:
        raise AuthError("not a usable principal name", detail=repr(name[:200]))
    return name


def check_node(name: str) -> str:
    """Return `name` if it is a node's id, else raise `AuthError`."""
    if not NODE.fullmatch(name):
        raise AuthError(f"not a node name: {name[:80]!r}", hint="lower-case letters, digits and hyphens, at most 63")
    return name


def check_host(name: str) -> str:
    """Return `name` if it is a host name or an address without wildcards, else raise `AuthError`."""
    if not HOST.fullmatch(name):
        raise AuthError(f"not a host name or address: {name[:80]!r}")
    return name


def is_role(name: str) -> bool:
    """Whether `name` is a role that pact knows.

    >>> is_role("pact-ops-ml-training"), is_role("pact-root")
    (True, False)
    """
    return ROLE.fullmatch(name) is not None


def known_roles(names: Iterable[str]) -> tuple[str, ...]:
    """The known ones of `names`, sorted, each once; raises `AuthError` on more than 64."""
    roles = tuple(sorted({name for name in names if is_role(name)}))
    if len(roles) > MAX_ROLES:
        raise AuthError(f"more than {MAX_ROLES} roles")
    return roles


def ssh_principals(identity: Identity) -> tuple[str, ...]:
    """The principals of the SSH certificate for `identity`: the person, then `role=…` each."""
    check_principal(identity.principal)
    if identity.kind not in CERTIFIED_KINDS:
        raise AuthError(f"no SSH certificates for identities of kind {identity.kind!r}")
    unknown = [role for role in identity.roles if not is_role(role)]
    if unknown or len(set(identity.roles)) != len(identity.roles) or len(identity.roles) > MAX_ROLES:
        raise AuthError("roles that can't be certified", detail=repr(identity.roles))
    return (identity.principal, *(ROLE_PREFIX + role for role in identity.roles))


def ssh_key_id(identity: Identity, serial: int) -> str:
    """The certificate's key id, as `ssh-keygen -L` and sshd's log show it."""
    return f"pact {identity.kind} {identity.principal} serial={serial}"


def parse_identity_from_ssh_principals(principals: Sequence[str], key_id: str) -> Identity:
    """Read the identity out of a certificate that the SSH server has already verified.

    Exactly one person, known roles, and a key id that says the same: anything else raises
    `AuthError`, whoever signed it.
    """
    people = [name for name in principals if not name.startswith(ROLE_PREFIX)]
    roles = tuple(name.removeprefix(ROLE_PREFIX) for name in principals if name.startswith(ROLE_PREFIX))
    if len(people) != 1:
        raise AuthError("the certificate does not name exactly one person", detail=repr(tuple(principals)[:8]))
    match = _KEY_ID.fullmatch(key_id)
    if match is None or match["principal"] != people[0]:
        raise AuthError("the certificate's key id is not one of ours", detail=repr(key_id[:200]))
    identity = Identity(principal=people[0], roles=roles, kind=match["kind"], source="ssh")
    ssh_principals(identity)
    return identity

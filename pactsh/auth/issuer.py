"""The development issuer: makes tokens for `pact dev` and for tests.

A journal trusts it only when it was started with `--dev-issuer DIR`, and needs only the public
half there (`jwks.json`); whoever can read `issuer.key` can be anybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from pactsh.auth import private
from pactsh.auth.names import CERTIFIED_KINDS, check_principal, is_role
from pactsh.auth.tokens import AUDIENCE, Issuer, StaticKeys
from pactsh.errors import UsageError

ISSUER = "https://dev-issuer.pact.invalid"  # RFC 2606: no real issuer can ever have this name
MAX_LIFETIME_S = 8 * 3600
_KEY, _JWKS = "issuer.key", "jwks.json"


class DevIssuer:
    """An ES256 key pair in a private directory, and the tokens it signs."""

    def __init__(self, key: ECKey, clock: Callable[[], datetime]) -> None:
        self._key = key
        self._clock = clock

    @classmethod
    def open(cls, directory: Path, *, clock: Callable[[], datetime]) -> DevIssuer:
        """Open the issuer in `directory`, making it if there is none.

        Raises `UsageError` when others may read it.
        """
        private.make_private_directory(directory)
        content = private.read_private(directory / _KEY)
        if content is None:
            key = ECKey.generate_key("P-256", auto_kid=True)
            private.write_private(directory / _KEY, key.as_pem(private=True))
        else:
            try:
                key = ECKey.import_key(content)
            except (JoseError, ValueError) as error:
                raise UsageError(f"{directory / _KEY}: not a key of a development issuer") from error
            key.ensure_kid()
        issuer = cls(key, clock)
        private.write_private(directory / _JWKS, json.dumps(issuer.jwks()).encode())
        return issuer

    def issue(
        self, principal: str, roles: Sequence[str], *, lifetime_s: int = MAX_LIFETIME_S, kind: str = "human"
    ) -> str:
        """A token for `principal`, valid from now for `lifetime_s` (at most 8 h).

        Raises `AuthError` for a name, `UsageError` for a role, kind or lifetime that can't be.
        """
        unknown = [role for role in roles if not is_role(role)]
        if unknown:
            raise UsageError(f"unknown role {unknown[0]!r}", hint="such as pact-platform-admin, pact-ops-VCLUSTER")
        if kind not in CERTIFIED_KINDS:
            raise UsageError(f"unknown kind {kind!r}", hint=f"one of {', '.join(CERTIFIED_KINDS)}")
        if not 0 < lifetime_s <= MAX_LIFETIME_S:
            raise UsageError(f"a token lives 1 to {MAX_LIFETIME_S} s, not {lifetime_s}")
        now = int(self._clock().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": check_principal(principal),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_s,
            "pact_role": list(roles),
            "pact_principal_type": kind,
        }
        return jwt.encode({"alg": "ES256", "kid": self._key.kid}, claims, self._key, algorithms=["ES256"])

    def jwks(self) -> dict[str, Any]:
        """The public key as a JWKS document."""
        return {"keys": [{**self._key.as_dict(private=False), "use": "sig", "alg": "ES256"}]}


def trusted_issuer(directory: Path) -> Issuer:
    """The development issuer of `directory`, for a `Verifier`; reads the public half alone."""
    path = directory / _JWKS
    content = private.read_private(path)
    if content is None:
        raise UsageError(f"{path}: no such file", hint="--dev-issuer names the directory of a development issuer")
    try:
        return Issuer(ISSUER, StaticKeys(json.loads(content)))
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path}: not a JWKS document with a usable key") from error

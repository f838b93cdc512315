"""Tokens: what a signed JWT of a configured issuer says about who is asking.

Asymmetric signatures alone (RS256, ES256, EdDSA): with HS256 whoever can check a token can make
one, and `none` is no signature. The algorithm must fit the key, not the other way round. A
token is read twice: once unverified, for the issuer's name only, then verified with that
issuer's keys; no claim is used before that. Nothing of a token ever reaches a log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from pactsh.auth.claims import ClaimMap, identity_of
from pactsh.errors import AuthError
from pactsh.model.identity import Identity

LEEWAY_S = 60
MAX_TOKEN = 16 << 10
MIN_RSA_BITS = 2048  # what issuers in the field use; keys we choose ourselves are longer
AUDIENCE = "pact-journal"
ALGORITHMS = ("RS256", "ES256", "EdDSA", "Ed25519")
TYPES = ("JWT", "AT+JWT", "APPLICATION/AT+JWT")

Key = RSAKey | ECKey | OKPKey


class KeySource(Protocol):
    """Where an issuer's public keys come from: a document, or the issuer itself (`pactsh.auth.oidc.keys`)."""

    async def find(self, key_id: str | None) -> Sequence[Key]:
        """Keys with that id; all of them for None."""
        ...


class StaticKeys:
    """The keys of one JWKS document (RFC 7517). Key types we don't verify with are left out."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        """Raises `ValueError` when `jwks` has no usable key."""
        entries = jwks.get("keys")
        imported = map(_import_key, entries if isinstance(entries, list) else ())
        self._keys = tuple(key for key in imported if key is not None)
        if not self._keys:
            raise ValueError("no usable key: expected RSA of 2048 bits up, P-256 or Ed25519")

    async def find(self, key_id: str | None) -> Sequence[Key]:
        """Keys with that id; all of them for None."""
        return [key for key in self._keys if key_id is None or key.kid == key_id]


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens count, when they are for one of `audiences`."""

    issuer: str
    keys: KeySource
    audiences: tuple[str, ...] = (AUDIENCE,)
    claims: ClaimMap = field(default_factory=ClaimMap)


class Verified(NamedTuple):
    """What a token proved, until when, and when it was issued (aware, UTC)."""

    identity: Identity
    expires_at: datetime
    issued_at: datetime


class Verifier:
    """Checks tokens against the configured issuers."""

    def __init__(self, issuers: Iterable[Issuer], *, clock: Callable[[], datetime]) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._clock = clock

    async def verify(self, token: str) -> Verified:
        """Verify signature, issuer, audience and dates; raises `AuthError` when anything is off.

        Roles that pact doesn't know are dropped; a token without a known one gives `roles=()`. Raises
        `UnreachableError` when the issuer has to be asked for its keys and can't be reached.
        """
        if len(token) > MAX_TOKEN or not token.isascii():
            raise AuthError("not a token: too long, or not ASCII")
        issuer = self._issuers.get(_claimed_issuer(token))
        if issuer is None:
            raise AuthError("the token is not from an issuer that this journal trusts", hint="pact login")
        claims = await _verified_claims(token, issuer.keys)
        if "events" in claims:  # a security event (RFC 8417), such as a logout token, is signed with the same keys
            raise AuthError("not a token that signs anybody in")
        _check_audience(claims, issuer.audiences)
        expires_at = _check_dates(claims, self._clock().timestamp())
        issued_at = datetime.fromtimestamp(_date(claims, "iat"), UTC)
        return Verified(identity_of(claims, issuer.claims), datetime.fromtimestamp(expires_at, UTC), issued_at)


async def check_id_token(token: str, issuer: Issuer, nonce: str | None, now: float) -> None:
    """Check an ID token as the client that asked for it (OpenID Connect Core 1.0, section 3.1.3.7); `nonce` is what was
    sent along, None where nothing was. Raises `AuthError`."""
    claims = await _verified_claims(token, issuer.keys)
    if claims.get("iss") != issuer.issuer:
        raise AuthError("the ID token is of another issuer")
    _check_audience(claims, issuer.audiences)
    _check_dates(claims, now)
    if nonce is not None and claims.get("nonce") != nonce:
        raise AuthError("the ID token is not the answer to this sign-in", hint="pact login again")


class _Registry(jws.JWSRegistry):
    """Our algorithms alone, whatever else the library registers."""

    def get_alg(self, name: str) -> Any:
        # Not super().get_alg: that warns for EdDSA, which RFC 9864 renamed but issuers still write.
        if name not in ALGORITHMS:
            raise AuthError("the token's signature algorithm is not accepted", detail=repr(name)[:80])
        return self.algorithms[name]


_REGISTRY = _Registry()


def _import_key(entry: object) -> Key | None:
    """One JWK as a key that signatures may be checked with, or None for one we have no use for."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        match entry.get("kty"):
            case "RSA":
                rsa_key = RSAKey.import_key(entry)
                public = rsa_key.public_key
                return rsa_key if isinstance(public, rsa.RSAPublicKey) and public.key_size >= MIN_RSA_BITS else None
            case "EC":
                ec_key = ECKey.import_key(entry)
                return ec_key if isinstance(ec_key.public_key.curve, ec.SECP256R1) else None
            case "OKP":
                okp_key = OKPKey.import_key(entry)
                return okp_key if isinstance(okp_key.public_key, ed25519.Ed25519PublicKey) else None
            case _:
                return None
    except (JoseError, ValueError, TypeError, SecurityWarning):
        return None


def _fits(key: Key, algorithm: object) -> bool:
    if isinstance(key, RSAKey):
        return algorithm == "RS256"
    if isinstance(key, ECKey):
        return algorithm == "ES256"
    return algorithm in {"EdDSA", "Ed25519"}


def _claimed_issuer(token: str) -> str:
    """The issuer a token says it is from: only good for choosing the keys to check it with."""
    try:
        claims = json.loads(jws.extract_compact(token.encode("ascii")).payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise AuthError(
            "the token is none: it can't be read", hint="pact login, or set PACT_TOKEN to a whole one"
        ) from error
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""


async def _verified_claims(token: str, source: KeySource) -> dict[str, Any]:
    try:
        header = jws.extract_compact(token.encode("ascii")).protected
        key_id = header.get("kid")
        if not isinstance(key_id, str | None) or str(header.get("typ", "JWT")).upper() not in TYPES:
            raise AuthError("not a token that this journal accepts")
        keys = [key for key in await source.find(key_id) if _fits(key, header.get("alg"))]
        if len(keys) != 1:
            raise AuthError("the token is not signed with a key of its issuer", hint="pact login")
        return jwt.decode(token, keys[0], algorithms=ALGORITHMS, registry=_REGISTRY).claims
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise AuthError("the token's signature is wrong", detail=type(error).__name__) from error


def _check_audience(claims: Mapping[str, Any], accepted: tuple[str, ...]) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(name in accepted for name in named if isinstance(name, str)):
        raise AuthError("the token is for another service", hint="log in to pact: pact login")


def _check_dates(claims: Mapping[str, Any], now: float) -> float:
    """Check `exp`, `iat` (both required) and `nbf`; returns `exp` (seconds since the epoch)."""
    expires, issued = _date(claims, "exp"), _date(claims, "iat")
    begins = _date(claims, "nbf") if "nbf" in claims else issued
    if expires + LEEWAY_S <= now:
        raise AuthError("the token has expired", hint="pact login")
    if max(issued, begins) - LEEWAY_S > now:
        raise AuthError("the token is not valid yet", hint="check this machine's and the issuer's clocks")
    if expires <= issued:
        raise AuthError("the token ends before it begins")
    return expires


def _date(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise AuthError(f"the token has no usable {name!r} date")
    if not 0 <= value < 2**40:  # far beyond any date, and within what datetime can hold
        raise AuthError(f"the token has no usable {name!r} date")
    return value

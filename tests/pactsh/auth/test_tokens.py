"""Which tokens count, and what they say."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from pactsh.auth.claims import ClaimMap
from pactsh.auth.tokens import Issuer, StaticKeys, Verified, Verifier
from pactsh.errors import AuthError
from pactsh.model.identity import Identity

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
T = int(NOW.timestamp())
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
FOREIGN = ec.generate_private_key(ec.SECP256R1())
CLAIMS: dict[str, Any] = {
    "iss": "https://sso.example.org",
    "aud": "pact-journal",
    "sub": "alice@example.org",
    "iat": T - 10,
    "exp": T + 600,
    "pact_role": "pact-ops-ml",
}


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


JWKS = {
    "keys": [
        RSAKey.import_key(public_pem(RSA), {"kid": "rsa"}).as_dict(),
        ECKey.import_key(public_pem(EC), {"kid": "ec"}).as_dict(),
        OKPKey.import_key(public_pem(ED), {"kid": "ed"}).as_dict(),
    ]
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign_es256(message: bytes, key: ec.EllipticCurvePrivateKey = EC) -> bytes:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sign_rs256(message: bytes) -> bytes:
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


def make(header: dict[str, Any], claims: Any, sign: Callable[[bytes], bytes]) -> str:
    """A compact JWS written by hand: what we verify must not come from the library that verifies."""
    message = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{message}.{b64(sign(message.encode()))}"


def token(**changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return make({"alg": "ES256", "kid": "ec", "typ": "JWT"}, claims, sign_es256)


def verify(text: str, **claims: Any) -> Verified:
    issuer = Issuer("https://sso.example.org", StaticKeys(JWKS), claims=ClaimMap(**claims))
    return asyncio.run(Verifier([issuer], clock=lambda: NOW).verify(text))


@pytest.mark.parametrize(
    ("header", "sign"),
    [
        ({"alg": "RS256", "kid": "rsa"}, sign_rs256),
        ({"alg": "ES256", "kid": "ec"}, sign_es256),
        ({"alg": "EdDSA", "kid": "ed"}, ED.sign),
        ({"alg": "Ed25519", "kid": "ed"}, ED.sign),
        ({"alg": "ES256"}, sign_es256),  # no key id: the one key that fits
        ({"alg": "ES256", "kid": "ec", "typ": "at+jwt"}, sign_es256),
    ],
)
def test_issuers_signatures_count(header: dict[str, str], sign: Callable[[bytes], bytes]) -> None:
    identity, expires_at, issued_at = verify(make(header, CLAIMS, sign))
    assert identity == Identity("alice@example.org", ("pact-ops-ml",), "human", "token")
    assert expires_at.timestamp() == T + 600
    assert issued_at.timestamp() == CLAIMS["iat"]
    assert expires_at.tzinfo is issued_at.tzinfo is UTC


def test_an_unsigned_token_is_refused() -> None:
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        for key_id in ({}, {"kid": "ec"}):
            with pytest.raises(AuthError):
                verify(make({"alg": algorithm, **key_id}, CLAIMS, lambda _message: b""))


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["rsa", "ec", "ed"])
def test_a_public_key_is_no_hmac_secret(key: Any) -> None:
    secrets = [public_pem(key), public_pem(key).strip(), b"", b"secret"]
    for secret in secrets:
        for key_id in ("rsa", "ec", "ed"):
            sign = partial(hmac.digest, secret, digest=hashlib.sha256)
            forged = make({"alg": "HS256", "kid": key_id}, CLAIMS, sign)
            with pytest.raises(AuthError):
                verify(forged)


@pytest.mark.parametrize(
    ("header", "sign"),
    [
        ({"alg": "ES256", "kid": "ec"}, lambda m: sign_es256(m, FOREIGN)),
        ({"alg": "ES256", "kid": "elsewhere"}, sign_es256),
        ({"alg": "ES256", "kid": "rsa"}, sign_es256),
        ({"alg": "RS256", "kid": "ec"}, sign_rs256),
        ({"alg": "EdDSA", "kid": "ec"}, ED.sign),
        ({"alg": "RS512", "kid": "rsa"}, lambda m: RSA.sign(m, padding.PKCS1v15(), hashes.SHA512())),
        ({"alg": "ES256", "kid": ["ec"]}, sign_es256),
        ({"alg": ["ES256"], "kid": "ec"}, sign_es256),
        ({"kid": "ec"}, sign_es256),
        ({"alg": "ES256", "kid": "ec", "crit": ["exp"], "exp": 1}, sign_es256),
        ({"alg": "ES256", "kid": "ec", "b64": False, "crit": ["b64"]}, sign_es256),
        ({"alg": "ES256", "kid": "ec", "typ": "logout+jwt"}, sign_es256),
        (
            {"alg": "ES256", "jwk": ECKey.import_key(public_pem(FOREIGN)).as_dict()},
            lambda m: sign_es256(m, FOREIGN),
        ),
    ],
)
def test_other_signatures_do_not(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> None:
    with pytest.raises(AuthError):
        verify(make(header, CLAIMS, sign))


def test_a_claim_changed_after_signing_is_refused() -> None:
    header, _claims, signature = token().split(".")
    for changes in ({"sub": "root@example.org"}, {"pact_role": "pact-platform-admin"}, {"exp": T + 9999}):
        claims = b64(json.dumps({**CLAIMS, **changes}).encode())
        with pytest.raises(AuthError):
            verify(f"{header}.{claims}.{signature}")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://evil.example.org"}, "not from an issuer"),
        ({"iss": "https://sso.example.org/"}, "not from an issuer"),
        ({"iss": None}, "not from an issuer"),
        ({"iss": ["https://sso.example.org"]}, "not from an issuer"),
        ({"aud": "another-service"}, "another service"),
        ({"aud": None}, "another service"),
        ({"aud": []}, "another service"),
        ({"aud": {"pact-journal": 1}}, "another service"),
        ({"exp": T - 60, "iat": T - 99}, "expired"),
        ({"exp": None}, "no usable 'exp'"),
        ({"exp": "tomorrow"}, "no usable 'exp'"),
        ({"exp": True}, "no usable 'exp'"),
        ({"exp": 1e300}, "no usable 'exp'"),
        ({"exp": float("nan")}, "no usable 'exp'"),
        ({"exp": float("inf")}, "no usable 'exp'"),
        ({"iat": None}, "no usable 'iat'"),
        ({"iat": T + 61}, "not valid yet"),
        ({"nbf": T + 61}, "not valid yet"),
        ({"nbf": "x"}, "no usable 'nbf'"),
        ({"iat": T + 30, "exp": T + 20}, "ends before it begins"),
        ({"sub": None}, "who it is for"),
        ({"sub": ["alice"]}, "who it is for"),
        ({"sub": ""}, "principal name"),
        ({"sub": "alice,role=pact-platform-admin"}, "principal name"),
        ({"sub": "alice\nbob"}, "principal name"),
        ({"pact_principal_type": "agent"}, "kind of principal"),
        ({"pact_principal_type": ["human"]}, "kind of principal"),
    ],
)
def test_refused_claims_say_why(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(AuthError, match=why):
        verify(token(**changes))


def test_a_minute_of_clock_skew_is_forgiven() -> None:
    for changes in ({"exp": T - 59, "iat": T - 99}, {"iat": T + 59}, {"nbf": T + 59, "iat": T}):
        assert verify(token(**changes)).identity.principal == "alice@example.org"


@pytest.mark.parametrize(
    ("changes", "roles"),
    [
        ({"pact_role": "pact-platform-admin"}, ("pact-platform-admin",)),
        ({"pact_role": ["pact-viewer-b", "pact-ops-a", "pact-ops-a"]}, ("pact-ops-a", "pact-viewer-b")),
        ({"pact_role": None}, ()),
        ({"pact_role": "root"}, ()),
        ({"pact_role": ["root", 7, None, ["pact-platform-admin"], "pact-ops-a"]}, ("pact-ops-a",)),
        ({"pact_role": {"pact-platform-admin": True}}, ()),
        ({"pact_role": None, "groups": ["hpc-ops", "staff"]}, ("pact-ops-ml", "pact-viewer-dev")),
        ({"pact_role": "pact-ops-a", "groups": "hpc-ops"}, ("pact-ops-a", "pact-ops-ml", "pact-viewer-dev")),
        ({"pact_role": None, "groups": ["pact-platform-admin", {}]}, ()),  # a group is not a role
    ],
)
def test_roles_are_known_ones_or_none(changes: dict[str, Any], roles: tuple[str, ...]) -> None:
    groups = {"hpc-ops": ("pact-ops-ml", "pact-viewer-dev", "made-up-role")}
    assert verify(token(**changes), group_roles=groups).identity.roles == roles


def test_services_and_audience_lists() -> None:
    changes = {"sub": "backup", "pact_principal_type": "service", "aud": ["other", "pact-journal"]}
    identity, *_ = verify(token(**changes))
    assert (identity.principal, identity.kind) == ("backup", "service")


def test_an_email_counts_only_when_the_issuer_verified_it() -> None:
    def by_email(**changes: Any) -> str:
        return verify(token(**changes), principal="email").identity.principal

    assert by_email(email="A@x.org", email_verified=True) == "a@x.org", "nobody becomes another by writing it otherwise"
    for verified in (None, False, "true", 1):
        with pytest.raises(AuthError, match="not verified"):
            by_email(email="a@x.org", email_verified=verified)


CI = {"clients": {"ci-bot": ("pact-ops-a", "made-up-role")}}


@pytest.mark.parametrize("name", ["client_id", "azp"])
def test_a_client_that_acts_for_itself_is_a_service_whatever_its_subject(name: str) -> None:
    identity, *_ = verify(token(**{name: "ci-bot"}), **CI)
    assert identity.principal == "service:ci-bot"
    assert (identity.kind, identity.roles) == ("service", ("pact-ops-a", "pact-ops-ml"))


def test_nobody_else_is() -> None:
    assert verify(token(client_id="pact"), **CI).identity.kind == "human"
    assert verify(token(client_id="other", sub="other"), **CI).identity.kind == "service"
    for claims in ({"sub": "service:ci-bot"}, {"preferred_username": "service:ci-bot"}):
        with pytest.raises(AuthError, match="usable principal"):
            verify(token(**claims), principal=next(iter(claims)), **CI)


@pytest.mark.parametrize(
    "claims",
    [
        {"azp": "bot", "sub": "6f1c", "preferred_username": "service-account-bot"},  # as Keycloak has it
        {"client_id": "bot"},
        {"azp": "pact", "idtyp": "app"},  # as Entra has it
    ],
)
def test_who_comes_through_another_client_is_no_person(claims: dict[str, str]) -> None:
    """Or somebody could be their own second person, with the secret of a program of theirs."""
    found = verify(token(**claims), people=("pact", "portal")).identity
    assert (found.kind, found.roles) == ("service", ("pact-ops-ml",))
    for client in ("pact", "portal"):
        assert verify(token(azp=client), people=("pact", "portal")).identity.kind == "human"
    assert verify(token(), people=("pact",)).identity.kind == "human", "an issuer that names no clients"


@pytest.mark.parametrize(
    ("name", "principal"),
    [("alice", "alice@example.org"), ("alice@example.org", "alice@example.org"), ("a@EXAMPLE.org", "a@EXAMPLE.org")],
)
def test_an_issuer_speaks_for_its_own_domain(name: str, principal: str) -> None:
    assert verify(token(sub=name), domain="example.org").identity.principal == principal


@pytest.mark.parametrize("name", ["alice@other.org", "alice@example.org@other.org", "alice@example.org.other", "@", ""])
def test_and_for_no_other(name: str) -> None:
    with pytest.raises(AuthError):
        verify(token(sub=name), domain="example.org")


def test_roles_and_groups_may_be_deep_in_the_claims() -> None:
    claims = {"realm_access": {"roles": ["pact-ops-b"]}, "https://x.org/groups": ["hpc"], "pact_role": None}
    found = verify(
        token(**claims), roles="realm_access.roles", groups="https://x.org/groups", group_roles={"hpc": ("pact-ops-c",)}
    )
    assert found.identity.roles == ("pact-ops-b", "pact-ops-c")
    for odd in (
        {"realm_access": ["pact-ops-b"]},
        {"realm_access": {"roles": {"pact-ops-b": 1}}},
        {"realm_access": None},
    ):
        assert verify(token(pact_role=None, **odd), roles="realm_access.roles").identity.roles == ()


def test_a_logout_token_signs_nobody_in() -> None:
    with pytest.raises(AuthError, match="signs anybody in"):
        verify(token(events={"http://schemas.openid.net/event/backchannel-logout": {}}))


GARBAGE = ["", ".", "..", "a.b", "a.b.c", "a.b.c.d.e", "é.é.é", token() + ".", token() + "x" * 20_000, "\udcff"]
GARBAGE += [make({"alg": "ES256", "kid": "ec"}, claims, sign_es256) for claims in ([], "x", 7, None, [{"iss": "x"}])]
GARBAGE += [b64(b"[" * 8000) + "." + b64(b"[" * 3000) + ".AA", "a" * 99_999]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_no_token(text: str) -> None:
    with pytest.raises(AuthError):
        verify(text)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: f"{b64(b)}.{b64(b)}.{b64(b)}"))
def test_any_text_is_refused_in_order(text: str) -> None:
    with pytest.raises(AuthError):
        verify(text)


def test_what_is_no_token_says_what_to_do() -> None:
    with pytest.raises(AuthError, match=r"can't be read") as caught:
        verify("abc")
    assert "pact login" in caught.value.hint


def test_no_refusal_holds_the_token() -> None:
    """What we raise may be logged; a token that is refused here may be good elsewhere."""
    for bad in (
        token(aud="x"),
        token(exp=T - 999),
        token()[:-8] + "AAAAAAAA",
        make({"alg": "none"}, CLAIMS, lambda _: b""),
    ):
        with pytest.raises(AuthError) as caught:
            verify(bad)
        said = f"{caught.value.message} {caught.value.hint} {caught.value.detail}"
        assert not any(part in said for part in bad.split(".") if len(part) > 8)


def test_only_keys_fit_for_signatures_are_taken_from_a_key_set() -> None:
    modulus = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n
    p384 = ec.generate_private_key(ec.SECP384R1())
    unfit = [
        {"kty": "oct", "k": b64(b"secret" * 8), "kid": "oct"},
        {"kty": "RSA", "n": b64(modulus.to_bytes(128, "big")), "e": "AQAB"},
        ECKey.import_key(public_pem(p384)).as_dict(),
        {**JWKS["keys"][1], "use": "enc"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "RSA"},
        {},
        "x",
        None,
    ]
    for keys in (*([key] for key in unfit), unfit, [], "x", None):
        with pytest.raises(ValueError, match="no usable key"):
            StaticKeys({"keys": keys})
    usable = StaticKeys({"keys": [*unfit, JWKS["keys"][1]]})
    assert [key.kid for key in asyncio.run(usable.find(None))] == ["ec"]

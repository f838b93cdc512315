"""Signed heads: only the journal's own signature on exactly these values counts."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pactsh.journal.heads import head_checker, key_id, public_bytes, sign_head

KEY = Ed25519PrivateKey.generate()
HEAD = sign_head(KEY, 42, "ab" * 32, "2026-01-31T12:00:00.000000Z")
CHECK = head_checker(public_bytes(KEY))


def test_a_signed_head_is_genuine() -> None:
    assert CHECK(HEAD)
    assert HEAD.key_id == hashlib.sha256(public_bytes(KEY)).hexdigest()[:16] == key_id(public_bytes(KEY))


def test_the_signature_is_as_documented() -> None:
    """docs/internals.md and model/entry.py say what is signed: others must be able to check it."""
    signed = f"pact-head-v1\n42\n{'ab' * 32}\n2026-01-31T12:00:00.000000Z\n".encode("ascii")
    Ed25519PublicKey.from_public_bytes(public_bytes(KEY)).verify(base64.b64decode(HEAD.signature), signed)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 43},
        {"hash": "ac" * 32},
        {"time": "2026-01-31T12:00:00.000001Z"},
        {"key_id": "0" * 16},
        {"signature": ""},
        {"signature": "not base64!"},
        {"signature": base64.b64encode(b"x" * 64).decode()},
    ],
)
def test_anything_altered_is_not_genuine(change: dict[str, Any]) -> None:
    assert not CHECK(msgspec.structs.replace(HEAD, **change))


def test_another_key_is_not_genuine_even_under_our_name() -> None:
    other = sign_head(Ed25519PrivateKey.generate(), HEAD.seq, HEAD.hash, HEAD.time)
    assert not CHECK(other)
    assert not CHECK(msgspec.structs.replace(other, key_id=HEAD.key_id))


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        head_checker(b"short")

"""Signed heads: the journal's statements "my entry `seq` has this `hash`" (Ed25519, RFC 8032).

A chain alone can't show that its tail was cut or that its keeper rewrote it; a head that
someone else has kept can.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pactsh.model.entry import Head


def _statement(seq: int, entry_hash: str, time: str) -> bytes:
    return f"pact-head-v1\n{seq}\n{entry_hash}\n{time}\n".encode()


def key_id(public_key: bytes) -> str:
    """The first 16 hex digits of SHA-256 over the raw public key (32 bytes)."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The raw public key, 32 bytes."""
    return key.public_key().public_bytes_raw()


def sign_head(key: Ed25519PrivateKey, seq: int, entry_hash: str, time: str) -> Head:
    """State that entry `seq` has `entry_hash`, as of `time`."""
    signature = base64.b64encode(key.sign(_statement(seq, entry_hash, time))).decode()
    return Head(seq=seq, hash=entry_hash, time=time, key_id=key_id(public_bytes(key)), signature=signature)


def head_checker(public_key: bytes) -> Callable[[Head], bool]:
    """A function that says whether a head was signed with the key of `public_key` (raw, 32 bytes).

    Raises ValueError when `public_key` is not an Ed25519 key.
    """
    key = Ed25519PublicKey.from_public_bytes(public_key)
    expected_id = key_id(public_key)

    def is_genuine(head: Head) -> bool:
        if head.key_id != expected_id:
            return False
        try:
            key.verify(
                base64.b64decode(head.signature, validate=True),
                _statement(head.seq, head.hash, head.time),
            )
        except (InvalidSignature, binascii.Error, ValueError, TypeError):
            return False
        return True

    return is_genuine

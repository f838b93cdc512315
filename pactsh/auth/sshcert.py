"""OpenSSH certificates: which public keys are certified, and with what in them.

User certificates permit a terminal and nothing else: no forwarding of ports, agents or X11, no user rc.
The agent refuses those too; this makes a stock sshd that trusts the same authority refuse them as well.
Format: OpenSSH PROTOCOL.certkeys, built by `cryptography`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_key,
)

from pactsh.errors import AuthError

MAX_KEY_LINE = 16 << 10
MIN_RSA_BITS = 3072
BACKDATE_S = 60  # a node whose clock is behind must not find a fresh certificate "not yet valid"

CertifiableKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey


def load_key(line: str) -> CertifiableKey:
    """Read an OpenSSH public key line; raises `AuthError` unless Ed25519, ECDSA or RSA of 3072 bits up."""
    if len(line) > MAX_KEY_LINE or "\n" in line.strip():
        raise AuthError("not one OpenSSH public key line")
    try:
        key = load_ssh_public_key(line.strip().encode("utf-8"))
    except (ValueError, UnsupportedAlgorithm, UnicodeEncodeError) as error:
        raise AuthError("not an OpenSSH public key that can be certified", detail=str(error)) from error
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise AuthError(
            f"an RSA key of {key.key_size} bits is too short",
            hint=f"at least {MIN_RSA_BITS} bits, or better: ssh-keygen -t ed25519",
        )
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey):
        raise AuthError("this type of SSH key is not certified", hint="use ssh-keygen -t ed25519")
    return key


def sign(
    ca: Ed25519PrivateKey,
    key: CertifiableKey,
    *,
    kind: SSHCertificateType,
    principals: Sequence[str],
    key_id: str,
    serial: int,
    now: datetime,
    lifetime_s: int,
) -> str:
    """Sign `key` for `principals` from a minute before `now` until `lifetime_s` after; returns its line."""
    start = int(now.timestamp())
    builder = (
        SSHCertificateBuilder()
        .public_key(key)
        .type(kind)
        .serial(serial)
        .key_id(key_id.encode())
        .valid_principals([name.encode() for name in principals])
        .valid_after(start - BACKDATE_S)
        .valid_before(start + lifetime_s)
    )
    if kind is SSHCertificateType.USER:
        builder = builder.add_extension(b"permit-pty", b"")
    return builder.sign(ca).public_bytes().decode("ascii")

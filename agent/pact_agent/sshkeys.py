"""Whom and what the SSH server trusts: the journal's user CA, this node's host key, and algorithms.

Source of the choice of algorithms: what OpenSSH 9 offers by default, less SHA-1 and CBC. No compression: it
would let a client make a few bytes into very many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pact_agent.config import Ssh
from pactsh.errors import UsageError
from pactsh.rpc.ssh import asyncssh

_KEX = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
CIPHERS = ("chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
SIGNATURES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)


def kex_algorithms() -> tuple[str, ...]:
    """The key exchanges that this installation has; post-quantum ones depend on its cryptography library."""
    from asyncssh.kex import get_kex_algs  # not before the import above

    have = {name.decode("ascii") for name in get_kex_algs()}
    return tuple(name for name in _KEX if name in have)


class UserAuthority(asyncssh.SSHAuthorizedKeys):
    """The keys that may have signed a user's certificate. No plain key is ever accepted.

    `principals` in what `validate` returns tells asyncssh not to compare the certificate's principals with the
    SSH user name, which means nothing here.
    """

    def __init__(self, keys: Sequence[asyncssh.SSHKey]) -> None:
        super().__init__()
        self._keys = frozenset(keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def validate(
        self,
        key: asyncssh.SSHKey,
        client_host: str,  # noqa: ARG002  asyncssh's signature
        client_addr: str,  # noqa: ARG002
        cert_principals: Sequence[str] | None = None,  # noqa: ARG002
        ca: bool = False,
    ) -> Mapping[str, object] | None:
        """Options of the key that signed a certificate; None: not trusted."""
        return {"principals": [frozenset({"*"})]} if ca and key in self._keys else None

    def validate_x509(self, *_: object) -> tuple[None, None]:
        """X.509 certificates are not accepted."""
        return None, None


def load_user_authority(path: Path) -> UserAuthority:
    """Read the user CA's public keys; raises `UsageError` naming the file."""
    try:
        keys = asyncssh.read_public_key_list(str(path))
    except (OSError, asyncssh.KeyImportError) as error:
        raise UsageError(f"ssh.user_ca: {path}: {error}") from error
    if not keys:
        raise UsageError(f"ssh.user_ca: {path}: no public key in it")
    return UserAuthority(keys)


def load_host_key(config: Ssh) -> list[asyncssh.SSHKeyPair]:
    """Read this node's host key with its certificate; raises `UsageError` naming the files."""
    try:
        return list(asyncssh.load_keypairs([(str(config.host_key), str(config.host_cert))]))
    except (OSError, ValueError, asyncssh.KeyImportError) as error:
        raise UsageError(f"ssh.host_key: {config.host_key}, {config.host_cert}: {error}") from error

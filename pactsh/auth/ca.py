"""The journal's certificate authority: TLS for servers and agents, SSH for users and hosts.

Four keys in one directory that only its owner may enter: `tls-ca.key` (P-256, with `ca.pem`),
`ssh-user-ca.key`, `ssh-host-ca.key` and `head.key` (Ed25519). One key for each purpose, so that a
signature made for one can never pass for another. The directory appears whole or not at all,
and an authority that is there is never overwritten: every node trusts it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import SSHCertificateType

from pactsh.auth import names, private, sshcert, tls
from pactsh.auth.names import parse_identity_from_ssh_principals
from pactsh.auth.tls import agent_node, agent_proof, new_agent_request
from pactsh.errors import AuthError, UsageError
from pactsh.model.identity import Identity

__all__ = ["Authority", "agent_node", "agent_proof", "new_agent_request", "parse_identity_from_ssh_principals"]

MAX_USER_LIFETIME_S = 8 * 3600
AGENT_LIFETIME = timedelta(days=3)
HOST_LIFETIME_S = 3 * 86400

_TLS_KEY, _TLS_CERTIFICATE = "tls-ca.key", "ca.pem"
_USER_KEY, _HOST_KEY, _HEAD_KEY = "ssh-user-ca.key", "ssh-host-ca.key", "head.key"


def utc_now() -> datetime:
    """The machine's time, UTC, aware."""
    return datetime.now(UTC)


class Authority:
    """An opened authority. Signing is a pure computation: nothing is written after `create`."""

    def __init__(
        self,
        *,
        tls_key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        user_key: ed25519.Ed25519PrivateKey,
        host_key: ed25519.Ed25519PrivateKey,
        head_key: ed25519.Ed25519PrivateKey,
        clock: Callable[[], datetime],
    ) -> None:
        self._tls = tls.Signer(tls_key, certificate)
        self._user_key = user_key
        self._host_key = host_key
        self._clock = clock
        self.head_key = head_key  # signs the journal's heads (Ed25519)
        self.ca_pem = certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def create(cls, directory: Path, *, clock: Callable[[], datetime] = utc_now) -> Authority:
        """Make a new authority in `directory`, which must be missing or empty, and open it."""
        tls_key = ec.generate_private_key(ec.SECP256R1())
        certificate = tls.self_signed(tls_key, clock())
        files = {
            _TLS_KEY: tls.key_pem(tls_key),
            _TLS_CERTIFICATE: certificate.public_bytes(serialization.Encoding.PEM),
            **{name: _new_ed25519() for name in (_USER_KEY, _HOST_KEY, _HEAD_KEY)},
        }
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        staged = directory.with_name(f".{directory.name}.{secrets.token_hex(8)}")
        private.make_private_directory(staged)
        try:
            for name, content in files.items():
                private.write_private(staged / name, content)
            # rename(2) replaces an empty directory and refuses any other: no race can overwrite keys.
            os.rename(staged, directory)
        except OSError as error:
            shutil.rmtree(staged, ignore_errors=True)
            raise UsageError(
                f"{directory}: {error.strerror}", hint="an authority is never overwritten: name a new directory"
            ) from error
        private.sync_directory(directory.parent)
        return cls.load(directory, clock=clock)

    @classmethod
    def load(cls, directory: Path, *, clock: Callable[[], datetime] = utc_now) -> Authority:
        """Open the authority in `directory`.

        Raises `UsageError` when it isn't there, when others may read it, or when its files don't belong together.
        """
        private.check_private_directory(directory)
        tls_key = _load_ec(directory / _TLS_KEY)
        certificate = _load_certificate(directory / _TLS_CERTIFICATE)
        if certificate.public_key() != tls_key.public_key():
            raise UsageError(f"{directory}: {_TLS_CERTIFICATE} does not belong to {_TLS_KEY}")
        return cls(
            tls_key=tls_key,
            certificate=certificate,
            user_key=_load_ed25519(directory / _USER_KEY),
            host_key=_load_ed25519(directory / _HOST_KEY),
            head_key=_load_ed25519(directory / _HEAD_KEY),
            clock=clock,
        )

    @property
    def ssh_user_ca(self) -> str:
        """The public key, one OpenSSH line, that signs user certificates (`TrustedUserCAKeys`)."""
        return _public_line(self._user_key) + " pact-user-ca"

    @property
    def ssh_host_ca(self) -> str:
        """The public key, one OpenSSH line, that signs host certificates (`@cert-authority`)."""
        return _public_line(self._host_key) + " pact-host-ca"

    def server_certificate(self, server_names: Sequence[str], *, lifetime_s: int) -> tuple[bytes, bytes]:
        """A new key and a TLS server certificate for host names and addresses: (certificate, key), PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        lifetime = timedelta(seconds=lifetime_s)
        return self._tls.server(key.public_key(), server_names, self._clock(), lifetime), tls.key_pem(key)

    def agent_certificate(self, node: str, csr_pem: bytes) -> bytes:
        """A TLS client certificate (PEM, 3 days) for the agent of `node`.

        Raises `AuthError` for a request that isn't one, isn't signed by its own key, or has a weak key.
        """
        return self._tls.agent(tls.requested_key(csr_pem), node, self._clock(), AGENT_LIFETIME)

    def sign_ssh_user(
        self, public_key_line: str, identity: Identity, *, lifetime_s: int, serial: int, now: datetime
    ) -> str:
        """An OpenSSH user certificate (one line) for `identity`; permits a terminal, nothing else.

        `lifetime_s` is what is left of the token that proved the identity: raises `AuthError`
        when that is nothing, and never certifies for more than 8 h whatever it says.
        """
        if lifetime_s <= 0:
            raise AuthError("the token has ended", hint="pact login")
        return sshcert.sign(
            self._user_key,
            sshcert.load_key(public_key_line),
            kind=SSHCertificateType.USER,
            principals=names.ssh_principals(identity),
            key_id=names.ssh_key_id(identity, serial),
            serial=serial,
            now=now,
            lifetime_s=min(int(lifetime_s), MAX_USER_LIFETIME_S),
        )

    def sign_ssh_host(
        self, public_key_line: str, host_names: Sequence[str], *, lifetime_s: int = HOST_LIFETIME_S
    ) -> str:
        """An OpenSSH host certificate (one line) for exact host names and addresses, no wildcards."""
        if not host_names or lifetime_s <= 0:
            raise AuthError("a host certificate needs a name and a lifetime")
        principals = tuple(names.check_host(name) for name in host_names)
        return sshcert.sign(
            self._host_key,
            sshcert.load_key(public_key_line),
            kind=SSHCertificateType.HOST,
            principals=principals,
            key_id=f"pact host {principals[0]}",
            serial=secrets.randbits(63),
            now=self._clock(),
            lifetime_s=lifetime_s,
        )


def _new_ed25519() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_line(key: ed25519.Ed25519PrivateKey) -> str:
    public = key.public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line.decode("ascii")


def _required(path: Path) -> bytes:
    content = private.read_private(path)
    if content is None:
        raise UsageError(f"{path}: no such file", hint="not a pact authority, or an incomplete copy of one")
    return content


def _load_private(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(_required(path), password=None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path}: not an unencrypted private key in PEM") from error


def _load_ec(path: Path) -> ec.EllipticCurvePrivateKey:
    key = _load_private(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{path}: expected a P-256 key")
    return key


def _load_ed25519(path: Path) -> ed25519.Ed25519PrivateKey:
    key = _load_private(path)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(f"{path}: expected an Ed25519 key")
    return key


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_required(path))
    except ValueError as error:
        raise UsageError(f"{path}: not a certificate in PEM") from error

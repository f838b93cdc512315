"""What a person's `pact` keeps between runs beside the sign-in (`logins`): an SSH key with its certificate.

It lies in `$XDG_STATE_HOME/pact`, readable by its owner alone:

    ssh/BINDING/id_ed25519[.pub]     a key that never leaves this machine
    ssh/BINDING/id_ed25519-cert.pub  its certificate; stock OpenSSH finds it by this name
    ssh/BINDING/lock                 held while one of several runs renews

BINDING stands for the journal and the sign-in or token (`state.binding_of`): whoever works with two sites, or logs in
as someone else, never goes on under another name. It is in the certificate file's comment as well.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import SSHCertificate, SSHCertificateType, load_ssh_public_identity

from pactsh.auth import private
from pactsh.errors import AuthError, PactError

RENEW_BEFORE = timedelta(minutes=10)
LOCK_TIMEOUT_S = 60.0
_LOCK_POLL_S = 0.02


class UserSigner(Protocol):
    """The journal, as far as this module needs it (`pactsh.rpc.client.Journal`)."""

    def sign_user(self, public_key: str, /) -> Awaitable[str]:
        """An OpenSSH user certificate for `public_key`."""
        ...


@dataclass(frozen=True, slots=True)
class SshCredentials:
    """Files to give to an SSH client, who they speak for, and from when until when (aware, UTC)."""

    key: Path
    certificate: Path
    principal: str
    begins_at: datetime
    expires_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Whether it is good for 10 more minutes, or, of a shorter one, for half of its life.

        A token that ends soon gives short certificates; asking for another each time would not lengthen them.
        """
        return self.expires_at - now > min(RENEW_BEFORE, (self.expires_at - self.begins_at) / 2)


class Credentials:
    """The cache in one directory; made on first write."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._all_ssh = directory / "ssh"

    def forget(self) -> None:
        """Remove the keys and the certificates."""
        for path in self._all_ssh.glob("*/*"):
            path.unlink(missing_ok=True)

    def ssh_directory(self, binding: str) -> Path:
        """Where key, certificate and known hosts of one journal and token are."""
        return self._all_ssh / binding

    async def ensure_ssh_certificate(self, journal: UserSigner, now: datetime, *, binding: str) -> SshCredentials:
        """A certificate that won't end soon (`SshCredentials.is_fresh`), the cached one if there is such.

        `binding` is what it stands for (endpoint and token; see `state.binding_of`): a certificate
        of another one is replaced. Of several concurrent runs one asks the journal.
        Raises the journal's errors, and `AuthError` for a certificate that can't be ours.
        """
        store = _SshStore(self.ssh_directory(binding), binding)
        for directory in (self._directory, self._all_ssh, store.directory):
            private.make_private_directory(directory)
        async with _locked(store.directory / "lock"):
            return await store.ensure(journal, now)


class _SshStore:
    """Key and certificate for one binding. The lock is held while it is used."""

    def __init__(self, directory: Path, binding: str) -> None:
        self.directory, self._binding = directory, binding
        self._key = directory / "id_ed25519"
        self._certificate = directory / "id_ed25519-cert.pub"

    async def ensure(self, journal: UserSigner, now: datetime) -> SshCredentials:
        """The certificate on disk while it is fresh, else one the journal signs now."""
        cached = self._cached(self._binding)
        if cached is not None and cached.is_fresh(now):
            return cached
        # While its certificate is good another ssh may be using the key: keep it then.
        keep = cached is not None and cached.expires_at > now
        public = self._public_line() if keep else self._new_key()
        return self._accept(await journal.sign_user(public), public, self._binding, now)

    def _cached(self, binding: str) -> SshCredentials | None:
        """The certificate on disk if it is whole, for our key and for this binding."""
        line, key = private.read_private(self._certificate), private.read_private(self._key)
        if line is None or key is None:
            return None
        words = line.decode("ascii", "replace").split()
        if len(words) != 3 or words[2] != binding:
            return None
        try:
            certificate = _parse(" ".join(words[:2]), self._public_line())
        except AuthError:
            return None
        return self._credentials(certificate)

    def _new_key(self) -> str:
        key = Ed25519PrivateKey.generate()
        content = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        self._certificate.unlink(missing_ok=True)
        private.write_private(self._key, content)
        public = self._public_line()
        private.write_private(self._key.with_suffix(".pub"), public.encode() + b"\n")
        return public

    def _public_line(self) -> str:
        content = private.read_private(self._key)
        try:
            key = serialization.load_ssh_private_key(content or b"", password=None)
        except ValueError as error:
            raise AuthError(f"{self._key}: not a key", hint="pact logout, then log in again") from error
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return line.decode("ascii")

    def _accept(self, line: str, public: str, binding: str, now: datetime) -> SshCredentials:
        certificate = _parse(line, public)
        credentials = self._credentials(certificate)
        if credentials.begins_at > now or credentials.expires_at <= now:
            # Say so here: sshd would only ever say "Permission denied (publickey)".
            raise AuthError(
                f"the journal's certificate is valid from {credentials.begins_at:%H:%M:%S} to "
                f"{credentials.expires_at:%H:%M:%S} UTC, and this machine's clock says {now:%H:%M:%S}",
                hint="set this machine's clock",
            )
        body = " ".join(line.split()[:2])
        private.write_private(self._certificate, f"{body} {binding}\n".encode("ascii"))
        return credentials

    def _credentials(self, certificate: SSHCertificate) -> SshCredentials:
        return SshCredentials(
            key=self._key,
            certificate=self._certificate,
            principal=certificate.valid_principals[0].decode("utf-8", "replace"),
            begins_at=_date(certificate.valid_after),
            expires_at=_date(certificate.valid_before),
        )


def _date(seconds: int) -> datetime:
    """A certificate's date; "for ever" (all bits set) becomes a date that `datetime` can hold."""
    return datetime.fromtimestamp(min(seconds, 2**37), UTC)


def _parse(line: str, public: str) -> SSHCertificate:
    """Read a user certificate for the key `public`; raises `AuthError` for anything else."""
    try:
        certificate = load_ssh_public_identity(line.encode("ascii"))
        if not isinstance(certificate, SSHCertificate) or certificate.type is not SSHCertificateType.USER:
            raise AuthError("the journal did not answer with an SSH user certificate")
        ours = serialization.load_ssh_public_key(public.encode("ascii"))
        if certificate.public_key() != ours or not certificate.valid_principals:
            raise AuthError("the journal's SSH certificate is not for our key")
    except (ValueError, UnicodeEncodeError) as error:
        raise AuthError("the journal did not answer with an SSH certificate", detail=str(error)) from error
    return certificate


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Hold the lock file; polls, so that ^C always ends the wait."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PactError(f"{path}: another pact has held this for {LOCK_TIMEOUT_S:.0f} s") from None
                await asyncio.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(fd)

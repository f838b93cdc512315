"""The node's certificates, renewed before they end: TLS for the journal, SSH for whoever connects.

A new TLS key comes with each. Key and certificate are two files and can't be replaced in one step: what a crash leaves
in between is put right by `mend` at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from pact_agent.clock import Clock
from pact_agent.config import Journal as JournalConfig
from pact_agent.config import Ssh
from pact_agent.spoolfiles import replace_file, sync_directory
from pactsh.auth.tls import new_agent_request
from pactsh.errors import PactError
from pactsh.rpc.client import Journal

_log = logging.getLogger(__name__)
_CHECK_S = 300.0
_RETRY_S = 15.0
_LAST_PART = 3  # renewed in the last third of its life


class Renewal:
    """Of one node. `journal()` is a connection to ask over, and raises `UnreachableError`; `renewed` is called when the
    SSH certificate is another one."""

    def __init__(
        self,
        node: str,
        tls: JournalConfig,
        ssh: Ssh | None,
        clock: Clock,
        *,
        journal: Callable[[], Journal],
        renewed: Callable[[], Awaitable[None]],
    ) -> None:
        self._node, self._tls, self._ssh, self._clock = node, tls, ssh, clock
        self._journal, self._renewed = journal, renewed

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            pause_s = _RETRY_S
            try:
                await self.check()
                pause_s = _CHECK_S
            except PactError as error:
                _log.warning("certificates: %s", error.message)
            except (OSError, ValueError) as error:
                _log.error("certificates: %s", error)
            await asyncio.sleep(pause_s)

    async def check(self) -> None:
        """Renew what is in the last third of its life. Raises `PactError`, `OSError`, and `ValueError` for a file that
        holds no certificate."""
        if self._is_due(*tls_life(self._tls.cert)):
            await self._renew_tls()
        if self._ssh is not None and self._is_due(*_ssh_life(_ssh_certificate(self._ssh.host_cert))):
            await self._renew_ssh(self._ssh)

    def _is_due(self, begins: datetime, ends: datetime) -> bool:
        return ends - self._clock.now() < (ends - begins) / _LAST_PART

    async def _renew_tls(self) -> None:
        key, request = new_agent_request(self._node)
        certificate = await self._journal().renew_agent(request)
        theirs = x509.load_pem_x509_certificate(certificate).public_key()
        ours = serialization.load_pem_private_key(key, password=None).public_key()
        if theirs != ours:
            raise PactError("the journal has certified another key than this agent's")
        await asyncio.to_thread(replace_pair, self._tls.key, key, self._tls.cert, certificate)
        _log.info("the agent's TLS certificate is renewed, until %s", tls_life(self._tls.cert)[1])

    async def _renew_ssh(self, ssh: Ssh) -> None:
        old = _ssh_certificate(ssh.host_cert)
        key = old.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        names = [name.decode() for name in old.valid_principals]
        new = await self._journal().sign_host(key.decode(), names)
        await asyncio.to_thread(replace_file, ssh.host_cert, new.encode() + b"\n")
        await self._renewed()
        _log.info("the SSH host certificate is renewed, until %s", _ssh_life(_ssh_certificate(ssh.host_cert))[1])


def tls_life(path: Path) -> tuple[datetime, datetime]:
    """From when until when the certificate in a file counts. Raises `OSError`, `ValueError`."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _ssh_certificate(path: Path) -> SSHCertificate:
    found = load_ssh_public_identity(path.read_bytes().strip())
    if not isinstance(found, SSHCertificate):
        raise ValueError(f"{path}: not a certificate")  # noqa: TRY004  what a damaged file is
    return found


def _ssh_life(certificate: SSHCertificate) -> tuple[datetime, datetime]:
    begins, ends = certificate.valid_after, certificate.valid_before
    return datetime.fromtimestamp(begins, UTC), datetime.fromtimestamp(min(ends, 1 << 37), UTC)


def replace_pair(key_path: Path, key: bytes, cert_path: Path, certificate: bytes) -> None:
    """Replace both files, so that `mend` finds either the old pair or the new one. Raises `OSError`."""
    for path, content in ((_new(key_path), key), (_new(cert_path), certificate)):
        replace_file(path, content)
    for path in (key_path, cert_path):
        os.replace(_new(path), path)
        sync_directory(path.parent)


def mend(key_path: Path, cert_path: Path) -> None:
    """Finish a replacement that was cut short after the key, or take back one that was before. Raises `OSError`."""
    if _new(key_path).exists():
        _new(key_path).unlink()
        _new(cert_path).unlink(missing_ok=True)
    elif _new(cert_path).exists():
        os.replace(_new(cert_path), cert_path)
        sync_directory(cert_path.parent)


def _new(path: Path) -> Path:
    return path.with_name(path.name + ".renewed")

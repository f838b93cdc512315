"""A real agent with its SSH server, an authority to sign for it, and stock OpenSSH to try it with."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateType,
)
from pact_agent.clock import SystemClock
from pact_agent.spool import Spool

from pactsh.auth import names, sshcert
from pactsh.auth.ca import Authority
from pactsh.model.entry import Draft
from pactsh.model.identity import Identity
from tests.pact_agent.localnode import LocalNode

ALICE = Identity("alice@example.org", ("pact-platform-admin",), "human", "token")


@dataclass(frozen=True)
class Key:
    """A private key file and, beside it, the certificate that stock ssh finds by its name."""

    path: Path

    @property
    def public(self) -> str:
        return self.path.with_suffix(".pub").read_text()


def new_key(path: Path) -> Key:
    key = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    path.with_suffix(".pub").write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")
    return Key(path)


class SshNode:
    """The agent, its keys, and a person's."""

    def __init__(
        self,
        directory: Path,
        extra: str = "",
        roles: str = '"pact-platform-admin"',
        authority: Authority | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.authority = authority or Authority.create(directory / "ca")
        host = new_key(directory / "host")
        certificate = self.authority.sign_ssh_host(host.public, ("node042",))
        (directory / "host-cert.pub").write_text(certificate + "\n")
        (directory / "user_ca.pub").write_text(self.authority.ssh_user_ca + "\n")
        (directory / "known_hosts").write_text(f"@cert-authority node042 {self.authority.ssh_host_ca}\n")
        ssh = f'[ssh]\nuser_ca = "{directory}/user_ca.pub"\nhost_key = "{directory}/host"\n'
        ssh += f'host_cert = "{directory}/host-cert.pub"\nlisten = "127.0.0.1"\nport = 0\n{extra}\n'
        self.node = LocalNode(directory / "node", f"[limits]\nspool_bytes = 4194304\n{ssh}", roles)
        self.alice = self.person("alice")
        self.port = 0

    def person(self, name: str, identity: Identity = ALICE, *, now: datetime | None = None) -> Key:
        """A key with a certificate of this node's authority, good for an hour from `now`."""
        key = new_key(self.directory / name)
        certificate = self.authority.sign_ssh_user(
            key.public, identity, lifetime_s=3600, serial=7, now=now or datetime.now(UTC)
        )
        key.path.with_name(f"{name}-cert.pub").write_text(certificate + "\n")
        return key

    def expired(self) -> Key:
        return self.person("late", now=datetime.now(UTC) - timedelta(hours=5))

    def endless(self) -> Key:
        """What the authority never signs: somebody else has had its key."""
        key = self.person("endless")
        certificate = sshcert.sign(
            self.authority._user_key,
            sshcert.load_key(key.public),
            kind=SSHCertificateType.USER,
            principals=names.ssh_principals(ALICE),
            key_id=names.ssh_key_id(ALICE, 8),
            serial=8,
            now=datetime.now(UTC),
            lifetime_s=10 * 365 * 86400,
        )
        key.path.with_name("endless-cert.pub").write_text(certificate + "\n")
        return key

    def start(self) -> SshNode:
        self.node.start()
        found = re.findall(r"ssh: listening on port (\d+)", self.node.log())
        self.port = int(found[-1])
        return self

    def options(self, key: Key | None = None) -> list[str]:
        """Options for ssh, scp and sftp: nothing of this machine's configuration, no question ever."""
        key = key or self.alice
        pairs = {
            "Port": str(self.port),
            "HostKeyAlias": "node042",
            "UserKnownHostsFile": str(self.directory / "known_hosts"),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentityFile": str(key.path),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "LogLevel": "INFO",
        }
        return ["-F", "/dev/null", *(w for k, v in pairs.items() for w in ("-o", f"{k}={v}"))]

    def ssh(
        self, *words: str, key: Key | None = None, options: tuple[str, ...] = (), stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Stock ssh to the node; `words` is the remote command, none asks for a shell."""
        argv = ["ssh", *self.options(key), *options, "root@127.0.0.1", *words]
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=60)

    def copy(self, program: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Stock scp or sftp."""
        argv = [program, *self.options(), *words]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def entries(self, *types: str) -> list[Draft]:
        """What the running agent has recorded so far, read from a copy of its spool."""
        copy = self.directory / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.directory / "node" / "state" / "spool", copy)
        spool = Spool(copy, node="node042", reserve_bytes=4 << 20, clock=SystemClock())
        try:
            drafts = spool.read_from(1, 100_000)
        finally:
            spool.close()
        return [d for d in drafts if not types or d.type in types]

    def refusals(self, what: str) -> list[Draft]:
        """The `connection.refused` entries about `what`."""
        return [d for d in self.entries("connection.refused") if d.body is not None and d.body["what"] == what]

"""An authority of the tests' own, and what it signs."""

from __future__ import annotations

from pathlib import Path

from pactsh.auth.ca import Authority
from pactsh.auth.tls import new_agent_request


class Certificates:
    """An authority, what it signs, and the files that a client is told of."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create(directory)
        self.ca = directory / "for-clients.pem"
        self.ca.write_bytes(self.authority.ca_pem)

    def server(self, name: str = "127.0.0.1") -> tuple[bytes, bytes]:
        """Certificate and key."""
        return self.authority.server_certificate([name], lifetime_s=3600)

    def client(self) -> tuple[Path, Path]:
        """The files of a client's certificate and key."""
        key, csr = new_agent_request("admin")
        files = self.ca.with_name("client.pem"), self.ca.with_name("client.key")
        files[0].write_bytes(self.authority.agent_certificate("admin", csr))
        files[1].write_bytes(key)
        return files

"""`python -m bench.stubs`: SSH servers that stand for the agents of thousands of nodes, in one process.

They check a person's certificate as an agent does, show a certificate of the journal's for the node's name, and answer
any line with that name. Which node is meant is told by the address: node N is at 127.1.H.L, where N = 256 H + L, and
every 64 nodes have a port, as a host certificate names so many.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import CaseError
from pactsh.auth.ca import Authority
from pactsh.rpc.ssh import asyncssh

PER_PORT = 64
_READY_S = 60


def name_of(number: int) -> str:
    """The node's name."""
    return f"node{number:04}"


def _host_of(number: int) -> str:
    return f"127.1.{number >> 8}.{number & 255}"


class _Session(asyncssh.SSHServerSession[bytes]):
    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def exec_requested(self, _command: str) -> bool:
        return True

    def session_started(self) -> None:
        parts = str(self._chan.get_extra_info("sockname")[0]).split(".")
        self._chan.write(name_of(int(parts[2]) * 256 + int(parts[3])).encode() + b"\n")
        self._chan.exit(0)


class _Server(asyncssh.SSHServer):
    def session_requested(self) -> _Session:
        return _Session()


@contextmanager
def started(directory: Path, authority: Authority, count: int) -> Iterator[list[str]]:
    """The addresses of so many nodes, in their order, while the servers run."""
    directory.mkdir()
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(directory / "host")
    public = key.export_public_key().decode()
    names = [name_of(number) for number in range(count)]
    groups = [names[start : start + PER_PORT] for start in range(0, count, PER_PORT)]
    certificates = [authority.sign_ssh_host(public, tuple(group)) for group in groups]
    (directory / "certificates.json").write_text(json.dumps(certificates))
    (directory / "user_ca").write_text(authority.ssh_user_ca)
    command = (sys.executable, "-m", "bench.stubs", str(directory))
    with open(directory / "log", "wb") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process:
        try:
            assert process.stdout is not None
            ports = json.loads(process.stdout.readline() or b"[]")
            if len(ports) != len(groups):
                raise CaseError(f"the stubs do not start: {(directory / 'log').read_text()[-400:]}")
            yield [f"{_host_of(number)}:{ports[number // PER_PORT]}" for number in range(count)]
        finally:
            process.kill()


async def _serve(directory: Path) -> None:
    certificates = json.loads((directory / "certificates.json").read_text())
    key = asyncssh.read_private_key(directory / "host")
    users = asyncssh.import_authorized_keys("cert-authority " + (directory / "user_ca").read_text())
    servers = [
        await asyncssh.listen(
            "0.0.0.0", 0, config=None, server_factory=_Server, encoding=None, authorized_client_keys=users,
            server_host_keys=[(key, asyncssh.import_certificate(certificate))],
        )
        for certificate in certificates
    ]  # fmt: skip
    sys.stdout.write(json.dumps([server.get_port() for server in servers]) + "\n")
    sys.stdout.flush()
    await asyncio.sleep(_READY_S * 60)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))

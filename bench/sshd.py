"""An OpenSSH server on loopback with throw-away keys, to compare with."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import CaseError

READY_TIMEOUT_S = 10
# A home without a .bashrc: bash reads that for every command over SSH, and whose is there is not our subject.
_CONFIG = """\
ListenAddress {listen}
Port {port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
PrintLastLog no
MaxStartups 1000:30:2000
SetEnv HOME={directory}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up; `client` is the beginning of an `ssh` command that logs in without questions."""

    client: tuple[str, ...]


@contextmanager
def started(directory: Path, listen: str = "127.0.0.1") -> Iterator[Server]:
    """Start it on `listen`; raises `CaseError` where there is no sshd, or it doesn't start."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if sshd is None or shutil.which("ssh") is None:
        raise CaseError("OpenSSH is not installed (openssh-server, openssh-client)")
    directory.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation directory
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (directory / "sshd_config").write_text(_CONFIG.format(port=port, directory=directory, listen=listen))
    host_key = (directory / "host.pub").read_text().split()[:2]
    (directory / "known_hosts").write_text(f"[127.0.*]:{port} {' '.join(host_key)}\n")
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", directory / "sshd_config"], stdout=log, stderr=log)
    try:
        _wait(port, process, directory / "log")
        options = {
            "Port": str(port),
            "IdentityFile": str(directory / "user"),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(directory / "known_hosts"),
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        yield Server(("ssh", "-F", "none", *words, f"{getpass.getuser()}@127.0.0.1"))
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise CaseError(f"sshd does not start: {log.read_text()[-400:]}") from error
            time.sleep(0.05)

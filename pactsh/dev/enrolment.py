"""What makes a directory a node's: keys and certificates from the journal, and `agent.toml`."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pactsh.dev.layout import ADMINISTRATOR, ADMINISTRATOR_ROLE

if TYPE_CHECKING:
    from pactsh.dev.journal import JournalPart

# Below state_dir, which the agent hides from every command.
KEYS = "state/keys"
MEMBERSHIP = "state/config/vcluster"


async def enrol(directory: Path, node: str, vcluster: str, journal: JournalPart) -> None:
    """Trade a join token for the node's certificates and put them into its directory."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    from pactsh.auth.tls import new_agent_request

    key_pem, csr_pem = new_agent_request(node)
    host_key = ed25519.Ed25519PrivateKey.generate()
    host_line = host_key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    enrolled = await journal.client().enroll_agent(
        node,
        journal.join_token(node, vcluster),
        csr_pem,
        vcluster=vcluster,
        ssh_host_key=host_line.decode(),
        ssh_host_names=(node,),
    )
    host_pem = host_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    contents = {
        "agent.key": key_pem,
        "agent.pem": enrolled.certificate_pem,
        "ca.pem": enrolled.trust.ca_pem,
        "ssh_host_key": host_pem,
        "ssh_host_cert.pub": enrolled.ssh_host_certificate.encode() + b"\n",
        "ssh_user_ca.pub": enrolled.trust.ssh_user_ca.encode() + b"\n",
    }
    for name, content in contents.items():
        _write(directory / KEYS / name, content)
    (directory / MEMBERSHIP).unlink(missing_ok=True)  # the agent would hold to the vCluster of an earlier enrolment


def write_agent_config(
    directory: Path,
    node: str,
    vcluster: str,
    *,
    journal_socket: Path,
    ssh_port: int,
    missing: Sequence[str],
    uid: int,
    has_nobody: bool,
) -> None:
    """Write `agent.toml`; the keys are those of `pact_agent.config`.

    `uid` is the caller's as the agent sees it. Remote sessions run as nobody, or, where that user
    can't be had, as the agent itself does.
    """
    shell_user = "nobody" if uid == 0 and has_nobody else pwd.getpwuid(uid).pw_name
    tables: dict[str, Mapping[str, object]] = {
        "": {
            "node": node,
            "vcluster": vcluster,
            "state_dir": "state",
            "run_dir": "run",
            "shell_user": shell_user,
            # Everything this machine's kernel offers is used; what it lacks must not end the trial.
            "containment": "best-effort",
            "missing": list(missing),
        },
        "journal": {
            "endpoint": f"unix:{journal_socket}",
            "ca": f"{KEYS}/ca.pem",
            "cert": f"{KEYS}/agent.pem",
            "key": f"{KEYS}/agent.key",
        },
        "ssh": {
            "user_ca": f"{KEYS}/ssh_user_ca.pub",
            "host_key": f"{KEYS}/ssh_host_key",
            "host_cert": f"{KEYS}/ssh_host_cert.pub",
            "advertise": f"127.0.0.1:{ssh_port}",
        },
        "services": {"directory": "services", "stop_with_agent": True},
        f"local_users.{uid}": {"principal": ADMINISTRATOR, "roles": [ADMINISTRATOR_ROLE]},
    }
    _write(directory / "agent.toml", render_toml(tables).encode())


def render_toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    r"""TOML of tables of strings, numbers and lists; the empty name is the top level.

    JSON's strings, numbers and lists of them are TOML's.

    >>> print(render_toml({"": {"a": 1}, "b.c": {"d": ["x", "y"]}}), end="")
    a = 1
    <BLANKLINE>
    [b.c]
    d = ["x", "y"]
    """
    blocks = []
    for name, values in tables.items():
        lines = [f"[{name}]"] if name else []
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)

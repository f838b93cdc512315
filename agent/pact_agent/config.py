"""The agent's configuration: one TOML file, strictly read.

A key that isn't known, a wrong type or a value out of range is an error that names the
file and the key. Paths may be relative to the file's directory. msgspec rather than
pydantic: see docs/adr on what the agent may load.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pactsh.errors import UsageError

NodeName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the journal is and what proves this agent to it."""

    endpoint: str
    ca: Path
    cert: Path
    key: Path


class Ssh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The SSH server. With systemd socket activation (LISTEN_FDS) `listen` and `port` are not used."""

    user_ca: Path
    host_key: Path
    host_cert: Path
    listen: str = "0.0.0.0"  # noqa: S104  the SSH server of a node is for the whole cluster
    port: Port = 9445
    advertise: str = ""
    login_timeout_s: Positive = 20
    max_unauthenticated: Positive = 64


class LocalUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a uid of this node's own console stands for."""

    principal: str
    roles: tuple[str, ...]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on sessions and commands of this node."""

    sessions_per_identity: Positive = 10
    sessions: Positive = 100
    idle_timeout_s: Positive = 3600
    command_timeout_s: Positive = 86400
    exec_timeout_s: Positive = 3600
    processes: Positive = 512
    open_files: Positive = 1024
    memory_bytes: Positive = 8 << 30
    spool_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 64 << 20
    recording_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 64 << 20


class Services(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The built-in supervisor, on a node without systemd: where services are defined, one file each."""

    directory: Path = Path("/etc/pact/services")
    stop_with_agent: bool = False


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node's agent. `local_users` maps a uid (as text) or a user name to an identity."""

    node: NodeName
    vcluster: str
    state_dir: Path = Path("/var/lib/pact")
    run_dir: Path = Path("/run/pact")
    shell_user: str = "nobody"
    containment: Literal["required", "best-effort"] = "required"
    missing: tuple[str, ...] = ()
    journal: Journal | None = None
    ssh: Ssh | None = None
    limits: Limits = Limits()
    services: Services = Services()
    local_users: dict[str, LocalUser] = {}

    @property
    def socket_path(self) -> Path:
        """The local socket (docs/internals.md, section 3)."""
        return self.run_dir / "agent.sock"


def load_config(path: Path) -> Config:
    """Read and check `path`; raises `UsageError` that names the file and the key."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="see pact-agent(8) for the keys") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    base = path.resolve().parent

    def decode(kind: type, value: object) -> object:
        if kind is not Path or not isinstance(value, str):
            raise TypeError(f"Expected `str`, got `{type(value).__name__}`")  # msgspec adds the key
        if not value or "\0" in value:
            raise ValueError("Expected a path")
        return base / value

    try:
        config = msgspec.convert(raw, Config, dec_hook=decode)
    except msgspec.ValidationError as error:
        where = re.search(r"at `\$\.?(.*)`", str(error))
        key = where.group(1) if where else "(top level)"
        raise UsageError(f"{path}: {key}: {str(error).split(' - at')[0]}") from error
    return config

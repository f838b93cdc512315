"""The journal's configuration: options over one TOML file over defaults, strictly read (pydantic)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pactsh.delegates.deeds import Systems
from pactsh.errors import UsageError
from pactsh.journal.issuers import OidcConfig, check_together
from pactsh.journal.systems import LatticeConfig, OpenchamiConfig, systems_of
from pactsh.policy.rego import Embedded, Engine, Opa

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
MAX_SOCKET_PATH = 107  # sockaddr_un, less its NUL


class PolicyConfig(BaseModel):
    """The site's own policy in Rego: modules in a directory, or an OPA server that has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modules: Path | None = None
    opa_url: str | None = None
    opa_ca: Path | None = None

    @model_validator(mode="after")
    def _is_one(self) -> PolicyConfig:
        if self.modules is not None and self.opa_url is not None:
            raise ValueError("either modules or opa_url: an OPA server reads its modules itself")
        if self.opa_url is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", self.opa_url):
            raise ValueError("opa_url: expected http://HOST:PORT or https://HOST:PORT")
        return self

    def engine(self) -> Engine | None:
        """What evaluates it; None where there is none."""
        if self.modules is not None:
            return Embedded(self.modules)
        return Opa(self.opa_url, ca=self.opa_ca) if self.opa_url is not None else None


class Config(BaseModel):
    """What `pact-journal serve` runs with.

    Two listeners, because TLS settles before anything else is said whether the caller has to
    show a certificate: `listen` for people with tokens (and enrolment), `listen_agents` and
    `listen_unix` for agents with their certificates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path
    listen: str = "127.0.0.1:9443"
    listen_agents: str | None = None
    listen_unix: Path | None = None
    names: tuple[str, ...] = ()
    dev_issuer: Path | None = None
    oidc: tuple[OidcConfig, ...] = ()
    policy: PolicyConfig = PolicyConfig()
    lattice: LatticeConfig | None = None
    openchami: OpenchamiConfig | None = None
    ready_file: Path | None = None
    head_every: Annotated[int, Field(ge=1, le=100_000)] = 256
    head_interval_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    stop_grace_s: Annotated[float, Field(ge=0, le=60)] = 2.0

    @model_validator(mode="after")
    def _issuers_fit(self) -> Config:
        check_together(self.oidc)
        if self.oidc and self.dev_issuer is not None:
            raise ValueError("dev_issuer is for development alone, and makes anybody's tokens: not beside [[oidc]]")
        return self

    def systems(self) -> Systems:
        """The systems that the journal calls itself; raises `UsageError` for files that can't be used."""
        return systems_of(self.lattice, self.openchami)

    @field_validator("listen", "listen_agents")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not (_LISTEN.fullmatch(value) and int(value.rpartition(":")[2]) < 65536):
            raise ValueError("expected HOST:PORT")
        return value

    @field_validator("listen_unix")
    @classmethod
    def _is_socket(cls, value: Path | None) -> Path | None:
        if value is not None and (not value.is_absolute() or len(str(value).encode()) > MAX_SOCKET_PATH):
            raise ValueError(f"expected an absolute path of at most {MAX_SOCKET_PATH} bytes")
        return value


def load_config(path: Path | None, options: dict[str, Any]) -> Config:
    """The configuration of `path` with `options` (None: not given) over it.

    Raises `UsageError` that names the file, the key and what was expected.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: not valid TOML: {error}") from error
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return Config.model_validate({**values, **given})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        source = f"--{key.replace('_', '-')}" if key.split(".")[0] in given else f"{path or 'options'}: {key}"
        raise UsageError(f"{source}: {first['msg'].removeprefix('Value error, ')}") from error

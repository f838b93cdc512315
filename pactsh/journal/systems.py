"""The journal's `[lattice]` and `[openchami]`: the systems that it calls itself, strictly read (pydantic)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from pactsh.auth.private import read_private
from pactsh.delegates.deeds import Systems
from pactsh.delegates.settings import FINGERPRINTS, LATTICE, URL, LatticeSettings, OpenchamiSettings
from pactsh.errors import UsageError
from pactsh.model.secret import Secret


class LatticeConfig(BaseModel):
    """How the scheduler is reached; the keys are those of `LatticeSettings`, the token is in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str
    token_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        if not re.fullmatch(LATTICE, value):
            raise ValueError("expected HOST:PORT, http://HOST:PORT or https://HOST:PORT")
        return value

    def settings(self) -> LatticeSettings:
        """As the client takes it; raises `UsageError` for files of secrets that can't be used."""
        token = _secret(self.token_file)
        if self.key is not None:
            _content(self.key)
        return LatticeSettings(self.endpoint, token, self.ca, self.cert, self.key, prefix="[lattice] ")


class OpenchamiConfig(BaseModel):
    """How the hardware manager is reached; the keys are those of `OpenchamiSettings`, secrets are in files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smd_url: str
    token_file: Path | None = None
    pcs_url: str | None = None
    bss_url: str | None = None
    backend: Literal["pcs", "redfish", "csm"] = "pcs"
    xnames: dict[str, str] = {}
    names: Literal["xname", "nid"] = "xname"
    ca: Path | None = None
    bmc_user: str | None = None
    bmc_password_file: Path | None = None
    bmc_ca: Path | None = None
    bmc_fingerprint: str | None = None
    bos_template: str | None = None

    @field_validator("smd_url", "pcs_url", "bss_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(URL, value):
            raise ValueError("expected http://HOST[:PORT][/PATH] or https://…")
        return value

    @field_validator("bmc_fingerprint")
    @classmethod
    def _is_fingerprint(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(FINGERPRINTS, value):
            raise ValueError("expected a SHA-256 fingerprint in hex")
        return value

    def settings(self) -> OpenchamiSettings:
        """As the clients take it; raises `UsageError` for files of secrets that can't be used."""
        return OpenchamiSettings(
            smd_url=self.smd_url,
            token=_secret(self.token_file),
            pcs_url=self.pcs_url,
            bss_url=self.bss_url,
            backend=self.backend,
            xnames=self.xnames,
            names=self.names,
            ca=self.ca,
            bmc_user=self.bmc_user,
            bmc_password=_secret(self.bmc_password_file),
            bmc_ca=self.bmc_ca,
            bmc_fingerprint=self.bmc_fingerprint,
            bos_template=self.bos_template,
        )


def systems_of(lattice: LatticeConfig | None, openchami: OpenchamiConfig | None) -> Systems:
    """Those that are configured. Raises `UsageError`: a journal that could not do what it is told of does not start."""
    return Systems(
        lattice=None if lattice is None else lattice.settings(),
        openchami=None if openchami is None else openchami.settings(),
    )


def _secret(path: Path | None) -> Secret | None:
    if path is None:
        return None
    try:
        text = _content(path).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not ASCII text") from error
    if not text:
        raise UsageError(f"{path}: empty")
    return Secret(text)


def _content(path: Path) -> bytes:
    content = read_private(path)
    if content is None:
        raise UsageError(f"{path}: no such file")
    return content

"""How lattice and OpenCHAMI are reached: what `cli.toml`, the environment and the journal's configuration come to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from pactsh.model.secret import Secret

LATTICE = r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}/?"
URL = r"https?://[^\s/?#@]+(/[^\s?#]*)?"
_SHA256 = r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}"
FINGERPRINTS = rf"{_SHA256}(,\s*{_SHA256})*"
"""What an endpoint of lattice, an address of OpenCHAMI's and certificates' fingerprints look like, the whole text."""


class LatticeSettings(msgspec.Struct, frozen=True):
    """`endpoint` is `https://HOST:PORT` (TLS), `http://HOST:PORT` (none), or `HOST:PORT`: TLS, but on loopback none.

    `ca` signed the server's certificate (None: the system's), `cert` and `key` are ours where it wants one (PEM files).
    `prefix` is for errors: what the names of these settings begin with where they are set (`lattice_`, `[lattice] `).
    """

    endpoint: str
    token: Secret | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    prefix: str = "lattice_"

    def name(self, field: str) -> str:
        """What an admin knows this setting by; a journal has its token in a file."""
        if field == "token":
            return "PACT_LATTICE_TOKEN, or lattice_token" if self.prefix == "lattice_" else f"{self.prefix}token_file"
        return f"{self.prefix}{field}"


class OpenchamiSettings(msgspec.Struct, frozen=True):
    """`smd_url` is SMD's, with or without `/hsm/v2`; `pcs_url` and `bss_url` where they are not behind its gateway.

    `backend` is who switches power: PCS, the BMCs themselves (Redfish), or CSM (PCS and BOS behind its gateway).
    `xnames` says which node is which xname; `names = "nid"` finds others by the number in their name. `ca` signed the
    services' certificates; `bmc_ca` or `bmc_fingerprint` (SHA-256, hex) those of BMCs. `bos_template` is the session
    template that CSM boots a node with when it is reimaged.
    """

    smd_url: str
    token: Secret | None = None
    pcs_url: str | None = None
    bss_url: str | None = None
    backend: Literal["pcs", "redfish", "csm"] = "pcs"
    xnames: Mapping[str, str] = {}
    names: Literal["xname", "nid"] = "xname"
    ca: Path | None = None
    bmc_user: str | None = None
    bmc_password: Secret | None = None
    bmc_ca: Path | None = None
    bmc_fingerprint: str | None = None
    bos_template: str | None = None

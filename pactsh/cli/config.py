"""Settings of the command line, from option, environment, the user's file, the site's file, default.

Each key is taken from the first of these that sets it. Files are TOML and strictly read: an unknown key or
a wrong value is a `UsageError` naming file, key and what was expected. A file that holds a secret and can be
read by others is refused, as ssh does with private keys.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pactsh.cli.configured import SITE_FILE, files
from pactsh.delegates.settings import FINGERPRINTS, LATTICE, URL
from pactsh.errors import UsageError
from pactsh.model.secret import Secret

ENDPOINT = r"\A(unix:/.+|(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5})\Z"
NAME = r"\A[a-z0-9][a-z0-9-]{0,62}\Z"


def whole(pattern: str) -> str:
    """For msgspec, which searches where others match the whole."""
    return rf"\A({pattern})\Z"


Url = Annotated[str, msgspec.Meta(pattern=whole(URL))]
Endpoint = Annotated[str, msgspec.Meta(pattern=ENDPOINT)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every command may need to know. `timeout` is in seconds; secrets never show in a repr.

    msgspec and not pydantic: every start of `pact` would wait for that (docs/adr on the two).
    """

    endpoint: Endpoint = "localhost:9443"
    token: Secret | None = None
    token_file: Path | None = None
    ca: Path = Path("/etc/pact/ca.crt")
    vcluster: Annotated[str, msgspec.Meta(pattern=NAME)] | None = None
    output: Literal["text", "json"] = "text"
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 30.0
    lattice_endpoint: Annotated[str, msgspec.Meta(pattern=whole(LATTICE))] | None = None
    lattice_token: Secret | None = None
    lattice_ca: Path | None = None
    lattice_cert: Path | None = None
    lattice_key: Path | None = None
    openchami_smd_url: Url | None = None
    openchami_token: Secret | None = None
    openchami_pcs_url: Url | None = None
    openchami_bss_url: Url | None = None
    openchami_backend: Literal["pcs", "redfish", "csm"] = "pcs"
    openchami_ca: Path | None = None
    openchami_names: Literal["xname", "nid"] = "xname"
    openchami_xnames: dict[str, str] = {}
    bmc_user: str | None = None
    bmc_password: Secret | None = None
    bmc_ca: Path | None = None
    bmc_fingerprint: Annotated[str, msgspec.Meta(pattern=whole(FINGERPRINTS))] | None = None
    bos_template: str | None = None
    verbose: bool = False


ENVIRONMENT: Mapping[str, str] = {
    "PACT_ENDPOINT": "endpoint",
    "PACT_TOKEN": "token",
    "PACT_CA": "ca",
    "PACT_VCLUSTER": "vcluster",
    "PACT_OUTPUT": "output",
    "PACT_TIMEOUT": "timeout",
    "PACT_LATTICE_ENDPOINT": "lattice_endpoint",
    "PACT_LATTICE_TOKEN": "lattice_token",
    "PACT_LATTICE_CA": "lattice_ca",
    "PACT_LATTICE_CERT": "lattice_cert",
    "PACT_LATTICE_KEY": "lattice_key",
    "PACT_OPENCHAMI_SMD_URL": "openchami_smd_url",
    "PACT_OPENCHAMI_TOKEN": "openchami_token",
    "PACT_OPENCHAMI_PCS_URL": "openchami_pcs_url",
    "PACT_OPENCHAMI_BSS_URL": "openchami_bss_url",
    "PACT_OPENCHAMI_BACKEND": "openchami_backend",
    "PACT_OPENCHAMI_CA": "openchami_ca",
    "PACT_OPENCHAMI_NAMES": "openchami_names",
    "PACT_BMC_USER": "bmc_user",
    "PACT_BMC_PASSWORD": "bmc_password",
    "PACT_BMC_CA": "bmc_ca",
    "PACT_BMC_FINGERPRINT": "bmc_fingerprint",
    "PACT_BOS_TEMPLATE": "bos_template",
}

EXPECTED: Mapping[str, str] = {
    "endpoint": "host:port or unix:/path",
    "token": "a token",
    "token_file": "a path",
    "ca": "a path",
    "vcluster": "a vCluster name (lower-case letters, digits, hyphens)",
    "output": "text or json",
    "timeout": "a number of seconds above 0, at most 86400",
    "lattice_endpoint": "host:port, http://host:port or https://host:port",
    "lattice_token": "a token",
    "lattice_ca": "a path",
    "lattice_cert": "a path",
    "lattice_key": "a path",
    "openchami_smd_url": "http://host[:port][/path] or https://…, without user or query",
    "openchami_token": "a token",
    "openchami_pcs_url": "http://host[:port][/path] or https://…, without user or query",
    "openchami_bss_url": "http://host[:port][/path] or https://…, without user or query",
    "openchami_backend": "pcs, redfish or csm",
    "openchami_ca": "a path",
    "openchami_names": "xname or nid",
    "openchami_xnames": "a table of node names and their xnames",
    "bmc_user": "text",
    "bmc_password": "a password",
    "bmc_ca": "a path",
    "bmc_fingerprint": "SHA-256 fingerprints (64 hexadecimal digits, with colons or without), parted by commas",
    "bos_template": "the name of a session template",
    "verbose": "true or false",
}
_SECRETS = frozenset({"token", "lattice_token", "openchami_token", "bmc_password"})
_FILE_KEYS = frozenset(Settings.__struct_fields__) - {"verbose"}


def load_settings(typed: Mapping[str, object], environ: Mapping[str, str], site_file: Path = SITE_FILE) -> Settings:
    """Merge all sources; raises `UsageError` naming the source, the key and what was expected.

    An empty environment variable counts as not set. Inside a session no file is read: its `pact` speaks
    through the agent's connection, has nobody's home, and its sandbox keeps it from all files but its own.
    """
    sources: list[tuple[str, str, Mapping[str, object]]] = [
        ("--", "", typed),
        ("", "environment", {key: environ[name] for name, key in ENVIRONMENT.items() if environ.get(name)}),
    ]
    sources += [(f"{path}: ", "file", _read_file(path)) for path in files(environ, site_file)]
    for prefix, kind, values in sources:
        _check(prefix, kind, values)
    merged: dict[str, object] = {}
    for _prefix, _kind, values in reversed(sources):
        merged.update(values)
    return _settings(merged)


def read_token(settings: Settings) -> str | None:
    """The token: the setting, or what is in the file it names; None without any."""
    if settings.token is not None:
        return settings.token.reveal()
    if settings.token_file is None:
        return None
    try:
        with settings.token_file.open(encoding="ascii") as file:
            _refuse_readable(settings.token_file, os.fstat(file.fileno()).st_mode)
            return file.read().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"token_file: {settings.token_file}: {_why(error)}") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "not ASCII text"


def _refuse_readable(path: Path, mode: int) -> None:
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path}: holds a token or a password, but others may read it", hint=f"chmod 600 {path}")


def _read_file(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            values: dict[str, object] = tomllib.load(file)
            if _SECRETS & values.keys():
                _refuse_readable(path, os.fstat(file.fileno()).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    for key in values:
        if key not in _FILE_KEYS:
            raise UsageError(f"{path}: {key}: unknown key", hint=f"keys: {', '.join(sorted(_FILE_KEYS))}")
    return values


def _check(prefix: str, kind: str, values: Mapping[str, object]) -> None:
    """Validate one source alone, so that an error can name it, even where another source overrides it."""
    for key, value in values.items():
        try:
            _settings({key: value})
            continue
        except ValueError as error:  # ValidationError, or a text that is no UTF-8
            wrong = error
        name = next(n for n, k in ENVIRONMENT.items() if k == key) if kind == "environment" else key
        shown = "" if key in _SECRETS else f", got {values[key]!r}"
        raise UsageError(f"{prefix}{name}: expected {EXPECTED[key]}{shown}") from wrong


def _settings(values: Mapping[str, object]) -> Settings:
    return msgspec.convert(values, Settings, strict=False, dec_hook=_made)


def _made(kind: type, value: object) -> object:
    """A path or a secret of a text; raises what msgspec makes a `ValidationError` of."""
    if isinstance(value, str) and kind in {Path, Secret}:
        return kind(value)
    return value if isinstance(value, kind) else _refuse(kind)


def _refuse(kind: type) -> object:
    raise TypeError(f"expected {kind.__name__}")

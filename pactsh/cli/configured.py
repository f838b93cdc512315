"""Whether a system is configured, found out cheaply: for the help and completion, which load nothing that is heavy.

What is found wrong with a file is not said here: whoever uses a verb hears of it (`config.load_settings`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

SITE_FILE = Path("/etc/pact/cli.toml")
NEEDS: Mapping[str, tuple[str, str]] = {
    "lattice": ("PACT_LATTICE_ENDPOINT", "lattice_endpoint"),
    "openchami": ("PACT_OPENCHAMI_SMD_URL", "openchami_smd_url"),
}
"""What a verb may need, and what to set for it: environment variable, configuration key."""


def user_file(environ: Mapping[str, str]) -> Path | None:
    """`$XDG_CONFIG_HOME/pact/cli.toml`, by default below `~/.config`; None without a home."""
    # A relative XDG_CONFIG_HOME is invalid (XDG base directory specification) and must be ignored.
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = f"{home}/.config"
    return Path(base) / "pact" / "cli.toml"


def files(environ: Mapping[str, str], site_file: Path = SITE_FILE) -> tuple[Path, ...]:
    """The files that are read, the one that counts more first; none inside a session."""
    user = user_file(environ)
    return () if environ.get("PACT_SESSION_FD") else (user, site_file) if user else (site_file,)


def configured(environ: Mapping[str, str], site_file: Path = SITE_FILE) -> frozenset[str]:
    """The names in `NEEDS` for which there is something: the environment's, else a file's that can be read."""
    found = {name for name, (variable, _key) in NEEDS.items() if environ.get(variable)}
    for path in files(environ, site_file) if len(found) < len(NEEDS) else ():
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):  # TOMLDecodeError, UnicodeDecodeError
            continue
        found |= {name for name, (_variable, key) in NEEDS.items() if values.get(key)}
    return frozenset(found)

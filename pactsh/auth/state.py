"""Where a person's `pact` keeps what lasts between runs, and the name under which it keeps what belongs to a token.

Apart from `credentials`, which loads what reads keys: most commands need only these.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from pactsh.errors import UsageError


def state_directory(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/pact`, by default `~/.local/state/pact`; raises `UsageError` without a home."""
    # A relative XDG_STATE_HOME is invalid (XDG base directory specification) and must be ignored.
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            raise UsageError("no place for credentials: neither XDG_STATE_HOME nor HOME is set")
        base = f"{home}/.local/state"
    return Path(base) / "pact"


def binding_of(endpoint: str, token: str) -> str:
    """What ties a certificate to the journal and the token (or the id of the sign-in) it came from; reveals neither."""
    return "pact-" + hashlib.sha256(f"{endpoint}\0{token}".encode()).hexdigest()[:32]

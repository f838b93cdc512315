"""Running the real `pact` in a clean environment, for tests that assert what a user sees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PACT = Path(sys.executable).with_name("pact")


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of the caller's but PATH; `home` holds the configuration."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        **(extra or {}),
    }


def run_pact(
    home: Path, *args: str, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `pact ARGS` and wait for it."""
    return subprocess.run(
        [PACT, *args],
        env=clean_environment(home, env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def write_config(home: Path, text: str, mode: int = 0o600) -> Path:
    """Put the user's cli.toml below `home`."""
    path = home / ".config" / "pact" / "cli.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path

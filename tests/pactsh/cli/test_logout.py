"""`pact logout`: nothing of what was kept is left."""

from __future__ import annotations

import time
from pathlib import Path

from pactsh.auth.logins import Login, Logins
from pactsh.auth.oidc.provider import Provider
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


def test_token_key_and_certificate_go(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env()
    state = tmp_path / ".local" / "state" / "pact"
    token = env.pop("PACT_TOKEN")
    Logins(state).save(
        Login("1", env["PACT_ENDPOINT"], Provider("https://x.invalid", "pact"), token, time.time() + 600)
    )
    assert run_pact(tmp_path, "whoami", env=env).stdout.startswith("alice@org ")
    done = run_pact(tmp_path, "logout", env=env)
    assert (done.returncode, done.stderr.splitlines()[0].split(":")[1]) == (5, " signed out here, but not revoked")
    left = [p.name for p in state.rglob("*") if p.is_file() and p.stat().st_size]
    assert left == []
    assert run_pact(tmp_path, "whoami", env=env).returncode == 2


def test_a_token_that_is_still_given_is_named(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "logout", env={"PACT_TOKEN": "secret-token"})
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == "A token is still given by PACT_TOKEN, --token or cli.toml"
    assert "secret-token" not in done.stdout + done.stderr

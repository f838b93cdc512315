"""`pact logout`: nothing of what was kept is left."""

from __future__ import annotations

from pathlib import Path

from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


def test_token_key_and_certificate_go(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env()
    state = tmp_path / ".local" / "state" / "pact"
    state.mkdir(parents=True, mode=0o700)
    (state / "token").write_text(env.pop("PACT_TOKEN"))
    (state / "token").chmod(0o600)
    assert run_pact(tmp_path, "whoami", env=env).stdout.startswith("alice@org ")
    done = run_pact(tmp_path, "logout", env=env)
    assert (done.returncode, done.stdout) == (0, f"Signed out: nothing is kept in {state}\n")
    left = [p.name for p in state.rglob("*") if p.is_file() and p.stat().st_size]
    assert left == []
    assert run_pact(tmp_path, "whoami", env=env).returncode == 2


def test_a_token_that_is_still_given_is_named(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "logout", env={"PACT_TOKEN": "secret-token"})
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == "A token is still given by PACT_TOKEN, --token or cli.toml"
    assert "secret-token" not in done.stdout + done.stderr

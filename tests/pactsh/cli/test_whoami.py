"""`pact whoami` and `pact logout` against a real journal."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


def test_the_journal_says_who_a_token_is(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env("bob@org", ("pact-viewer-ml-training", "pact-ops-io"))
    done = run_pact(tmp_path, "whoami", env=env)
    first, second = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert first == "bob@org (pact-ops-io, pact-viewer-ml-training)"
    assert second.startswith(f"human, by token, verified by journal {seeded.endpoint}, until 20")


def test_json(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "whoami", "--output", "json", env=seeded.env())
    told = json.loads(done.stdout)
    assert (told["principal"], told["roles"]) == ("alice@org", ["pact-platform-admin"])
    assert set(told) == {"principal", "roles", "kind", "source", "verified_by", "expires_at"}


def test_another_token_is_another_identity_at_once(tmp_path: Path, seeded: RunningJournal) -> None:
    """The kept certificate must not outlive the token it was signed for."""
    assert run_pact(tmp_path, "whoami", env=seeded.env()).stdout.startswith("alice@org ")
    other = seeded.env("bob@org", ("pact-ops-io",))
    assert run_pact(tmp_path, "whoami", env=other).stdout.startswith("bob@org ")


def test_asking_twice_signs_once(tmp_path: Path, journal: RunningJournal) -> None:
    env = journal.env()
    for _ in range(2):
        assert run_pact(tmp_path, "whoami", env=env).returncode == 0
    done = run_pact(tmp_path, "log", "--type", "cert.signed", env=env)
    assert len([line for line in done.stdout.splitlines() if "alice@org" in line]) == 1


def test_a_forged_token_is_nobody(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env() | {"PACT_TOKEN": seeded.token()[:-8] + "AAAAAAAA"}
    done = run_pact(tmp_path, "whoami", env=env)
    assert (done.returncode, done.stdout) == (2, "")

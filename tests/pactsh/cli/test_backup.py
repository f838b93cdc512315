"""`pact backup`: on whose disk it is, and what it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


@pytest.fixture
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as server:
        yield server


@pytest.fixture
def env(seeded: RunningJournal, lattice: LatticeServer) -> dict[str, str]:
    return seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}


def test_verify(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.backups.add("/backups/a")
    done = run_pact(tmp_path, "backup", "verify", "/backups/a", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("Valid: /backups/a on lattice's own disk (made 20")
    assert second == "lattice says: backup is valid"
    done = run_pact(tmp_path, "backup", "verify", "/backups/b", env=env)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "NOT VALID: /backups/b on lattice's own disk",
        "lattice says: No such file or directory (os error 2)",
    ]
    done = run_pact(tmp_path, "backup", "verify", "/backups/b", "--output", "json", env=env)
    assert (done.returncode, json.loads(done.stdout)["valid"]) == (1, False)


def test_verify_is_for_who_may_make_backups(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer, env: dict[str, str]
) -> None:
    viewer = env | seeded.env("v@org", ["pact-viewer-ml-training"])
    done = run_pact(tmp_path, "backup", "verify", "/etc/shadow", "--vcluster", "ml-training", env=viewer)
    assert (done.returncode, done.stdout, lattice.calls) == (2, "", [])
    assert run_pact(tmp_path, "log", "--type", "delegation.begun", env=env).stdout == ""  # a read is no entry


@pytest.mark.parametrize("path", ["", " ", "/a\nb"])
def test_what_is_no_path(tmp_path: Path, lattice: LatticeServer, env: dict[str, str], path: str) -> None:
    done = run_pact(tmp_path, "backup", "verify", path, env=env)
    assert (done.returncode, done.stdout, lattice.calls) == (1, "", [])
    assert done.stderr.startswith("pact: backup verify: expected a path on lattice's own disk, got ")


def test_create_says_how_much_and_where(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_job()
    lattice.add_node("node042")
    done = run_pact(tmp_path, "backup", "create", "/backups/a", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Backup written: /backups/a (via lattice API)",
        "1 node, 1 job, 0 tenants; the file is on lattice's own disk",
    ]
    assert run_pact(tmp_path, "backup", "verify", "/backups/a", env=env).returncode == 0
    done = run_pact(tmp_path, "backup", "create", "/missing/a", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file or directory" in done.stderr


def test_restore_wants_to_be_meant(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.backups.add("/backups/a")
    done = run_pact(tmp_path, "backup", "restore", "/backups/a", env=env)
    assert (done.returncode, done.stdout, lattice.calls) == (1, "", [])
    assert done.stderr.splitlines()[1].startswith("hint: --confirm says that this is meant")
    done = run_pact(tmp_path, "backup", "restore", "/backups/a", "--confirm", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "counts when lattice is started anew" in done.stdout
    done = run_pact(tmp_path, "backup", "restore", "/backups/b", "--confirm", env=env)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("args", [["create", "/b"], ["restore", "/b", "--confirm"]])
def test_is_for_platform_admins(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer, env: dict[str, str], args: list[str]
) -> None:
    done = run_pact(tmp_path, "backup", *args, env=env | seeded.env("o@org", ["pact-ops-ml-training"]))
    assert (done.returncode, done.stdout, lattice.calls) == (2, "", [])

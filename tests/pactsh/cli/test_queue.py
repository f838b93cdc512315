"""`pact queue`: what waits and runs, and which vClusters nobody knows."""

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


def test_of_one_that_pact_knows_and_no_job_names_zeros_are_measured(tmp_path: Path, env: dict[str, str]) -> None:
    done = run_pact(tmp_path, "queue", "--vcluster", "ml-training", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    header, row = done.stdout.splitlines()
    assert header.split()[:3] == ["VCLUSTER", "PENDING", "RUNNING"]
    assert row.split() == ["ml-training", "0", "0", "-", "0", "-", "-"]


def test_one_that_nobody_knows_is_an_error_and_not_zeros(tmp_path: Path, env: dict[str, str]) -> None:
    done = run_pact(tmp_path, "queue", "--vcluster", "ml-trainign", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "pact: queue: ml-trainign: pact has no such vCluster, and no job of lattice's names it\n"
    )


def test_all_of_them_the_longest_queue_first(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for age in (60, 7800):
        lattice.add_job(state="pending", vcluster="other", age_s=age)
    lattice.add_job(vcluster="other")
    lattice.add_job(vcluster="other", state="suspended")
    for state in ("completed", "failed", "pending"):
        lattice.add_job(state=state)
    done = run_pact(tmp_path, "queue", env=env)
    _, first, second, warning = done.stdout.splitlines()
    assert first.split() == ["other", "2", "1", "2", "h", "10", "min", "0", "1", "suspended", "-"]
    assert second.split()[:3] == ["ml-training", "1", "0"]
    assert second.endswith("1 completed, 1 failed")
    assert warning == "[WARN] other: jobs name it, pact has no such vCluster"
    (told, _) = json.loads(run_pact(tmp_path, "queue", "--output", "json", env=env).stdout)["queues"]
    assert told["jobs"] == {"pending": 2, "running": 1, "suspended": 1}
    assert told["lattice"] == {"vcluster": "other", "pending": 2, "running": 1, "total": 4}
    assert (told["known"], round(told["longest_wait_s"] / 60)) == (False, 130)


def test_of_very_many_lattice_is_asked_once(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for number in range(80):
        lattice.add_job(vcluster=f"vc{number}", state="pending")
    lattice.limited = True  # to 60 calls a minute and a few more
    done = run_pact(tmp_path, "queue", env=env)
    assert done.returncode == 0
    assert done.stderr.startswith("pact: 81 vClusters: ")
    assert len(done.stdout.splitlines()) == 83
    assert lattice.called() == ["List"]


def test_without_a_journal_zeros_are_told_as_such(tmp_path: Path, env: dict[str, str]) -> None:
    done = run_pact(tmp_path, "queue", "--vcluster", "v", env=env | {"PACT_ENDPOINT": "127.0.0.1:1"})
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        "[WARN] v: no job names it, and whether pact has such a vCluster can't be told"
    )

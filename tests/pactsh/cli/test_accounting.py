"""`pact accounting`: that there is none, and what there is instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pactsh.delegates.lattice import admin_pb2 as admin
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


def test_that_there_is_none_and_what_was_used_of_budgets(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str]
) -> None:
    lattice.add_tenant("physics", gpu_hours_budget=100.0)
    lattice.add_job()
    lattice.add_job(tenant="gone", vcluster="other")
    done = run_pact(tmp_path, "accounting", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, header, row, warning = done.stdout.splitlines()
    assert first == "lattice has no accounting: it answers zeros, whatever was used."
    assert second == "What it keeps for budgets, of the last 90 days:"
    assert header.split() == ["TENANT", "GPU", "HOURS", "BUDGET", "USED", "NODE", "HOURS", "BUDGET", "USED"]
    assert row.split() == ["physics", "120.5", "100", "120", "%", "OVER", "30.2", "no", "budget", "set", "-"]
    assert warning == "[WARN] gone: lattice has no such tenant"
    told = json.loads(run_pact(tmp_path, "accounting", "--output", "json", env=env).stdout)
    assert [(row["tenant"], row["accounting"]) for row in told["tenants"]] == [("gone", None), ("physics", None)]
    assert told["tenants"][0]["usage"] is None
    assert told["tenants"][1]["usage"]["gpu_hours"] == 120.5


def test_of_a_vcluster_only_its_tenants(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for name in ("physics", "bio"):
        lattice.add_tenant(name)
    lattice.add_job(vcluster="other", tenant="bio")
    lattice.add_job()
    text = run_pact(tmp_path, "accounting", "--vcluster", "other", env=env).stdout
    assert "bio" in text
    assert "physics" not in text
    done = run_pact(tmp_path, "accounting", "--vcluster", "nowhere", env=env)
    assert (done.returncode, done.stdout) == (0, "(no tenants: no job in nowhere names one)\n")


def test_of_one_tenant(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_tenant("physics")
    assert "physics" in run_pact(tmp_path, "accounting", "--tenant", "physics", env=env).stdout
    done = run_pact(tmp_path, "accounting", "--tenant", "physic", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pact: accounting: physic: lattice has no such tenant\n")
    done = run_pact(tmp_path, "accounting", "--tenant", "physics", "--vcluster", "v", env=env)
    assert (done.returncode, done.stderr) == (1, "pact: accounting: give --tenant or --vcluster, not both\n")


def test_figures_are_shown_should_there_be_some(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_tenant("physics")
    figures = admin.AccountingUsageResponse(
        tenant_id="physics", cpu_hours=1234.5, gpu_hours=7, storage_bytes=3 << 30, allocation_count=12
    )
    lattice.raw["AdminService/GetAccountingUsage"] = figures.SerializeToString()
    lines = run_pact(tmp_path, "accounting", "--tenant", "physics", env=env).stdout.splitlines()
    assert lines[1].split() == ["physics", "1,234.5", "7", "3.0", "GiB", "12"]


def test_of_very_many_the_rest_is_named(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for number in range(40):
        lattice.add_job(tenant=f"t{number:02}")
        lattice.add_tenant(f"t{number:02}")
    lattice.limited = True
    done = run_pact(tmp_path, "accounting", env=env)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("15 more tenants: t25, t26, ")

"""`pact budget`: a budget that is not set, one that is, and one that is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from pactsh.delegates.lattice import admin_pb2 as admin
from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import PACT, clean_environment, run_pact


@pytest.fixture
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as server:
        yield server


@pytest.fixture
def env(seeded: RunningJournal, lattice: LatticeServer) -> dict[str, str]:
    return seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}


def test_no_budget_is_not_a_budget_of_zero(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_tenant("physics")
    done = run_pact(tmp_path, "budget", "tenant", "physics", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Tenant:      physics",
        "Period:      90 days, 2026-08-29 to 2026-11-27",
        "GPU hours:   120.5 h, no budget set",
        "Node hours:  30.2 h, no budget set",
    ]
    told = json.loads(run_pact(tmp_path, "budget", "tenant", "physics", "--output", "json", env=env).stdout)
    assert (told["gpu_hours"], told["gpu_budget"], told["gpu_fraction"]) == (120.5, None, None)


def test_over_is_said(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_tenant("physics", gpu_hours_budget=100.0, node_hours_budget=121.0)
    done = run_pact(tmp_path, "budget", "tenant", "physics", "--days", "30", env=env)
    assert done.stdout.splitlines()[1:] == [
        "Period:      30 days, 2026-08-29 to 2026-11-27",
        "GPU hours:   120.5 h of 100 h (120 %), OVER BUDGET by 20.5 h",
        "Node hours:  30.2 h of 121 h (25 %)",
    ]


def test_on_a_terminal_there_is_a_bar_and_red(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_tenant("physics", gpu_hours_budget=100.0, node_hours_budget=121.0)
    text = on_terminal(tmp_path, env | {"TERM": "xterm"})
    assert "\x1b[31;1m[##############################]\x1b[0m" in text
    assert "\x1b[32m[#######-----------------------]\x1b[0m" in text
    plain = on_terminal(tmp_path, env | {"TERM": "xterm", "NO_COLOR": "1"})
    assert "[#######-----------------------]" in plain
    assert "\x1b" not in plain
    assert "#" not in on_terminal(tmp_path, env | {"TERM": "dumb"})


def on_terminal(tmp_path: Path, env: dict[str, str]) -> str:
    args = ["budget", "tenant", "physics"]
    child = pexpect.spawn(str(PACT), args, env=clean_environment(tmp_path, env), dimensions=(24, 110), encoding="utf-8")
    child.expect(pexpect.EOF, timeout=60)
    child.close()
    return child.before or ""


def test_of_a_user_by_tenant(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for tenant in ("physics", "bio"):
        lattice.add_job(tenant=tenant)
    done = run_pact(tmp_path, "budget", "user", "alice", env=env)
    lines = done.stdout.splitlines()
    assert lines[:3] == ["User:        alice", "Period:      2026-08-29 to 2026-11-27", "GPU hours:   25 h in all"]
    assert [line.split()[0] for line in lines[3:]] == ["TENANT", "bio", "physics"]
    assert lines[4].split() == ["bio", "12.5", "no", "budget", "set", "-", "3.1", "no", "budget", "set", "-"]


@pytest.mark.parametrize(
    ("what", "why"),
    [("tenant", "lattice has no such tenant"), ("user", "lattice has nothing of this user within 90 days")],
)
def test_who_is_not_known(tmp_path: Path, env: dict[str, str], what: str, why: str) -> None:
    done = run_pact(tmp_path, "budget", what, "zork", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pact: budget {what}: zork: {why}\nhint: ")


def test_what_is_no_number_is_an_error(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    usage = admin.TenantUsageResponse(tenant="physics", gpu_hours_used=float("nan"))
    lattice.raw["AdminService/GetTenantUsage"] = usage.SerializeToString()
    lattice.add_tenant("physics")
    done = run_pact(tmp_path, "budget", "tenant", "physics", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pact: lattice: gpu_hours is nan, which is no number of hours\n"


@pytest.mark.parametrize("days", ["0", "-1", "many"])
def test_days_are_a_number(tmp_path: Path, env: dict[str, str], days: str) -> None:
    done = run_pact(tmp_path, "budget", "tenant", "physics", "--days", days, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--days" in done.stderr

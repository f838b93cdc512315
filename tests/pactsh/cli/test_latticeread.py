"""Who may read from lattice, and what is said when lattice or the journal does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import ADMIN, RunningJournal
from tests.pactsh.cli.program import run_pact

VIEWER = ("viewer@org", ("pact-viewer-ml-training",))


@pytest.fixture
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as server:
        server.add_job(nodes=["node042"])
        yield server


def at(lattice: LatticeServer) -> dict[str, str]:
    return {"PACT_LATTICE_ENDPOINT": lattice.endpoint}


def test_lattice_hears_for_whom_it_is(tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer) -> None:
    done = run_pact(tmp_path, "jobs", "list", env=seeded.env() | at(lattice))
    assert (done.returncode, done.stderr) == (0, "")
    ((method, sent),) = lattice.calls
    assert (method, sent["x-lattice-user"]) == ("AllocationService/List", ADMIN)
    assert "authorization" not in sent  # the journal's token is not for lattice


def test_lattice_gets_its_own_token(tmp_path: Path, seeded: RunningJournal) -> None:
    with LatticeServer(token="t0ken") as lattice:
        refused = run_pact(tmp_path, "jobs", "list", env=seeded.env() | at(lattice))
        done = run_pact(tmp_path, "jobs", "list", env=seeded.env() | at(lattice) | {"PACT_LATTICE_TOKEN": "t0ken"})
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "hint: set PACT_LATTICE_TOKEN, or lattice_token" in refused.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "(no jobs)\n")


@pytest.mark.parametrize("args", [["jobs", "list"], ["queue"], ["dag", "list"], ["nodes", "list"], ["accounting"]])
def test_who_may_not_is_status_2_and_nothing_is_sent(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer, args: list[str]
) -> None:
    done = run_pact(tmp_path, *args, env=seeded.env("nobody@org", []) | at(lattice))
    assert (done.returncode, done.stdout) == (2, "")
    foreign = run_pact(tmp_path, *args, "--vcluster", "other", env=seeded.env(*VIEWER) | at(lattice))
    assert (foreign.returncode, foreign.stdout) == (2, "")
    assert foreign.stderr.startswith("pact: viewer@org may not read what is in vCluster other\n")
    assert lattice.calls == []


def test_a_role_of_one_vcluster_sees_what_is_in_that_one(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer
) -> None:
    foreign = [lattice.add_job(vcluster="other"), lattice.add_job(vcluster="", nodes=["node042"])]
    mixed = lattice.add_dag([lattice.add_job(), foreign[0]])
    own = lattice.add_dag([lattice.add_job(state="pending")])
    lattice.add_node("node042")  # which pact has in ml-training
    lattice.add_node("node043", owner_vcluster="ml-training")
    lattice.add_node("node044", owner_vcluster="other")
    lattice.add_node("node045")
    env = seeded.env(*VIEWER) | at(lattice) | {"PACT_OUTPUT": "json"}

    def told(*args: str) -> Any:
        done = run_pact(tmp_path, *args, env=env)
        return json.loads(done.stdout if done.returncode == 0 else done.stderr)

    assert {job["vcluster"] for job in told("jobs", "list")["jobs"]} == {"ml-training"}
    assert [row["vcluster"] for row in told("queue")["queues"]] == ["ml-training"]
    assert [dag["id"] for dag in told("dag", "list")["dags"]] == [own]
    assert [node["id"] for node in told("nodes", "list")["nodes"]] == ["node042", "node043"]
    for args in (
        ("jobs", "inspect", foreign[0]),
        ("jobs", "inspect", foreign[1]),
        ("dag", "inspect", mixed),
        ("nodes", "inspect", "node044"),
        ("nodes", "inspect", "node045"),
        ("jobs", "inspect", foreign[0], "--vcluster", "ml-training"),
    ):
        assert told(*args)["error"]["code"] == 2, args
    held = run_pact(tmp_path, "nodes", "inspect", "node042", env=env | {"PACT_OUTPUT": "text"}).stdout
    assert held.splitlines()[-3] == "Jobs: 1 that you may see"


def test_who_is_not_signed_in_is_status_2_and_nothing_is_sent(tmp_path: Path, lattice: LatticeServer) -> None:
    done = run_pact(tmp_path, "jobs", "list", env=at(lattice))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pact: not signed in")
    assert lattice.calls == []


def test_without_a_journal_lattice_is_asked_as_nobody(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer
) -> None:
    env = seeded.env() | at(lattice) | {"PACT_ENDPOINT": "127.0.0.1:1"}
    done = run_pact(tmp_path, "jobs", "list", env=env)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 job: 1 running"
    (line,) = done.stderr.splitlines()
    assert line.startswith("pact: the journal at 127.0.0.1:1 can't be reached: ")
    assert line.endswith("; lattice is asked all the same, as nobody")
    assert "x-lattice-user" not in lattice.calls[0][1]


def test_without_an_endpoint_it_says_what_to_set(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "jobs", "list", env=seeded.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert "PACT_LATTICE_ENDPOINT" in done.stderr.splitlines()[1]


READS = [
    ["jobs", "list"],
    ["queue", "--vcluster", "ml-training"],
    ["accounting"],
    ["dag", "list"],
    ["budget", "tenant", "t"],
    ["budget", "user", "u"],
    ["backup", "verify", "/b"],
    ["nodes", "list"],
    ["nodes", "inspect", "n"],
]


@pytest.mark.parametrize("args", READS, ids=" ".join)
def test_lattice_out_of_reach_is_status_5_in_one_line(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer, args: list[str]
) -> None:
    lattice.stop()
    done = run_pact(tmp_path, *args, env=seeded.env() | at(lattice))
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith(f"pact: lattice at {lattice.endpoint} can't be reached: ")
    assert done.stderr.splitlines()[1:] == ["hint: check lattice_endpoint"]


def test_a_slow_lattice_is_status_5(tmp_path: Path, seeded: RunningJournal) -> None:
    with LatticeServer(delay_s=3) as lattice:
        done = run_pact(tmp_path, "jobs", "list", "--timeout", "1", env=seeded.env() | at(lattice))
    assert (done.returncode, done.stdout) == (5, "")
    assert "did not answer within 1 s" in done.stderr


def test_garbage_is_one_line(tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer) -> None:
    lattice.raw["AllocationService/List"] = b"\xff\xff\xff"
    done = run_pact(tmp_path, "jobs", "list", env=seeded.env() | at(lattice))
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] in (["pact"], ["pact", "hint"])


def test_an_error_as_json(tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer) -> None:
    lattice.fail["AllocationService/List"] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit exceeded")
    done = run_pact(tmp_path, "jobs", "list", "--output", "json", env=seeded.env() | at(lattice))
    assert (done.returncode, done.stdout) == (1, "")
    error = json.loads(done.stderr)["error"]
    assert "rate limit exceeded" in error["message"]
    assert "calls a minute" in error["hint"]

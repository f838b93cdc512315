"""`pact jobs` on a real journal and a lattice of the tests' own."""

from __future__ import annotations

import json
import uuid
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


def ids(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:-1]]


def test_no_jobs(tmp_path: Path, env: dict[str, str]) -> None:
    done = run_pact(tmp_path, "jobs", "list", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(no jobs)\n", "")
    told = json.loads(run_pact(tmp_path, "jobs", "list", "--output", "json", env=env).stdout)
    assert told == {"jobs": [], "total": 0, "counts": {}}


def test_the_newest_first_with_nodes_folded_and_a_count(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str]
) -> None:
    old = lattice.add_job(state="failed", age_s=7200, nodes=["node042"])
    new = lattice.add_job(state="pending", age_s=60, user="bob")
    middle = lattice.add_job(age_s=600, nodes=["node003", "node001", "node002"])
    done = run_pact(tmp_path, "jobs", "list", env=env)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ID", "STATE", "USER", "VCLUSTER", "CREATED", "TIME", "NODES"]
    assert ids(done.stdout) == [new, middle, old]
    assert lines[1].split()[1:] == ["pending", "bob", "ml-training", "1", "min", "ago", "waits", "1", "min", "-"]
    assert lines[2].endswith("  9 min of 1 h  node[001-003] (3)")
    assert lines[3].split()[1:3] == ["failed", "(1)"]
    assert lines[4] == "3 jobs: 1 pending, 1 running, 1 failed"


def test_filters(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    here = lattice.add_job(nodes=["node041", "node042"], age_s=60)
    other = lattice.add_job(nodes=["node050"], user="bob", vcluster="other", age_s=30)
    ended = lattice.add_job(nodes=["node042"], state="completed", age_s=90)

    def listed(*args: str) -> list[str]:
        return ids(run_pact(tmp_path, "jobs", "list", *args, env=env).stdout)

    assert listed("--node", "node[040-042]") == [here, ended]
    assert listed("--node", "@ml-training", "--state", "running") == [here]  # node042 is what pact has there
    assert listed("--state", "COMPLETED") == [ended]
    assert listed("--user", "bob") == [other]
    assert listed("--vcluster", "other") == [other]
    assert listed("--node", "node050", "--user", "alice") == []


def test_more_than_asked_for_are_told_of(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    made = [lattice.add_job(age_s=age) for age in (30, 20, 10)]
    done = run_pact(tmp_path, "jobs", "list", "-n", "2", env=env)
    assert ids(done.stdout) == [made[2], made[1]]
    assert done.stderr == "pact: 2 of 3 jobs are shown: -n 3 shows all\n"
    assert done.stdout.splitlines()[-1] == "3 jobs: 3 running"
    told = run_pact(tmp_path, "jobs", "list", "-n", "2", "--output", "json", env=env)
    document = json.loads(told.stdout)
    assert (len(document["jobs"]), document["total"]) == (2, 3)


def test_an_unknown_state_is_an_error_before_anything_is_sent(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str]
) -> None:
    done = run_pact(tmp_path, "jobs", "list", "--state", "queued", env=env)
    assert (done.returncode, done.stdout, lattice.calls) == (1, "", [])
    assert "expected one of pending, staging, running, checkpointing, suspended, completed, failed, c" in done.stderr


@pytest.mark.parametrize("nodes", ["node[1", "@nowhere", ""])
def test_a_bad_nodeset_is_an_error(tmp_path: Path, lattice: LatticeServer, env: dict[str, str], nodes: str) -> None:
    done = run_pact(tmp_path, "jobs", "list", "--node", nodes, env=env)
    assert (done.returncode, done.stdout, lattice.calls) == (1, "", [])
    assert done.stderr.startswith("pact: nodes: ")


def test_inspect_tells_all(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    first = lattice.add_job(state="completed")
    job = lattice.add_job(
        nodes=["node042"], depends_on=[(first, "success")], tags={"run": "7"}, sensitive=True, requeue_policy="always"
    )
    lattice.job(job).message = "two\nlines\x1b[2J"
    done = run_pact(tmp_path, "jobs", "inspect", job, env=env)
    facts = dict(line.split(":", 1) for line in done.stdout.splitlines())
    told = {name: text.strip() for name, text in facts.items()}
    assert (told["Job"], told["State"], told["User"], told["Nodes"]) == (job, "running", "alice", "node042")
    assert told["Says"] == "two\\nlines\\x1b[2J"
    assert told["Tenant"] == "physics, project llm"
    assert told["After"] == f"{first} (success)"
    assert told["Limit"].startswith("1 h, ")
    assert told["Limit"].endswith(" left")
    assert (told["Tags"], told["Sensitive"], told["Requeue"]) == ("run=7", "yes", "always")
    assert "Ended" not in told
    document = json.loads(run_pact(tmp_path, "jobs", "inspect", job, "--output", "json", env=env).stdout)
    assert (document["id"], document["exit_code"], document["walltime_s"]) == (job, None, 3600.0)
    assert document["depends_on"] == [[first, "success"]]


def test_a_job_that_there_is_not(tmp_path: Path, env: dict[str, str]) -> None:
    unknown = str(uuid.uuid4())
    done = run_pact(tmp_path, "jobs", "inspect", unknown, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"pact: jobs inspect: {unknown}: lattice has no such job",
        "hint: pact jobs list shows those that there are",
    ]


@pytest.mark.parametrize("text", ["train", "42"])
def test_what_is_no_id(tmp_path: Path, env: dict[str, str], text: str) -> None:
    done = run_pact(tmp_path, "jobs", "inspect", text, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pact: jobs inspect: '{text}' is no job's id: ")
    assert len(done.stderr.splitlines()) == 2

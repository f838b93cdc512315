"""`pact jobs` on a real journal and a lattice of the tests' own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import RunningJournal, session_drafts
from tests.pactsh.cli.program import PACT, clean_environment, run_pact


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
    old = lattice.add_job(state="failed", age_s=14430, nodes=["node042"])
    new = lattice.add_job(state="pending", age_s=3630, user="bob")
    middle = lattice.add_job(age_s=7230, nodes=["node003", "node001", "node002"])
    done = run_pact(tmp_path, "jobs", "list", env=env)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ID", "STATE", "USER", "VCLUSTER", "CREATED", "TIME", "NODES"]
    assert ids(done.stdout) == [new, middle, old]
    assert lines[1].split()[1:] == ["pending", "bob", "ml-training", "1", "h", "ago", "waits", "1", "h", "-"]
    assert lines[2].endswith("  1 h 48 min of 1 h  node[001-003] (3)")
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


def test_cancel_tells_whose_and_is_on_record(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    mine, other = lattice.add_job(state="pending"), lattice.add_job(user="bob", vcluster="other", nodes=["node042"])
    done = run_pact(tmp_path, "jobs", "cancel", mine, other, mine, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == {
        f"Cancelled: job {mine} of alice, which was pending (via lattice API)",
        f"Cancelled: job {other} of bob, which was running (via lattice API)",
    }
    assert {lattice.job(mine).state, lattice.job(other).state} == {"cancelled"}
    log = run_pact(tmp_path, "log", "--type", "delegation.begun", "--output", "json", env=env)
    told = json.loads(log.stdout)["entries"]
    entries = {entry["body"]["target"]: entry for entry in told}
    assert entries[mine]["scope"] == "vcluster:ml-training"
    assert entries[other]["scope"] == "global"  # pact has no such vCluster
    assert entries[other]["body"]["jobs"] == [{"id": other, "user": "bob"}]


def test_cancel_of_what_has_ended_is_a_conflict_and_the_rest_is_done(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str]
) -> None:
    ended, live = lattice.add_job(state="failed"), lattice.add_job(state="pending", vcluster="other")
    alone = run_pact(tmp_path, "jobs", "cancel", ended, env=env)
    assert (alone.returncode, alone.stdout) == (4, "")
    assert alone.stderr == f"pact: job {ended} is failed already\n"
    done = run_pact(tmp_path, "jobs", "cancel", ended, live, "--output", "json", env=env)
    results = {one["target"]: one for one in json.loads(done.stdout)["results"]}
    assert (done.returncode, results[ended]["status"], results[live]["result"]) == (4, 4, "done")


def test_cancel_does_nothing_when_one_is_not_there_or_not_for_them(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer, env: dict[str, str]
) -> None:
    job, foreign = lattice.add_job(), lattice.add_job(vcluster="other")
    done = run_pact(tmp_path, "jobs", "cancel", job, str(uuid.uuid4()), env=env)
    assert (done.returncode, done.stdout) == (1, "")
    for who, ids in (("pact-viewer-ml-training", [job]), ("pact-ops-ml-training", [job, foreign])):
        done = run_pact(tmp_path, "jobs", "cancel", *ids, env=env | seeded.env("o@org", [who]))
        assert (done.returncode, done.stdout) == (2, "")
    assert lattice.called("Cancel") == []
    done = run_pact(tmp_path, "jobs", "cancel", job, env=env | seeded.env("o@org", ["pact-ops-ml-training"]))
    assert (done.returncode, lattice.job(job).state) == (0, "cancelled")


def test_without_a_journal_nothing_is_cancelled(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    job = lattice.add_job()
    done = run_pact(tmp_path, "jobs", "cancel", job, env=env | {"PACT_ENDPOINT": "127.0.0.1:1"})
    assert (done.returncode, done.stdout, lattice.calls) == (5, "", [])


@pytest.mark.parametrize(("answer", "state"), [("n", "running"), ("y", "cancelled")])
def test_on_a_terminal_it_asks_about_what_runs(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str], answer: str, state: str
) -> None:
    job = lattice.add_job(user="bob")
    environ = clean_environment(tmp_path, env | {"TERM": "dumb"})
    child = pexpect.spawn(str(PACT), ["jobs", "cancel", job], env=environ, encoding="utf-8", timeout=60)
    child.expect_exact("Cancel 1 running job of bob? [y/N]: ")
    child.sendline(answer)
    child.expect_exact("nothing was cancelled" if answer == "n" else "which was running")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, lattice.job(job).state) == (1 if answer == "n" else 0, state)


def test_a_second_person_agrees_and_the_same_command_does_it(
    tmp_path: Path, journal: RunningJournal, lattice: LatticeServer
) -> None:
    env = journal.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}
    journal.append(*session_drafts())  # so that pact has the vCluster
    run_pact(tmp_path, "group", "set-policy", "ml-training", "--set", "two_person_approval=true", "--yes", env=env)
    job = lattice.add_job()
    asked = run_pact(tmp_path, "jobs", "cancel", job, "--output", "json", env=env)
    assert (asked.returncode, lattice.job(job).state) == (0, "running")
    approval = json.loads(asked.stdout)["approval"]
    lattice.job(job).state = "suspended"  # which is no other request
    done = run_pact(tmp_path, "approve", approval, env=env | journal.env("second@org"))
    assert done.returncode == 0, done.stderr
    done = run_pact(tmp_path, "jobs", "cancel", job, env=env)
    assert (done.returncode, lattice.job(job).state) == (0, "cancelled"), done.stderr

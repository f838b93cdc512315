"""`pact dag`: DAGs, and the jobs of one in the order of what depends on what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.cli.dag import in_order
from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact
from tests.pactsh.cli.test_jobtext import job


@pytest.fixture
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as server:
        yield server


@pytest.fixture
def env(seeded: RunningJournal, lattice: LatticeServer) -> dict[str, str]:
    return seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}


@pytest.fixture
def dag(lattice: LatticeServer) -> str:
    """prepare, then two trainings, one of which has failed, then a report on both."""
    prepare = lattice.add_job(state="completed", age_s=400)
    good = lattice.add_job(age_s=390, depends_on=[(prepare, "success")], nodes=["node042"])
    bad = lattice.add_job(state="failed", age_s=380, depends_on=[(prepare, "success")])
    report = lattice.add_job(state="pending", age_s=500, depends_on=[(good, "any"), (bad, "any"), ("other", "")])
    return lattice.add_dag([report, bad, good, prepare])


def test_inspect_is_in_the_order_of_dependency(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str], dag: str
) -> None:
    done = run_pact(tmp_path, "dag", "inspect", dag, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["DAG:", dag]
    assert lines[1].split() == ["State:", "running"]
    assert "Jobs:        4: 1 pending, 1 running, 1 completed, 1 failed" in lines
    rows = [line.split() for line in lines[-4:]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert [row[2] for row in rows] == ["completed", "running", "failed", "pending"]
    assert lines[-4].endswith("  -")
    assert lines[-3].endswith("  1 (success)")
    assert lines[-1].endswith("  2 (any), 3 (any), other")
    told = json.loads(run_pact(tmp_path, "dag", "inspect", dag, "--output", "json", env=env).stdout)
    assert (told["id"], told["state"], len(told["jobs"]), told["ended"]) == (dag, "running", 4, None)


def test_list_counts_jobs_by_state_newest_first(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str], dag: str
) -> None:
    new = lattice.add_dag([lattice.add_job(state="pending", age_s=5, tenant="bio", user="bob", vcluster="other")])
    done = run_pact(tmp_path, "dag", "list", env=env)
    header, first, second, last = done.stdout.splitlines()
    assert header.split() == ["ID", "STATE", "TENANT", "USER", "CREATED", "TIME", "JOBS"]
    assert first.split()[:4] == [new, "pending", "bio", "bob"]
    assert second.startswith(f"{dag}  running  physics  alice  8 min ago")
    assert second.endswith("  4: 1 pending, 1 running, 1 completed, 1 failed")
    assert last == "2 DAGs: 1 pending, 1 running"


def test_filters_that_lattice_does_not_have(
    tmp_path: Path, lattice: LatticeServer, env: dict[str, str], dag: str
) -> None:
    new = lattice.add_dag([lattice.add_job(state="pending", age_s=5, tenant="bio", vcluster="other")])

    def listed(*args: str) -> list[str]:
        told = json.loads(run_pact(tmp_path, "dag", "list", *args, "--output", "json", env=env).stdout)
        return [one["id"] for one in told["dags"]]

    assert listed("--state", "pending") == [new]
    assert listed("--tenant", "physics") == [dag]
    assert listed("--vcluster", "other") == [new]
    assert listed("-n", "1") == [new]
    done = run_pact(tmp_path, "dag", "list", "--state", "failed", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected one of pending, running, completed, got 'failed'" in done.stderr


def test_fifty_unless_more_are_asked_for(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for age in range(52):
        lattice.add_dag([lattice.add_job(age_s=age)])
    done = run_pact(tmp_path, "dag", "list", env=env)
    assert len(done.stdout.splitlines()) == 52
    assert done.stderr == "pact: 50 of 52 DAGs are shown: -n 52 shows all\n"


def test_there_are_none(tmp_path: Path, env: dict[str, str]) -> None:
    done = run_pact(tmp_path, "dag", "list", env=env)
    assert (done.returncode, done.stdout) == (0, "(no DAGs)\n")
    done = run_pact(tmp_path, "dag", "inspect", "nothing", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pact: dag inspect: nothing: lattice has no such DAG\n")


def test_cancel(tmp_path: Path, lattice: LatticeServer, env: dict[str, str], dag: str) -> None:
    done = run_pact(tmp_path, "dag", "cancel", dag, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Cancelled: 2 of the 4 jobs of DAG {dag} (via lattice API)\n"
    done = run_pact(tmp_path, "dag", "cancel", dag, env=env)
    assert (done.returncode, done.stdout) == (4, "")
    done = run_pact(tmp_path, "dag", "cancel", "nothing", env=env)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "pact: dag cancel: nothing: lattice has no such DAG")


def test_cancel_takes_the_right_in_every_vcluster(
    tmp_path: Path, seeded: RunningJournal, lattice: LatticeServer, env: dict[str, str]
) -> None:
    ops = env | seeded.env("o@org", ["pact-ops-ml-training"])
    own = lattice.add_dag([lattice.add_job()])
    mixed = lattice.add_dag([lattice.add_job(), lattice.add_job(vcluster="other")])
    assert run_pact(tmp_path, "dag", "cancel", mixed, env=ops).returncode == 2
    assert lattice.called("CancelDag") == []
    assert run_pact(tmp_path, "dag", "cancel", own, env=ops).returncode == 0
    log = run_pact(tmp_path, "log", "-n", "1", "--type", "delegation.done", "--output", "json", env=env)
    assert json.loads(log.stdout)["entries"][0]["scope"] == "vcluster:ml-training"


def test_what_waits_for_itself_is_still_shown() -> None:
    jobs = [job("a", ("b", "any")), job("b", ("a", "any")), job("c")]
    assert [one.id for one in in_order(jobs)] == ["c", "a", "b"]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_each_comes_after_what_it_depends_on(edges: list[tuple[int, int]]) -> None:
    """Edges from small to large numbers make no circle."""
    after: dict[int, list[tuple[str, str]]] = {number: [] for number in range(8)}
    for low, high in edges:
        if low < high:
            after[high].append((str(low), "any"))
    jobs = [job(str(number), *refs) for number, refs in reversed(after.items())]
    places = {one.id: place for place, one in enumerate(in_order(jobs))}
    assert sorted(places) == [str(number) for number in range(8)]
    assert all(places[ref] < places[str(high)] for high, refs in after.items() for ref, _ in refs)

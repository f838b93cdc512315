"""Tab offers what lattice has, and nothing where it does not say so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import PACT, clean_environment


@pytest.fixture
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as server:
        yield server


@pytest.fixture
def env(seeded: RunningJournal, lattice: LatticeServer) -> dict[str, str]:
    return seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}


def complete(home: Path, env: dict[str, str], line: str) -> list[str]:
    words = {"_PACT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run([PACT], env=clean_environment(home, env | words), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [row.partition(",")[2] for row in done.stdout.splitlines() if row]


def test_ids_and_names(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    live, ended = lattice.add_job(age_s=5), lattice.add_job(state="failed", user="b\x1b[2J", tenant="a b")
    dag = lattice.add_dag([ended])
    lattice.add_node("node042")
    lattice.add_node("login1", "down")
    assert complete(tmp_path, env, "pact jobs inspect ") == [live, ended]
    assert complete(tmp_path, env, f"pact jobs inspect {live[:8]}") == [live]
    assert complete(tmp_path, env, "pact dag inspect ") == [dag]
    assert complete(tmp_path, env, "pact nodes inspect n") == ["node042"]
    assert complete(tmp_path, env, "pact budget tenant ") == ["physics"]  # a shell would take the other for two
    assert complete(tmp_path, env, "pact jobs list --user ") == ["alice"]


def test_words_of_states_without_asking(tmp_path: Path) -> None:
    env = {"PACT_LATTICE_ENDPOINT": "127.0.0.1:1"}
    assert complete(tmp_path, env, "pact jobs list --state c") == ["checkpointing", "completed", "cancelled"]
    assert complete(tmp_path, env, "pact nodes list --state dr") == ["draining", "drained"]


def test_nothing_where_nobody_answers(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_job()
    assert complete(tmp_path, env | {"PACT_TOKEN": ""}, "pact jobs inspect ") == []
    assert complete(tmp_path, env | {"PACT_LATTICE_ENDPOINT": ""}, "pact jobs inspect ") == []
    assert lattice.calls == []
    lattice.delay_s = 3
    assert complete(tmp_path, env, "pact jobs inspect ") == []
    lattice.stop()
    assert complete(tmp_path, env, "pact jobs inspect ") == []

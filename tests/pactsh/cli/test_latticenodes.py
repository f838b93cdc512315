"""`pact nodes`: the nodes as lattice has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pactsh.delegates.lattice import nodes_pb2 as nodes
from tests.lattice import LatticeServer, stamp
from tests.openchami import Openchami
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


@pytest.fixture
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as server:
        yield server


@pytest.fixture
def env(seeded: RunningJournal, lattice: LatticeServer) -> dict[str, str]:
    return seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}


def test_the_worst_first_and_equal_ones_in_one_row(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for number in range(1, 6):
        lattice.add_node(f"node{number:03}", gpu_type="GH200", gpu_count=4, last_heartbeat=stamp(number))
    lattice.add_node("node010", "down", state_reason="pact cordon: fan\nnoise")
    lattice.add_node("node011", "draining", owner_vcluster="ml-training", owner_tenant="physics", is_borrowed=True)
    lattice.add_job(nodes=["node011"])
    done = run_pact(tmp_path, "nodes", "list", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows, last = done.stdout.splitlines()
    columns = "NODES STATE VCLUSTER TENANT GPUS CORES MEMORY HEARTBEAT REASON"
    assert header.split() == columns.split()
    assert [row.split()[:2] for row in rows] == [
        ["node010", "down"],
        ["node011", "draining"],
        ["node[001-005]", "(5)"],
    ]
    assert rows[0].endswith("  never      pact cordon: fan\\nnoise")
    assert "physics (borrowed)" in rows[1]
    assert "  ready     -            -                   4x GH200     64  512 GB  " in rows[2]
    assert last == "7 nodes: 1 down, 1 draining, 5 ready"


def test_filters_and_the_limit(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    for number in range(3):
        lattice.add_node(f"node{number}", owner_vcluster="ml-training" if number else "")
    lattice.add_node("node9", "failed")

    def listed(*args: str) -> list[str]:
        told = json.loads(run_pact(tmp_path, "nodes", "list", *args, "--output", "json", env=env).stdout)
        return [one["id"] for one in told["nodes"]]

    assert listed("--state", "failed") == ["node9"]
    assert listed("--vcluster", "ml-training") == ["node1", "node2"]  # lattice has no such filter
    assert listed("-n", "2") == ["node9", "node0"]
    done = run_pact(tmp_path, "nodes", "list", "-n", "2", env=env)
    assert done.stderr == "pact: 2 of 4 nodes are shown: -n 4 shows all\n"
    done = run_pact(tmp_path, "nodes", "list", "--state", "idle", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected one of failed, down, unknown, degraded, draining, drained, booting, ready" in done.stderr
    done = run_pact(tmp_path, "nodes", "list", "--state", "booting", env=env)
    assert (done.returncode, done.stdout) == (0, "(no nodes)\n")


def test_inspect_with_the_jobs_on_it(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_node(
        "node042",
        "degraded",
        gpu_count=2,
        features=["nvme"],
        consecutive_dispatch_failures=3,
        memory_domains=[
            nodes.MemoryDomainProto(id=1, domain_type="HBM", capacity_bytes=96 << 30, attached_cpus=[0, 1, 2, 8])
        ],
    )
    here = lattice.add_job(nodes=["node041", "node042"])
    lattice.add_job(nodes=["node042"], state="completed")
    lattice.add_job(nodes=["node041"])
    done = run_pact(tmp_path, "nodes", "inspect", "node042", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Node:        node042", "State:       degraded"]
    assert "Dispatch:    failed 3 times in a row" in lines
    assert "Heartbeat:   never" in lines
    assert lines[lines.index("Memory domains:") + 2].split() == ["1", "HBM", "96.0", "GiB", "-", "0-2,8", "-"]
    assert lines[lines.index("Jobs: 1") + 2].split()[:2] == [here, "running"]
    told = json.loads(run_pact(tmp_path, "nodes", "inspect", "node042", "--output", "json", env=env).stdout)
    assert [job["id"] for job in told["jobs"]] == [here]
    assert (told["node"]["id"], told["node"]["dispatch_failures"]) == ("node042", 3)


def test_inspect_of_an_idle_one_and_of_none(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_node("node042")
    assert run_pact(tmp_path, "nodes", "inspect", "node042", env=env).stdout.endswith("Jobs:        (no jobs)\n")
    done = run_pact(tmp_path, "nodes", "inspect", "node999", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "pact: nodes inspect: node999: lattice does not know this node",
        "hint: pact nodes list shows those that it does",
    ]


def test_inspect_with_what_smd_has(tmp_path: Path, lattice: LatticeServer, env: dict[str, str]) -> None:
    lattice.add_node("node042")
    with Openchami() as smd:
        smd.add_node("x1000c0s0b0n0", nid=42)
        env |= {"PACT_OPENCHAMI_SMD_URL": smd.url, "PACT_OPENCHAMI_NAMES": "nid"}
        done = run_pact(tmp_path, "nodes", "inspect", "node042", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Hardware:    x1000c0s0b0n0, NID 42, BMC x1000c0s0b0\n" in done.stdout
        told = json.loads(run_pact(tmp_path, "nodes", "inspect", "node042", "--output", "json", env=env).stdout)
        assert (told["hardware"]["xname"], told["hardware"]["nid"], told["hardware"]["error"]) == (
            "x1000c0s0b0n0",
            42,
            "",
        )
        lattice.add_node("node043")
        strange = run_pact(tmp_path, "nodes", "inspect", "node043", env=env)
        assert strange.returncode == 1
        assert "Hardware:    not known: node043: SMD has no node with NID 43\n" in strange.stdout
    down = run_pact(tmp_path, "nodes", "inspect", "node042", env=env)
    assert down.returncode == 5
    assert "Hardware:    not known: " in down.stdout
    assert "State:       ready\n" in down.stdout

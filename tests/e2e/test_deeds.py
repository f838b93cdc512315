"""Nodes with jobs, from a workstation: asked about, drained, changed or rebooted, and put back when they are back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.outside import Outside, outside_of
from tests.lattice import LatticeServer
from tests.openchami import Openchami

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
NODES = ("node042", "node043")
LIMIT_S = 60.0
SYSCTL = ("sysctl", "-w", "vm.swappiness=11")


@pytest.fixture(scope="module")
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as served:
        for node in NODES:
            served.add_node(node)
        yield served


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory, lattice: LatticeServer) -> Iterator[Outside]:
    with Openchami() as power:
        for number in (42, 43):
            power.add_node(f"x1000c0s{number}b0n0", nid=number)
        for system in outside_of(tmp_path_factory, *NODES):
            system.env |= {
                "PACT_LATTICE_ENDPOINT": lattice.endpoint,
                "PACT_OPENCHAMI_SMD_URL": power.url,
                "PACT_OPENCHAMI_NAMES": "nid",
            }
            yield system


def until(check: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not check():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_command_that_changes_nodes_waits_for_their_jobs(outside: Outside, lattice: LatticeServer) -> None:
    id_ = lattice.add_job(nodes=["node042"])
    refused = outside.pact("exec", "node[042-043]", "--", *SYSCTL)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert id_ in refused.stderr
    assert outside.pact("exec", "node042", "--", "uname", "-n").stdout == "node042\n"  # which asks nothing
    running = outside.start("exec", "--drain", "--yes", "node[042-043]", "--", *SYSCTL)
    until(lambda: lattice.node("node042").state == "draining")
    lattice.end_job(id_)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert sorted(out.splitlines()) == [f"{node}: vm.swappiness = 11" for node in NODES]
    assert [lattice.node(node).state for node in NODES] == ["ready", "ready"]


def test_a_command_that_fails_leaves_its_node_drained(outside: Outside, lattice: LatticeServer) -> None:
    done = outside.pact("exec", "--drain", "node042", "--", "sysctl", "-w", "vm.no_such_key=1")
    assert done.returncode not in {0, 2, 3, 5, 6}, done.stderr
    assert "node042 stays drained; to undo it: pact undrain node042" in done.stderr
    assert outside.pact("undrain", "node042").returncode == 0
    assert lattice.node("node042").state == "ready"


def test_a_reboot_ends_when_the_agent_is_back(outside: Outside, lattice: LatticeServer) -> None:
    running = outside.start("--output", "json", "reboot", "node043", "--drain", "--reason", "kernel")
    until(lambda: any("Rebooted" in str(entry["message"]) for entry in outside.entries()))
    state = json.loads((outside.directory / "state.json").read_text())
    os.kill(int(state["processes"]["agent node043"]["pid"]), signal.SIGTERM)  # its supervisor starts another
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    steps = [(step["action"], step["result"]) for step in json.loads(out)["results"]]
    assert steps == [("drain", "done"), ("reboot", "done"), ("return", "done"), ("undrain", "done")]
    assert lattice.node("node043").state == "ready"

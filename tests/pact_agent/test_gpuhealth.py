"""A change of a GPU's health is on record by itself, whatever else is drift, declared or ignored."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pact_agent.dimensions.gpu import UNANSWERED, Gpus
from pact_agent.saved import Saved

from pactsh.errors import PactError
from pactsh.model.entry import Draft
from pactsh.policy.model import Policy
from tests.pact_agent.dimensions.nvml.simulation import VARIABLE, Simulation
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import Recording, recording

OBSERVED = Policy("ml-training", enforcement_mode="observe")


@pytest.fixture
def simulation(library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """Two healthy GPUs."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gpus"))
    simulation = Simulation(tmp_path / "gpus")
    for number, bus in enumerate(("00000000:3B:00.0", "00000000:D8:00.0")):
        simulation.add(number, bus)
    simulation.say(count=2)
    return simulation


@pytest.fixture
def node(simulation: Simulation, tmp_path: Path) -> Iterator[Recording]:
    """Observed, not enforced, as nodes are by default."""
    with recording(tmp_path / "node") as node:
        node.policy = OBSERVED
        node.also = [Gpus(str(simulation.path), str(tmp_path / "none"), node.clock.monotonic)]
        start(node)
        yield node


def start(node: Recording, boot: str = "boot-1") -> None:
    asyncio.run(node.restarted().start(boot))


def look(node: Recording) -> None:
    asyncio.run(node.lifecycle.look())


def told(node: Recording) -> list[str]:
    return [entry.message for entry in health(node)]


def health(node: Recording) -> list[Draft]:
    return [entry for entry in node.entries() if entry.type == "gpu.health"]


def test_each_change_is_an_entry_with_the_gpu_and_both(node: Recording, simulation: Simulation) -> None:
    assert told(node) == []
    simulation.say(g1_ecc_volatile=12)
    look(node)
    look(node)
    (entry,) = health(node)
    degraded = "DEGRADED (ECC uncorrectable: 12)"
    assert body_of(entry) == {"gpu": "1", "pci": "0000:d8:00.0", "before": "healthy", "after": degraded}
    assert (entry.message, entry.scope) == (f"gpu 1 (0000:d8:00.0): healthy -> {degraded}", "node:node042")
    simulation.say(g1_ecc_volatile=13)
    look(node)
    assert body_of(health(node)[-1])["before"] == degraded  # not what is declared
    assert [e.type for e in node.entries() if e.type.startswith("drift.")] == ["drift.detected"] * 2


def test_a_recovery_is_told_while_something_else_differs(node: Recording, simulation: Simulation) -> None:
    simulation.say(g0_compute=2, g1_lost=1)
    look(node)
    simulation.say(g1_lost=0)
    look(node)
    assert told(node)[-1] == "gpu 1 (0000:d8:00.0): DEGRADED (lost) -> healthy"
    assert "drift.cleared" not in [e.type for e in node.entries()]


def test_so_is_what_the_blacklist_covers(node: Recording, simulation: Simulation) -> None:
    node.policy = Policy("ml-training", enforcement_mode="observe", blacklist=("gpu:1",))
    simulation.say(g1_ecc_volatile=1)
    look(node)
    assert told(node) == ["gpu 1 (0000:d8:00.0): healthy -> DEGRADED (ECC uncorrectable: 1)"]
    assert [e.type for e in node.entries()] == ["gpu.health"]


def test_one_that_goes_is_missed(node: Recording, simulation: Simulation) -> None:
    simulation.say(count=1)
    look(node)
    simulation.say(count=2)
    look(node)
    assert told(node) == [
        "gpu 1 (0000:d8:00.0): healthy -> not there",
        "gpu 1 (0000:d8:00.0): not there -> healthy",
    ]


def test_without_a_driver_nothing_is_known_and_nothing_told(node: Recording, simulation: Simulation) -> None:
    simulation.say(count=None)
    look(node)
    simulation.say(count=2)
    look(node)
    assert told(node) == []


def test_a_driver_that_hangs_leaves_none_healthy(node: Recording, simulation: Simulation) -> None:
    (dimension,) = node.also
    assert isinstance(dimension, Gpus)
    simulation.say(hang=1)
    hanging = threading.Thread(target=dimension.snapshot)
    hanging.start()
    try:
        deadline = time.monotonic() + 10
        while dimension._since is None:
            assert time.monotonic() < deadline
        look(node)
        assert told(node) == []  # it may be slow
        node.clock.pass_s(30)
        look(node)
    finally:
        simulation.say(hang=0)
        hanging.join()
    places = ("gpu 0 (0000:3b:00.0)", "gpu 1 (0000:d8:00.0)")
    assert told(node) == [f"{place}: healthy -> {UNANSWERED}" for place in places]
    look(node)
    assert told(node)[2:] == [f"{place}: {UNANSWERED} -> healthy" for place in places]


def test_across_restarts_and_boots_what_was_known_last_counts(node: Recording, simulation: Simulation) -> None:
    simulation.say(g1_lost=1)
    look(node)
    start(node)
    assert len(told(node)) == 1
    simulation.say(g1_lost=0, g0_rows_failed=1)
    start(node, "boot-2")
    assert told(node)[1:] == [
        "gpu 0 (0000:3b:00.0): healthy -> DEGRADED (row remapping failed)",
        "gpu 1 (0000:d8:00.0): DEGRADED (lost) -> healthy",
    ]


def test_at_the_first_look_only_what_is_wrong_is_told(simulation: Simulation, tmp_path: Path) -> None:
    simulation.say(g1_pages_pending=1)
    with recording(tmp_path / "node") as node:
        node.policy, node.also = OBSERVED, [Gpus(str(simulation.path), str(tmp_path / "none"))]
        start(node)
        assert told(node) == ["gpu 1 (0000:d8:00.0): not there -> DEGRADED (page retirement pending)"]


def test_what_could_not_be_recorded_is_recorded_at_the_next_look(node: Recording, simulation: Simulation) -> None:
    simulation.say(g1_lost=1)
    node.disk.fails = True
    with pytest.raises(PactError):
        look(node)
    node.disk.fails = False
    node.clock.pass_s(10)
    look(node)
    assert told(node) == ["gpu 1 (0000:d8:00.0): healthy -> DEGRADED (lost)"]


def test_files_of_an_agent_before_this_are_read() -> None:
    assert msgspec.json.decode(b'{"boot": "b"}', type=Saved).gpus is None

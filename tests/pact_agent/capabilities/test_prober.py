"""Everything at once, on this machine and on one that is laid out; what hangs holds up no second look."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import platform
from pathlib import Path

import msgspec
import pytest
from pact_agent.capabilities.gpus import UNANSWERED
from pact_agent.capabilities.prober import Prober
from pact_agent.dimensions.gpu import Gpus

from pactsh.model.capability import Capabilities
from tests.pact_agent.capabilities.tree import END, lay, module
from tests.pact_agent.dimensions.nvml.simulation import VARIABLE, Simulation
from tests.pact_agent.recording import facts_of, recording


def look(prober: Prober) -> Capabilities:
    return asyncio.run(prober.look())


def test_this_machine(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        prober = Prober(facts_of(node), Gpus())
        assert prober.latest() is None
        found = look(prober)
        assert prober.latest() == found
    assert found.node == "node042"
    assert found.cpu is not None
    assert found.cpu.threads == os.sysconf("SC_NPROCESSORS_ONLN")
    assert found.network is not None
    assert {link.name for link in found.network.links or ()} >= {"lo"}
    assert found.storage is not None
    assert {disk.name for disk in found.storage.disks or ()} <= set(os.listdir("/sys/block"))
    assert "/" in {mount.point for mount in found.storage.mounts or ()}
    assert found.enforces is not None
    assert found.versions["kernel"] == platform.release()
    assert msgspec.convert(json.loads(msgspec.json.encode(found)), Capabilities) == found


def test_what_cannot_change_before_the_next_boot_is_read_once(tmp_path: Path) -> None:
    root, here = tmp_path / "root", "sys/devices/system/cpu"
    lay(root, {"proc/cpuinfo": "model name\t: A\n", f"{here}/online": "0\n", "proc/cmdline": "a=1\n"})
    lay(root, {"sys/firmware/dmi/tables/DMI": module(1024) + END, "proc/meminfo": "MemTotal: 4 kB\n"})
    with recording(tmp_path / "node") as node:
        prober = Prober(facts_of(node), Gpus(str(root / "none"), str(root / "none")), root)
        first = look(prober)
        lay(root, {"proc/cpuinfo": "model name\t: B\n", "proc/cmdline": "a=2\n", "proc/meminfo": "MemTotal: 8 kB\n"})
        lay(root, {"sys/firmware/dmi/tables/DMI": END})
        again = look(prober)
        assert (again.cpu, again.system) == (first.cpu, first.system)
        assert first.memory is not None
        assert again.memory == msgspec.structs.replace(first.memory, total_bytes=8192)
        lay(root, {f"{here}/online": "0-1\n"})
        changed = look(prober).cpu
        assert changed is not None
        assert (changed.model, changed.threads) == ("B", 2)


def test_of_a_machine_without_anything_nothing_is_known_but_what_the_agent_knows(tmp_path: Path) -> None:
    with recording(tmp_path / "node") as node:
        nowhere = tmp_path / "nowhere"
        found = look(Prober(facts_of(node), Gpus(str(nowhere), str(nowhere)), nowhere))
    assert (found.gpus, found.node) == ((), "node042")
    assert (found.memory and found.memory.total_bytes, found.network and found.network.links) == (None, None)


def test_a_driver_that_hangs_holds_up_only_what_is_known_of_gpus(
    library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gpus"))
    simulation = Simulation(tmp_path / "gpus")
    simulation.add(0, "00000000:3B:00.0")
    simulation.say(count=1, g0_name="NVIDIA A100")
    dimension = Gpus(str(simulation.path), str(tmp_path / "none"))

    async def go(prober: Prober) -> None:
        first = await prober.look()
        assert [gpu.health for gpu in first.gpus or ()] == ["healthy"]
        simulation.say(hang=1)
        hanging = asyncio.create_task(asyncio.to_thread(dimension.snapshot))
        try:
            while not dimension._turn.locked():
                await asyncio.sleep(0.01)
            found = await prober.look()
        finally:
            simulation.say(hang=0)
            await hanging
        assert [(gpu.name, gpu.health) for gpu in found.gpus or ()] == [("NVIDIA A100", UNANSWERED)]
        assert found.cpu is not None
        assert [gpu.health for gpu in (await prober.look()).gpus or ()] == ["healthy"]

    with recording(tmp_path / "node") as node:
        asyncio.run(go(Prober(facts_of(node), dimension)))
    assert library.simulated_users() == 0

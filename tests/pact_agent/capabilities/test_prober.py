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
from pact_agent.capabilities.gpus import gpus
from pact_agent.capabilities.prober import Prober
from pact_agent.dimensions.gpu import UNANSWERED, Gpus

from pactsh.model.capability import Capabilities
from tests.pact_agent.capabilities.tree import END, device, lay, module
from tests.pact_agent.dimensions.nvml.simulation import VARIABLE, Simulation
from tests.pact_agent.recording import FakeClock, facts_of, recording


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
    clock = FakeClock()
    dimension = Gpus(str(simulation.path), str(tmp_path / "none"), clock.monotonic)

    async def healths(prober: Prober) -> list[str]:
        return [gpu.health for gpu in (await prober.look()).gpus or ()]

    async def go(prober: Prober) -> None:
        assert await healths(prober) == ["healthy"]
        simulation.say(hang=1)
        hanging = asyncio.create_task(asyncio.to_thread(dimension.snapshot))
        try:
            while dimension._since is None:
                await asyncio.sleep(0.01)
            assert await healths(prober) == ["healthy"]  # somebody else may just be looking
            clock.pass_s(60)
            found = await prober.look()
        finally:
            simulation.say(hang=0)
            await hanging
        assert [(gpu.name, gpu.health) for gpu in found.gpus or ()] == [("NVIDIA A100", UNANSWERED)]
        assert found.cpu is not None
        assert await healths(prober) == ["healthy"]

    with recording(tmp_path / "node") as node:
        asyncio.run(go(Prober(facts_of(node), dimension)))
    assert library.simulated_users() == 0


DAMAGED = (
    "",
    "\n",
    "x",
    "-1\n",
    "-" + "9" * 19,
    "9" * 19 + " kB",
    "9" * 5000,
    "0x" + "f" * 16,
    "\u0663\u0664",
    "=:=\n\n:",
    "a\0b",
)


def whole(root: Path) -> None:
    """A machine with one of everything."""
    gpu = {"vendor": "0x1002\n", "device": "0x740c\n", "class": "0x038000\n", "numa_node": "0\n"}
    gpu |= {"mem_info_vram_total": "68702699520\n", "ras/umc_err_count": "ue: 0\nce: 0\n", "unique_id": "9f\n"}
    gpu |= {"hwmon/hwmon1/temp1_input": "41000\n", "ras/gpu_vram_bad_pages": "0x1 : 0x1000 : R\n"}
    places = [
        device(root, "0000:c1:00.0", gpu, driver="amdgpu"),
        device(root, "0000:21:00.0", {"properties/nid": "0x1\n", "port/link": "up\n", "fru/part_number": "P\n"}),
    ]
    node, core = "sys/devices/system/node/node0", "sys/devices/system/cpu"
    port, link, disk = "sys/class/infiniband/mlx5_0/ports/1", "sys/class/net/eth0", "sys/block/sda"
    files: dict[str, str | bytes] = {
        "proc/cpuinfo": "model name\t: A\nflags\t: a b\n\n", "proc/meminfo": "MemTotal: 4 kB\n",
        "proc/stat": "btime 1769860800\n", "proc/cmdline": "ro\n", "proc/sys/kernel/osrelease": "6.1\n",
        "proc/self/mountinfo": "27 1 8:2 / / rw - xfs /dev/sda2 rw\n", "etc/os-release": "ID=debian\n",
        "sys/firmware/dmi/tables/DMI": module(1024) + END, "sys/class/dmi/id/sys_vendor": "HPE\n",
        f"{core}/online": "0\n", f"{core}/cpu0/topology/physical_package_id": "0\n",
        f"{core}/cpu0/topology/core_cpus_list": "0\n", f"{core}/cpufreq/policy0/cpuinfo_max_freq": "3500000\n",
        f"{node}/cpulist": "0\n", f"{node}/meminfo": "Node 0 MemTotal: 4 kB\n",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "1\n",
        f"{port}/state": "4: ACTIVE\n", f"{port}/rate": "200 Gb/sec\n", f"{link}/speed": "1000\n",
        f"{link}/mtu": "1500\n", f"{link}/type": "1\n", f"{link}/uevent": "DEVTYPE=bond\n",
        f"{disk}/size": "2048\n", f"{disk}/queue/rotational": "1\n", f"{disk}/sda1/partition": "1\n",
        "sys/class/drm/card0/device": f"->{places[0]}", "sys/class/cxi/cxi0/device": f"->{places[1]}",
    }  # fmt: skip
    lay(root, files)


def test_whichever_file_is_damaged_there_is_a_document(tmp_path: Path) -> None:
    root = tmp_path / "root"
    whole(root)
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 35
    with recording(tmp_path / "node") as node:
        facts = facts_of(node)

        def document() -> Capabilities:
            dimension = Gpus(str(root / "none"), str(root / "sys/class/drm"))
            prober = Prober(facts, dimension, root)
            prober._hardware, prober._gpus = prober._read(), gpus(dimension, root)  # without the threads of a look
            return msgspec.json.decode(msgspec.json.encode(prober.latest()), type=Capabilities)

        assert [gpu.name for gpu in document().gpus or ()] == ["AMD 1002:740c"]
        for path in files:
            before = path.read_bytes()
            for damaged in DAMAGED:
                path.write_text(damaged)
                assert document().node == "node042", (path, damaged)
            path.write_bytes(before)

"""GPUs in full: NVIDIA's through the real binding and a simulated library, AMD's from files of their driver."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.capabilities.gpus import gpus, unanswered
from pact_agent.dimensions.gpu import UNANSWERED, Gpus

from pactsh.model.capability import Ecc, Gpu, MigInstance
from tests.pact_agent.capabilities.tree import device, lay
from tests.pact_agent.dimensions.nvml.simulation import VARIABLE, Simulation

BUSES = ("00000000:3B:00.0", "00000000:5E:00.0")


@pytest.fixture
def simulation(library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """Two GPUs: a healthy one that has everything, and one that says little."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gpus"))
    simulation = Simulation(tmp_path / "gpus")
    simulation.add(0, BUSES[0])
    simulation.say(
        driver="550.54.15", cuda=12040, g0_name="NVIDIA A100-SXM4-80GB", g0_uuid="GPU-1", g0_memory=80 << 30,
        g0_temperature=34, g0_ecc=1, g0_ecc_pending=0, g0_ecc_corrected=7, g0_mig=0,
    )  # fmt: skip
    simulation.say(g1_bus=BUSES[1], count=2)
    yield simulation
    assert library.simulated_users() == 0


def found(simulation: Simulation, root: Path) -> tuple[Gpu, ...]:
    return gpus(Gpus(driver=str(simulation.path), drm=str(root / "sys/class/drm")), root)


def test_what_nvidias_library_knows(simulation: Simulation, tmp_path: Path) -> None:
    root = tmp_path / "root"
    device(root, "0000:3b:00.0", {"vendor": "0x10de\n", "class": "0x030200\n", "numa_node": "1\n"}, driver="nvidia")
    assert found(simulation, root) == (
        Gpu(
            number=0,
            vendor="nvidia",
            name="NVIDIA A100-SXM4-80GB",
            health="healthy",
            uuid="GPU-1",
            memory_bytes=80 << 30,
            driver="550.54.15",
            cuda="12.4",
            mig=False,
            mig_instances=(),
            ecc=Ecc(True, False, 7, 0),
            temperature_c=34,
            pci="0000:3b:00.0",
            numa_node=1,
        ),
        Gpu(1, "nvidia", None, "healthy", driver="550.54.15", cuda="12.4", pci="0000:5e:00.0"),
    )


def test_health_is_in_the_words_of_the_dimension(simulation: Simulation, tmp_path: Path) -> None:
    simulation.say(g0_ecc_volatile=12, g1_lost=1)
    first, second = found(simulation, tmp_path)
    assert (first.health, first.ecc) == ("DEGRADED (ECC uncorrectable: 12)", Ecc(True, False, 7, 12))
    assert (second.number, second.health, second.name) == (1, "DEGRADED (lost)", None)


def test_slices_of_a_gpu(simulation: Simulation, tmp_path: Path) -> None:
    simulation.say(g0_mig=1)
    simulation.say(g100_uuid="MIG-1", g100_name="NVIDIA A100 MIG 3g.40gb", g100_memory=40 << 30, g102_uuid="MIG-2")
    first, second = found(simulation, tmp_path)
    slices = (MigInstance("MIG-1", "NVIDIA A100 MIG 3g.40gb", 40 << 30), MigInstance("MIG-2", None, None))
    assert (first.mig, first.mig_instances) == (True, slices)
    assert (second.mig, second.mig_instances) == (None, None)  # it does not know of such


def test_amds_from_its_driver(tmp_path: Path) -> None:
    files = {
        "vendor": "0x1002", "device": "0x740c", "class": "0x038000", "product_name": "AMD INSTINCT MI250X",
        "unique_id": "9f2b", "mem_info_vram_total": str(64 << 30), "numa_node": "3",
        "ras/umc_err_count": "ue: 2\nce: 11", "ras/gfx_err_count": "ue: 1\nce: 0", "ras/sdma_err_count": "damaged",
        "ras/gpu_vram_bad_pages": "0x00000001 : 0x00001000 : R\n0x00000002 : 0x00001000 : P",
        "ras/features": "feature mask: 0x1", "hwmon/hwmon4/temp1_input": "41000",
    }  # fmt: skip
    second = device(tmp_path, "0000:c9:00.0", {k: f"{v}\n" for k, v in files.items()}, driver="amdgpu")
    plain = {"vendor": "0x1002\n", "device": "0x740c\n", "class": "0x038000\n"}
    first = device(tmp_path, "0000:c1:00.0", plain, driver="amdgpu")
    aspeed = device(tmp_path, "0000:05:00.0", {"vendor": "0x1a03\n", "class": "0x030000\n"}, driver="ast")
    lay(tmp_path, {f"sys/class/drm/card{n}/device": f"->{p}" for n, p in enumerate((second, first, aspeed))})
    lay(tmp_path, {"sys/class/drm/card0-DP-1/device": f"->{second}", "sys/module/amdgpu/version": "6.7.0\n"})
    dimension = Gpus(driver=str(tmp_path / "none"), drm=str(tmp_path / "sys/class/drm"))
    degraded = "DEGRADED (ECC uncorrectable: 2; retired pages: 1; page retirement pending; RAS uncorrectable in gfx: 1)"
    assert gpus(dimension, tmp_path) == (
        Gpu(0, "amd", "AMD 1002:740c", "healthy", driver="amdgpu 6.7.0", pci="0000:c1:00.0"),
        Gpu(
            number=1,
            vendor="amd",
            name="AMD INSTINCT MI250X",
            health=degraded,
            uuid="9f2b",
            memory_bytes=64 << 30,
            driver="amdgpu 6.7.0",
            ecc=Ecc(None, None, 11, 3),
            temperature_c=41,
            pci="0000:c9:00.0",
            numa_node=3,
        ),
    )
    assert dimension.snapshot() == {"0": "healthy", "1": degraded, "count": "2"}


def test_those_that_no_driver_tells_of_are_there_all_the_same(tmp_path: Path) -> None:
    device(tmp_path, "0000:3b:00.0", {"vendor": "0x10de\n", "class": "0x030200\n", "numa_node": "1\n"})
    device(tmp_path, "0000:5e:00.0", {"vendor": "0x10de\n", "class": "0x030200\n"}, driver="vfio-pci")
    device(tmp_path, "0000:5e:00.1", {"vendor": "0x10de\n", "class": "0x040300\n"}, driver="snd_hda_intel")
    device(tmp_path, "0000:05:00.0", {"vendor": "0x1a03\n", "class": "0x030000\n"})
    device(tmp_path, "0000:06:00.0", {"vendor": "rubbish\n", "class": "\n"})
    dimension = Gpus(driver=str(tmp_path / "none"), drm=str(tmp_path / "sys/class/drm"))
    here = (
        Gpu(None, "nvidia", None, "unknown (no driver)", pci="0000:3b:00.0", numa_node=1),
        Gpu(None, "nvidia", None, "unknown (driver vfio-pci)", pci="0000:5e:00.0"),
    )
    assert gpus(dimension, tmp_path) == here
    assert [gpu.health for gpu in unanswered(None, tmp_path)] == [UNANSWERED] * 2
    known = Gpu(0, "nvidia", "A100", "healthy")
    assert unanswered((known,), tmp_path) == (Gpu(0, "nvidia", "A100", UNANSWERED),)


def test_a_node_without_any_has_none(tmp_path: Path) -> None:
    assert gpus(Gpus(driver=str(tmp_path / "none"), drm=str(tmp_path / "none")), tmp_path) == ()

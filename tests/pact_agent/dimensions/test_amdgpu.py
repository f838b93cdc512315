"""AMD's GPUs in the dimension, from files in the formats of their driver."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.amdgpu import signs
from pact_agent.dimensions.gpu import Gpus

from tests.pact_agent.capabilities.tree import device, lay
from tests.pact_agent.dimensions.nvml.simulation import VARIABLE, Simulation

DRM = "sys/class/drm"


def cards(root: Path, *addresses: str) -> list[str]:
    """Cards in this order, whatever their addresses; returns the paths of the devices."""
    plain = {"vendor": "0x1002\n", "ras/umc_err_count": "ue: 0\nce: 3\n"}
    places = [device(root, address, plain, driver="amdgpu") for address in addresses]
    lay(root, {f"{DRM}/card{number}/device": f"->{place}" for number, place in enumerate(places)})
    return places


def dimension(root: Path, driver: str = "/nowhere") -> Gpus:
    return Gpus(driver, str(root / DRM))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({"umc_err_count": "ue: 0\nce: 900\n", "gfx_err_count": "ue: 0\nce: 1\n"}, []),
        ({"umc_err_count": "ue: 2\nce: 0\n"}, ["ECC uncorrectable: 2"]),
        ({"xgmi_wafl_err_count": "ue: 4\nce: 0\n"}, ["RAS uncorrectable in xgmi_wafl: 4"]),
        ({"gpu_vram_bad_pages": "0x00000001 : 0x00001000 : R\n0x0000ff02 : 0x00001000 : R\n"}, ["retired pages: 2"]),
        ({"gpu_vram_bad_pages": "0x00000001 : 0x00001000 : P\n"}, ["page retirement pending"]),
        ({"gpu_vram_bad_pages": "0x00000001 : 0x00001000 : F\n"}, ["page retirement failed: 1"]),
        ({"umc_err_count": "query not supported\n", "gfx_err_count": "", "gpu_vram_bad_pages": "\0"}, []),
    ],
)
def test_what_makes_one_degraded(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    lay(tmp_path, {f"ras/{name}": text for name, text in files.items()})
    assert signs(tmp_path) == expected


def test_they_are_numbered_by_address_and_the_number_stays(tmp_path: Path) -> None:
    first, _ = cards(tmp_path, "0000:c9:00.0", "0000:c1:00.0")
    gpus = dimension(tmp_path)
    assert gpus.snapshot() == {"0": "healthy", "1": "healthy", "count": "2"}
    lay(tmp_path, {f"{first}/ras/umc_err_count": "ue: 1\nce: 3\n"})
    assert gpus.snapshot()["1"] == "DEGRADED (ECC uncorrectable: 1)"
    (tmp_path / DRM / "card1/device").unlink()
    assert gpus.snapshot() == {"1": "DEGRADED (ECC uncorrectable: 1)", "count": "1"}
    assert (gpus.place(1), gpus.place(7)) == ("0000:c9:00.0", "")


def test_beside_those_of_nvidia_they_come_after_them(
    library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gpus"))
    simulation = Simulation(tmp_path / "gpus")
    simulation.add(0, "00000000:D8:00.0")
    simulation.say(count=1, g0_lost=0)
    cards(tmp_path, "0000:03:00.0")
    gpus = dimension(tmp_path, str(simulation.path))
    found = gpus.snapshot()
    assert (found["0"], found["1"], found["0.compute"], found["count"]) == ("healthy", "healthy", "default", "2")
    assert [gpus.place(number) for number in (0, 1)] == ["0000:d8:00.0", "0000:03:00.0"]
    assert "1.compute" not in found
    with pytest.raises(ApplyError, match="gpu 1 is not there"):
        gpus.apply("1.compute", "default")
    simulation.say(count=None)
    assert gpus.snapshot() == {"1": "healthy", "count": "1"}
    assert library.simulated_users() == 0


def test_health_is_not_for_pact_to_change(tmp_path: Path) -> None:
    cards(tmp_path, "0000:c1:00.0")
    gpus = dimension(tmp_path)
    gpus.snapshot()
    with pytest.raises(ApplyError, match="gpu 0: health is the hardware's: reset it or replace it"):
        gpus.apply("0", "healthy")
    with pytest.raises(ApplyError, match="gpu 0 is not there"):
        gpus.apply("0.compute", "default")

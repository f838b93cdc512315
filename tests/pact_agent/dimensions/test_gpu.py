"""GPUs as the real binding tells of them, through a simulated library below it."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.gpu import UNANSWERED, Gpus

from pactsh.errors import PactError
from tests.pact_agent.dimensions.nvml.simulation import VARIABLE, Simulation
from tests.pact_agent.recording import FakeClock

ROOT = Path(__file__).parents[3]
BUSES = ("00000000:3B:00.0", "00000000:5E:00.0", "00000000:D8:00.0")


@pytest.fixture
def simulation(library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """Three healthy GPUs."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gpus"))
    simulation = Simulation(tmp_path / "gpus")
    for number, bus in enumerate(BUSES):
        simulation.add(number, bus)
    simulation.say(count=3)
    yield simulation
    until(lambda: library.simulated_users() == 0)  # nothing of a test leaves the driver in use


@pytest.fixture
def gpus(simulation: Simulation) -> Gpus:
    return Gpus(driver=str(simulation.path), drm=str(simulation.path.with_name("drm")))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


HEALTHY = {"persistence": "on", "compute": "default", "power_limit": "300 W"}


def test_healthy_ones(gpus: Gpus) -> None:
    expected = {"count": "3"} | {str(n): "healthy" for n in range(3)}
    expected |= {f"{n}.{key}": value for n in range(3) for key, value in HEALTHY.items()}
    assert gpus.snapshot() == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"g1_ecc_volatile": 12, "g1_ecc_aggregate": 12}, "DEGRADED (ECC uncorrectable: 12)"),
        ({"g1_ecc_aggregate": 3}, "DEGRADED (ECC uncorrectable: 3)"),
        ({"g1_pages_double": 3, "g1_pages_pending": 0}, "DEGRADED (retired pages: 3)"),
        ({"g1_pages_double": 0, "g1_pages_single": 5, "g1_pages_pending": 0}, "healthy"),
        ({"g1_pages_double": 0, "g1_pages_pending": 1}, "DEGRADED (page retirement pending)"),
        ({"g1_rows_pending": 1}, "DEGRADED (row remapping pending)"),
        ({"g1_ecc_volatile": 1, "g1_rows_failed": 1}, "DEGRADED (ECC uncorrectable: 1; row remapping failed)"),
        ({"g1_lost": 1}, "DEGRADED (lost)"),
        ({"g1_ecc_volatile": None, "g1_ecc_aggregate": None, "g1_rows_pending": None}, "healthy"),
    ],
)
def test_what_makes_one_degraded(gpus: Gpus, simulation: Simulation, said: dict[str, object], expected: str) -> None:
    """What a GPU doesn't support is no failure; pages retired for correctable errors went in time."""
    gpus.snapshot()
    simulation.say(**said)
    found = gpus.snapshot()
    assert (found["0"], found["1"], found["2"], found["count"]) == ("healthy", expected, "healthy", "3")


def test_what_is_not_supported_has_no_key(gpus: Gpus, simulation: Simulation) -> None:
    simulation.say(count=1, g0_persistence=None, g0_compute=None, g0_power=None)
    assert gpus.snapshot() == {"count": "1", "0": "healthy"}


def test_numbers_follow_addresses_and_stay(gpus: Gpus, simulation: Simulation) -> None:
    """Whatever the order the library has them in, and whichever goes."""
    simulation.say(g0_bus=BUSES[2], g2_bus=BUSES[0], g2_ecc_volatile=1)
    assert gpus.snapshot()["0"] == "DEGRADED (ECC uncorrectable: 1)"
    simulation.say(count=2)
    found = gpus.snapshot()
    assert (found["count"], found.get("0"), found["1"], found["2"]) == ("2", None, "healthy", "healthy")
    simulation.say(count=3)
    simulation.say(g1_lost=1)
    assert [gpus.snapshot()[str(n)] for n in range(3)] == [
        "DEGRADED (ECC uncorrectable: 1)",
        "DEGRADED (lost)",
        "healthy",
    ]


def test_one_that_was_lost_before_the_first_look_has_its_number(gpus: Gpus, simulation: Simulation) -> None:
    simulation.say(g1_lost=1, g2_ecc_volatile=4)
    expected = ["healthy", "DEGRADED (lost)", "DEGRADED (ECC uncorrectable: 4)"]
    for _ in range(2):
        assert [gpus.snapshot()[str(n)] for n in range(3)] == expected
    simulation.say(g1_lost=0)
    assert gpus.snapshot()["1"] == "healthy"


@pytest.mark.parametrize(
    ("said", "key", "before"),
    [
        ({"g2_persistence": 0}, "2.persistence", "on"),
        ({"g2_compute": 2}, "2.compute", "default"),
        ({"g2_compute": 3}, "2.compute", "default"),
        ({"g2_power": 250500}, "2.power_limit", "300 W"),
    ],
)
def test_a_setting_is_put_back(
    gpus: Gpus, simulation: Simulation, said: dict[str, object], key: str, before: str
) -> None:
    declared = gpus.snapshot()
    simulation.say(**said)
    changed = gpus.snapshot()
    assert {k for k in declared if changed[k] != declared[k]} == {key}
    gpus.apply(key, before)
    assert gpus.snapshot() == declared


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("1", "healthy", r"gpu 1: health is the hardware's: reset it \(nvidia-smi -r -i 1\) or replace it"),
        ("count", "4", "gpu count: how many there are is not for pact to change"),
        ("1.persistence", None, "can't be taken away"),
        ("1.compute", "fast", "'fast' is none of default, exclusive-thread, prohibited, exclusive-process"),
        ("1.power_limit", "lots", "'lots' is no limit in watts"),
        ("1.power_limit", "4000 W", "gpu 1.power_limit=4000 W: NVML: Invalid Argument"),
        ("7.persistence", "on", "gpu 7 is not there"),
        ("1.colour", "red", "'1.colour' is neither a GPU nor a setting of one"),
    ],
)
def test_what_cannot_be_applied_says_why(gpus: Gpus, key: str, value: str | None, says: str) -> None:
    with pytest.raises(ApplyError, match=says):
        gpus.apply(key, value)


def test_nothing_can_be_set_on_a_lost_one(gpus: Gpus, simulation: Simulation) -> None:
    gpus.snapshot()
    simulation.say(g1_lost=1)
    with pytest.raises(ApplyError, match="gpu 1 is not there"):
        gpus.apply("1.persistence", "on")


def test_without_a_driver_there_is_nothing_until_it_is_loaded(
    simulation: Simulation, gpus: Gpus, tmp_path: Path
) -> None:
    without = Gpus(driver=str(tmp_path / "none"), drm=str(tmp_path / "none"))
    assert without.snapshot() == {}
    with pytest.raises(ApplyError, match="gpu 0 is not there"):
        without.apply("0.persistence", "on")
    simulation.say(count=None)
    assert gpus.snapshot() == {}
    simulation.say(count=1)
    assert gpus.snapshot()["0"] == "healthy"


@pytest.mark.parametrize("driver", ["/nowhere", "/proc/version"])
def test_without_the_library_the_binding_is_not_even_imported(driver: str) -> None:
    """In a process of its own, as this one has the simulated library."""
    program = (
        "import sys, time\n"
        "from pact_agent.dimensions.gpu import Gpus\n"
        f"gpus = Gpus({driver!r}, '/nowhere')\n"
        "start = time.perf_counter()\n"
        "assert [gpus.snapshot() for _ in range(10)] == [{}] * 10\n"
        "assert time.perf_counter() - start < 0.1\n"
        "assert 'pynvml' not in sys.modules\n"
    )
    probe = "import ctypes, sys\ntry: ctypes.CDLL('libnvidia-ml.so.1')\nexcept OSError: sys.exit(1)\n"
    if driver != "/nowhere" and subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0:
        pytest.skip("this machine has the library")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30, env={"PYTHONPATH": f"{ROOT}:{ROOT}/agent"})


def test_a_driver_that_hangs_holds_one_call_and_no_more(gpus: Gpus, simulation: Simulation) -> None:
    simulation.say(hang=1)
    found: list[dict[str, str]] = []
    first = threading.Thread(target=lambda: found.append(gpus.snapshot()))
    first.start()
    try:
        with pytest.raises(PactError, match="gpu: the driver has not answered an earlier call yet"):
            gpus.snapshot()
        with pytest.raises(ApplyError, match="has not answered an earlier call yet"):
            gpus.apply("0.compute", "default")
    finally:
        simulation.say(hang=0)
        first.join()
    assert found[0]["count"] == "3"


def test_of_one_that_hangs_for_long_nothing_is_known(simulation: Simulation, tmp_path: Path) -> None:
    clock = FakeClock()
    gpus = Gpus(str(simulation.path), str(tmp_path / "none"), clock.monotonic)
    known = gpus.snapshot()
    simulation.say(hang=1)
    hanging = threading.Thread(target=gpus.snapshot)
    hanging.start()
    try:
        until(lambda: gpus._since is not None)
        clock.pass_s(30)
        assert gpus.hangs()
        assert gpus.snapshot() == known | dict.fromkeys(("0", "1", "2"), UNANSWERED)
    finally:
        simulation.say(hang=0)
        hanging.join()
    assert not gpus.hangs()
    assert gpus.snapshot() == known


# -- events


@asynccontextmanager
async def watched(gpus: Gpus, library: ctypes.CDLL) -> AsyncIterator[asyncio.Event]:
    """While events are waited for; afterwards the thread is gone and the driver free."""
    woken = asyncio.Event()
    end = gpus.watch(woken.set)
    try:
        await asyncio.to_thread(gpus.snapshot)
        await asyncio.to_thread(until, lambda: library.simulated_users() == 1)
        yield woken
    finally:
        end()
        await asyncio.to_thread(until, lambda: not waiting())


def waiting() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gpu events"]


async def registered(simulation: Simulation, woken: asyncio.Event) -> None:
    """Events count from when somebody waits for them; the first that arrives shows that somebody does."""
    async with asyncio.timeout(10):
        while not woken.is_set():
            simulation.happen(2, 79)
            await asyncio.sleep(0.02)
    woken.clear()


def test_an_xid_of_the_hardware_wakes_and_is_told(gpus: Gpus, simulation: Simulation, library: ctypes.CDLL) -> None:
    async def go() -> None:
        async with watched(gpus, library) as woken, asyncio.timeout(10):
            await registered(simulation, woken)
            for xid in (31, 95, 48, 95):  # an application's, and three of the hardware
                simulation.happen(0, xid)
            found: dict[str, str] = {}
            while found.get("0") != "DEGRADED (XID 48; XID 95)":
                await woken.wait()
                woken.clear()
                found = await asyncio.to_thread(gpus.snapshot)
            assert (found["1"], found["2"]) == ("healthy", "DEGRADED (XID 79)")

    asyncio.run(go())
    assert gpus.snapshot()["0"] == "DEGRADED (XID 48; XID 95)"
    simulation.say(count=None)
    assert gpus.snapshot() == {}
    simulation.say(count=3)
    assert gpus.snapshot()["0"] == "healthy"  # the driver was loaded anew


def test_of_one_that_is_lost_afterwards_the_xid_is_still_told(
    gpus: Gpus, simulation: Simulation, library: ctypes.CDLL
) -> None:
    async def go() -> None:
        async with watched(gpus, library) as woken:
            await registered(simulation, woken)
            simulation.say(g2_lost=1)
            assert (await asyncio.to_thread(gpus.snapshot))["2"] == "DEGRADED (lost; XID 79)"

    asyncio.run(go())


def test_nobody_waits_for_what_a_gpu_does_not_have(gpus: Gpus, simulation: Simulation, library: ctypes.CDLL) -> None:
    simulation.say(count=1, g0_events=None)

    async def go() -> None:
        end = gpus.watch(lambda: None)
        await asyncio.to_thread(gpus.snapshot)
        await asyncio.to_thread(until, lambda: bool(waiting()) and library.simulated_users() == 0)
        end()
        await asyncio.to_thread(until, lambda: not waiting())

    asyncio.run(go())


def test_events_that_fail_free_the_driver_and_wake(gpus: Gpus, simulation: Simulation, library: ctypes.CDLL) -> None:
    async def go() -> None:
        async with watched(gpus, library) as woken:
            simulation.say(events_fail=1)
            async with asyncio.timeout(10):
                await woken.wait()
            await asyncio.to_thread(until, lambda: library.simulated_users() == 0)
            assert len(waiting()) == 1  # it tries again at the next interval

    asyncio.run(go())


def test_watching_asks_nothing_of_the_driver(gpus: Gpus, simulation: Simulation) -> None:
    """It is called in the loop."""
    simulation.say(hang=1)

    async def go() -> None:
        gpus.watch(lambda: None)()

    asyncio.run(go())
    assert waiting() == []
    simulation.say(hang=0)

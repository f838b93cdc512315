"""GPUs of a real agent, below which is a simulated driver: what people see of one that breaks, wherever they look."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.site import Site, site
from tests.pact_agent.dimensions.nvml.simulation import VARIABLE, Simulation, build
from tests.pact_agent.localnode import BIN, IS_ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# The driver shows itself in /proc: here on mounts of the agent's own.
DRIVER = 'mount -t tmpfs none /proc/driver && mkdir /proc/driver/nvidia && : >/proc/driver/nvidia/version && exec "$@"'
BUSES = ("00000000:3B:00.0", "00000000:D8:00.0")


@asynccontextmanager
async def with_gpus(tmp_path: Path) -> AsyncIterator[tuple[Site, Simulation]]:
    """A journal and a node with two healthy GPUs, which is observed and not enforced."""
    build(tmp_path)
    simulation = Simulation(tmp_path / "gpus")
    for number, bus in enumerate(BUSES):
        simulation.add(number, bus)
        simulation.say(**{f"g{number}_name": "NVIDIA A100-SXM4-80GB", f"g{number}_memory": 80 << 30})
    simulation.say(count=2, driver="550.54.15", cuda=12040)
    async with site(tmp_path / "site") as where:
        await where.kill_agent()
        assert where.agent is not None
        environment = (f"LD_LIBRARY_PATH={tmp_path}", f"{VARIABLE}={simulation.path}")
        where.agent.program = ("unshare", "--mount", "sh", "-c", DRIVER, "sh", "env", *environment)
        await where.start_agent()
        yield where, simulation


def environment(where: Site) -> dict[str, str]:
    assert where.agent is not None
    return {"PACT_AGENT_SOCKET": str(where.agent.socket), "PATH": os.environ["PATH"], "HOME": "/nonexistent"}


async def pact(where: Site, *args: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(BIN / "pact", *args, stdout=pipe, env=environment(where))


async def said(where: Site, *args: str) -> str:
    return (await (await pact(where, *args)).communicate())[0].decode()


async def breaks(simulation: Simulation, watching: asyncio.Task[bytes]) -> None:
    """Events count from when the agent waits for them, so this one happens until somebody hears of it."""
    while not watching.done():
        simulation.happen(1, 79)
        await asyncio.wait({watching}, timeout=0.2)


@pytest.mark.skipif(not IS_ROOT, reason="mounting takes root")
def test_one_that_breaks_is_an_event_at_once_where_nothing_is_enforced(tmp_path: Path) -> None:
    async def go() -> None:
        async with with_gpus(tmp_path) as (where, simulation), asyncio.timeout(90):
            assert (await said(where, "cap")).splitlines()[:2] == [
                "GPUs: 2x A100-SXM4-80GB (healthy)",
                "  0  A100-SXM4-80GB  80.0 GiB  0000:3b:00.0  driver 550.54.15, CUDA 12.4  healthy",
            ]
            assert "State: OBSERVE_ONLY" in await said(where, "status")
            watch = await pact(where, "watch", "--type", "gpu.health", "--from", "1")
            assert watch.stdout is not None
            line = asyncio.create_task(watch.stdout.readline())
            await breaks(simulation, line)
            watch.kill()
            await watch.wait()
            told = "gpu 1 (0000:d8:00.0): healthy -> DEGRADED (XID 79)"
            assert line.result().decode().rstrip().endswith(told)
            first = (await said(where, "cap")).splitlines()[0]
            assert first == "GPUs: 1x A100-SXM4-80GB (healthy), 1x A100-SXM4-80GB (DEGRADED - XID 79)"
            manifest = where.node_directory / "run" / "capabilities.json"
            while "XID 79" not in manifest.read_text():
                await asyncio.sleep(0.1)
            assert [gpu["health"] for gpu in json.loads(manifest.read_text())["capabilities"]["gpus"]] == [
                "healthy",
                "DEGRADED (XID 79)",
            ]
            log = where.layout.journal / "journal.log"
            while not (events := [line for line in log.read_text().splitlines() if "gpu.health" in line]):
                await asyncio.sleep(0.1)
            event = json.loads(events[0].partition("event ")[2])
            labels = ("pact-journal", "gpu.health", "node:node042")
            assert (event["component"], event["entry_type"], event["scope"]) == labels
            assert (event["gpu"], event["pci"], event["after"]) == ("1", "0000:d8:00.0", "DEGRADED (XID 79)")

    asyncio.run(go())

"""A node stays in the vCluster of its join token, and under its policy, whatever its configuration says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pactsh.dev.enrolment import KEYS, enrol
from tests.e2e.site import Site, site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def vcluster(place: Site) -> Any:
    with place.connect() as wire:
        wire.send({"op": "call", "method": "status", "params": {}})
        return wire.until("item")["value"]["vcluster"]


def configured(place: Site, name: str) -> None:
    path = place.node_directory / "agent.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f'vcluster = "{name}"' if line.startswith("vcluster") else line for line in lines))


def test_the_configuration_moves_no_node_and_a_join_token_does(tmp_path: Path) -> None:
    async def run() -> None:
        async with site(tmp_path) as place:
            agent = place.agent
            assert agent is not None
            await place.drained()
            await place.kill_agent()
            configured(place, "lax")
            await place.kill_journal()
            await place.start_agent()
            assert await asyncio.to_thread(vcluster, place) == "ml-training", "without its journal, too"
            await place.start_journal()
            await place.drained()

            # Nothing but the join token is another: the agent that runs is told, and begins anew.
            kept = place.node_directory / "state" / "config" / "vcluster"
            await enrol(place.node_directory, "node042", "hpc", place.journal)
            assert await asyncio.to_thread(agent.wait) == 1
            assert "the node was moved from vCluster ml-training to hpc" in agent.log()
            assert kept.read_text() == "hpc\n"
            await place.start_agent()
            assert await asyncio.to_thread(vcluster, place) == "hpc"
            await place.drained()
            assert (place.node_directory / KEYS / "agent.pem").exists()

    asyncio.run(run())

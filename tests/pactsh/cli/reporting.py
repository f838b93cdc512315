"""Nodes that a real journal has heard of: enrolled, and with a report of each agent's."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Mapping, Sequence

from pactsh.auth.ca import new_agent_request
from pactsh.rpc.client import Journal
from tests.pactsh.cli.conftest import PROGRAM, VCLUSTER, RunningJournal


def report(
    journal: RunningJournal, nodes: Sequence[str], vcluster: str = VCLUSTER, state: str = "COMMITTED",
    silent: Sequence[str] = (), **details: object,
) -> None:  # fmt: skip
    """Enrol these nodes, and have their agents report, but for those in `silent`."""
    tokens = {node: _token(journal, node, vcluster) for node in nodes}
    asyncio.run(_report(journal, tokens, vcluster, state, silent, details))


def _token(journal: RunningJournal, node: str, vcluster: str) -> str:
    command = [PROGRAM, "join-token", node, "--vcluster", vcluster, "--data-dir", str(journal.directory)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def _report(
    journal: RunningJournal, tokens: Mapping[str, str], vcluster: str, state: str, silent: Sequence[str],
    details: Mapping[str, object],
) -> None:  # fmt: skip
    ca = journal.ca.read_bytes()
    for node, token in tokens.items():
        key, request = new_agent_request(node)
        async with Journal(journal.endpoint, ca=ca) as stranger:
            enrolled = await stranger.enroll_agent(node, token, request, vcluster=vcluster)
        if node in silent:
            continue
        async with Journal(journal.agents, ca=ca, cert=enrolled.certificate_pem, key=key) as agent:
            told = json.dumps({"drift": 0, **details}).encode()
            await agent.report_node(vcluster=vcluster, state=state, version="0.1.0", details=told)

"""`pact status` of a whole vCluster: 1,000 nodes that enrolled and report as agents do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import median, program
from bench.report import Row, Section
from bench.serving import Serving, serving
from bench.system import BIN
from pactsh.auth.ca import new_agent_request, utc_now
from pactsh.auth.join import JoinTokens
from pactsh.model.entry import Author, Draft
from pactsh.rpc.client import Journal

TITLE = "pact status --vcluster of 1,000 nodes, start of the program included"
NODES, VCLUSTER = 1000, "ml-training"
TARGET_MS = 300.0
_AT_ONCE = 16

Member = tuple[str, bytes, bytes]
"""A node, its key and its certificate (PEM)."""


def measure(directory: Path, rounds: int) -> Section:
    """Medians of programs run one after the other, while every node counts as present."""
    with serving(directory / "fleet") as journal:
        members = asyncio.run(enrolled(journal, NODES))
        asyncio.run(report(journal, members))
        environ = journal.environ()
        pact = str(BIN / "pact")
        cases = {
            "pact --version": program((pact, "--version"), environ),
            "pact status --vcluster": program((pact, "status", "--vcluster", VCLUSTER), environ),
        }
        samples: dict[str, list[float]] = {name: [] for name in cases}
        reported = time.monotonic()
        for number in range(rounds + 1):
            if time.monotonic() - reported > 10:
                asyncio.run(report(journal, members))
                reported = time.monotonic()
            for name, case in cases.items():
                seconds = case()
                if number:  # the first one fills caches
                    samples[name].append(seconds)
    rows = [
        Row(name, median(found) * 1e3, "ms", limit=TARGET_MS if "status" in name else None, samples=len(found))
        for name, found in samples.items()
    ]
    size = len(details(0))
    return Section(TITLE, rows, [f"each node's last report is {size:,} bytes of JSON, most of it what it has"])


async def enrolled(journal: Serving, count: int) -> list[Member]:
    """So many nodes, enrolled with join tokens."""
    tokens = JoinTokens(journal.data / "join", clock=utc_now)
    async with Journal(journal.endpoint, ca=journal.authority.ca_pem) as nobody:

        async def enrol(node: str) -> Member:
            key, request = new_agent_request(node)
            done = await nobody.enroll_agent(node, tokens.create(node, VCLUSTER), request, vcluster=VCLUSTER)
            return node, key, done.certificate_pem

        names = [f"node{number:04}" for number in range(count)]
        return [member for start in range(0, count, 64) for member in await _all(enrol, names[start : start + 64])]


async def _all(enrol: object, names: Sequence[str]) -> list[Member]:
    return list(await asyncio.gather(*(enrol(name) for name in names)))  # type: ignore[operator]


async def report(journal: Serving, members: Sequence[Member], addresses: Sequence[str] = ()) -> None:
    """Each node starts and reports over a connection of its own, so many at once; `addresses` are of SSH servers."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, member: Member) -> None:
        node, key, certificate = member
        address = addresses[number] if addresses else f"10.0.0.1:{2000 + number}"
        async with turns, Journal(journal.agents, ca=journal.authority.ca_pem, cert=certificate, key=key) as agent:
            start = Draft(
                client=f"agent:{node}:bench",
                number=1,
                time="2026-01-31T12:00:00.000000Z",
                type="agent.start",
                scope=f"node:{node}",
                author=Author(f"agent:{node}", (), "agent"),
                body={"vcluster": VCLUSTER, "version": "0.1.0", "ssh_address": address},
            )
            await agent.append([start])  # the same each time: the journal keeps it once
            state = "DRIFTED" if number % 50 == 7 else "COMMITTED"
            await agent.report_node(
                vcluster=VCLUSTER,
                ssh_address=address,
                state=state,
                version="0.1.0",
                details=details(number),
            )

    async with asyncio.TaskGroup() as group:
        for number, member in enumerate(members):
            group.create_task(one(number, member))


def details(number: int) -> bytes:
    """What an agent tells of a large node: what `pact status` shows, and its capabilities."""
    drifted = number % 50 == 7
    flags = [f"flag{index}" for index in range(120)]
    cap = {
        "node": f"node{number:04}",
        "cpu": {"model": "AMD EPYC 7A53 64-Core Processor", "count": 128, "sockets": 1, "flags": flags},
        "memory_bytes": 549755813888,
        "network": [{"name": f"hsn{index}", "state": "up", "driver": "cxi", "speed": 200000} for index in range(4)],
        "storage": [{"name": f"nvme{index}n1", "size_bytes": 3840755982336} for index in range(4)],
        "gpus": [
            {"index": index, "name": "NVIDIA A100-SXM4-80GB", "uuid": f"GPU-{index:032}", "health": "healthy"}
            for index in range(8)
        ],
        "containment": "landlock 4, seccomp, 60 secrets masked, control groups, best-effort",
        "versions": {"pact": "0.1.0", "kernel": "5.14.21-150500.55.65", "python": "3.11.2"},
    }
    return json.dumps(
        {
            "drift": 2 if drifted else 0,
            "window_s": 600.0 if drifted else None,
            "overlay": {"version": 0, "failing": None},
            "deltas": {"changes": 1 if number % 10 == 3 else 0, "expires": None},
            "degraded": False,
            "emergency": number in (11, 222, 333),
            "containment": cap["containment"],
            "missing": [],
            "cap": cap,
        }
    ).encode()

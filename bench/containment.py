"""What the whitelist costs: matching a line against the catalog, and the kernel's bounds on a process."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from pact_agent import kernel
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import NULL, Job, Spawner, StageSpec

from bench.measure import Case, interleave, median, program, quantile
from bench.report import Row, Section
from pactsh.catalog import load_catalog
from pactsh.model.identity import Identity
from pactsh.policy.decision import Request, StageRequest, decide
from pactsh.policy.model import Policy

TITLE = "The whitelist: matching a line, and containing its process"
BARE = "fork, exec, wait of /bin/true"
FREE = "job of /bin/true, not contained"
BOUND = "job of /bin/true, contained as class read"
ADDED_LIMIT_MS, MATCH_LIMIT_US = 2.0, 100.0
LINES = (
    "ls -la /var/log",
    "grep -i error /var/log/syslog",
    "ps aux --sort=-pcpu",
    "ip -br addr show dev eth0",
    "journalctl -u sshd --since today -n 50",
    "systemctl restart chronyd",
    "find /var/log -name '*.gz' -mtime +7 -size +10M",
    "nvidia-smi --query-gpu=name,memory.used --format=csv",
    "rm -rf /",
)
_ROUND = 50


def measure(directory: Path, rounds: int) -> Section:
    """`rounds` jobs each way, interleaved, and as many decisions for each of `LINES`."""
    rows = [*_jobs(directory, rounds), *_decisions(rounds)]
    note = "added: median of the contained job less that of the other, which takes the same way through the spawner"
    return Section(TITLE, rows, [note])


def _jobs(directory: Path, rounds: int) -> list[Row]:
    scratch = directory / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch)
    loop = asyncio.new_event_loop()
    free = Plan(caps=kernel.CAPABILITIES, confined=False, masked=False, free=True, changing=True, signals=True)
    try:
        loop.run_until_complete(spawner.start())
        environ = {"PATH": "/usr/bin:/bin"}
        cases: dict[str, Case] = {
            BARE: program(("/bin/true",), environ),
            FREE: _job(loop, spawner, free),
            BOUND: _job(loop, spawner, Plan()),
        }
        samples = interleave(cases, rounds, warm_up=20)
    finally:
        loop.call_soon(spawner.close)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        os.waitpid(spawner.pid, 0)
    rows = [
        Row(f"{name}, p{q * 100:.0f}", quantile(found, q) * 1e3, "ms", samples=rounds)
        for name, found in samples.items()
        for q in (0.5, 0.99)
    ]
    added = (median(samples[BOUND]) - median(samples[FREE])) * 1e3
    return [*rows, Row("containment: added, p50", added, "ms", limit=ADDED_LIMIT_MS, samples=rounds)]


def _job(loop: asyncio.AbstractEventLoop, spawner: Spawner, plan: Plan) -> Case:
    stage = StageSpec("/bin/true", ("true",), {"PATH": "/usr/bin:/bin"}, "/", plan, (NULL, NULL, NULL))

    async def once() -> None:
        running = await spawner.spawn(Job((stage,), ()))
        ended = await running.wait()
        assert ended.statuses == (0,), ended

    def run() -> float:
        started = time.perf_counter()
        loop.run_until_complete(once())
        seconds = time.perf_counter() - started
        time.sleep(0.005)  # the next child gets ready meanwhile, as between two lines that somebody types
        return seconds

    return run


def _decisions(rounds: int) -> list[Row]:
    catalog, policy = load_catalog(), Policy("ml")
    person = Identity("olga@org", ("pact-ops-ml",), "human", "uid")

    def deciding(line: str) -> Callable[[], float]:
        argv = tuple(shlex.split(line))
        request = Request(line, (StageRequest(argv, tuple((0, 1) for _ in argv)),), "shell")

        def run() -> float:
            started = time.perf_counter()
            for _ in range(_ROUND):
                decide(request, person, policy, catalog)
            return (time.perf_counter() - started) / _ROUND

        return run

    samples = interleave({line: deciding(line) for line in LINES}, max(20, rounds // 10))
    return [
        Row(f"deciding: {line}", median(found) * 1e6, "us", limit=MATCH_LIMIT_US, samples=len(found) * _ROUND)
        for line, found in samples.items()
    ]

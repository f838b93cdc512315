"""What a decision of the site's own policy costs: the embedded engine, and OPA's server where it is at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench.measure import median
from bench.report import Row, Section
from pactsh.errors import PolicyError
from pactsh.policy.rego import Embedded, Engine, Opa

TITLE = "Rego: one decision, with both examples of the documentation in force"
LIMIT_MS = 2.0
_EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
_QUESTION = {
    "action": "shell",
    "identity": {"principal": "alice@org", "kind": "human", "role": "pact-ops-ml-training", "roles": []},
    "scope": {"vcluster": "ml-training", "node": "node042"},
    "command": {
        "line": "systemctl restart x", "class": "change", "dimension": "services",
        "stages": [{"name": "systemctl", "argv": ["systemctl", "restart", "x"], "class": "change"}],
    },
    "time_ns": 1_769_896_800_000_000_000,
}  # fmt: skip


def measure(directory: Path, decisions: int) -> Section:
    """So many decisions of each engine, one after the other, in turns."""
    modules = directory / "modules"
    modules.mkdir()
    for path in _EXAMPLES.glob("*.rego"):
        shutil.copy(path, modules)
    return asyncio.run(_measure(modules, decisions))


async def _measure(modules: Path, decisions: int) -> Section:
    samples: dict[str, list[float]] = {}
    async with contextlib.AsyncExitStack() as ends:
        engines: dict[str, Engine] = {"embedded": await ends.enter_async_context(_started(Embedded(modules)))}
        if (opa := os.environ.get("PACT_TEST_OPA") or shutil.which("opa")) is not None:
            engines["OPA's server"] = await ends.enter_async_context(_served(opa, modules))
        for _ in range(decisions):
            for name, engine in engines.items():
                began = time.perf_counter()
                await engine.evaluate(dict(_QUESTION))  # type: ignore[arg-type]
                samples.setdefault(name, []).append(time.perf_counter() - began)
    rows = []
    for name, times in samples.items():
        late = sorted(times)[int(len(times) * 0.99)]
        limit = LIMIT_MS if name == "embedded" else None
        rows += [
            Row(f"{name}, p50", median(times) * 1e3, "ms", limit=limit, samples=len(times)),
            Row(f"{name}, p99", late * 1e3, "ms", samples=len(times)),
        ]
    return Section(TITLE, tuple(rows))


@contextlib.asynccontextmanager
async def _started(engine: Engine) -> AsyncIterator[Engine]:
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def _served(opa: str, modules: Path) -> AsyncIterator[Engine]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen(
        [opa, "run", "--server", "--disable-telemetry", "--log-level", "error", "--addr", address, str(modules)]
    )
    try:
        async with _started(Opa(f"http://{address}")) as engine, asyncio.timeout(30):
            while True:
                try:
                    await engine.evaluate(dict(_QUESTION))  # type: ignore[arg-type]
                    break
                except PolicyError:
                    await asyncio.sleep(0.1)
            yield engine
    finally:
        server.kill()
        server.wait()

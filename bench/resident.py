"""What the agent costs when nothing happens: memory, and processor time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from bench.measure import CaseError
from bench.report import Row, Section
from bench.system import NODE, System

TITLE = "The agent at rest"
RSS_LIMIT_MB = 64
IDLE_LIMIT_PERCENT = 0.5
SETTLE_S = 3.0


def measure(system: System, seconds: float) -> Section:
    """Memory now, then processor time over `seconds`, of the agent and every process below it."""
    agent = agent_pid(system.directory)
    time.sleep(SETTLE_S)  # what came before may still be on its way to the journal
    before, since = processor_s(tree(agent)), time.monotonic()
    time.sleep(seconds)
    pids = tree(agent)
    used_s = processor_s(pids) - before
    idle = 100 * used_s / (time.monotonic() - since)
    rss, pss = _field(agent, "status", "VmRSS"), sum(_field(pid, "smaps_rollup", "Pss") for pid in pids)
    rows = [
        Row("resident memory, agent", rss / 1024, "MB", limit=RSS_LIMIT_MB),
        Row(f"proportional memory, agent and all below ({len(pids)} processes)", pss / 1024, "MB"),
        Row("highest resident memory so far, agent", _field(agent, "status", "VmHWM") / 1024, "MB"),
        Row(f"processor time over {seconds:.0f} s, all processes", idle, "%", limit=IDLE_LIMIT_PERCENT),
    ]
    names = ", ".join(f"{_name(pid)} {_field(pid, 'smaps_rollup', 'Pss') / 1024:.1f}" for pid in pids)
    return Section(TITLE, rows, [f"proportional memory in MB: {names}"])


def agent_pid(directory: Path) -> int:
    """The process of the node's agent, from the dev system's state file."""
    processes = json.loads((directory / "state.json").read_text())["processes"]
    found = processes.get(f"agent {NODE}") or {}
    pid = found.get("pid")
    if not isinstance(pid, int) or not Path(f"/proc/{pid}").exists():
        raise CaseError(f"no process of the agent in {directory}/state.json: {processes}")
    return pid


def tree(root: int) -> list[int]:
    """`root` and all processes below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def processor_s(pids: Iterable[int]) -> float:
    """User and system time of the processes, and of the children they have waited for, in seconds."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # a command that has ended: its parent has its time
        total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def _field(pid: int, file: str, name: str) -> int:
    """A `Name:  N kB` line of a file in /proc, in kB."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise CaseError(f"/proc/{pid}/{file}: no {name}")


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()

"""What a node has: processors, memory, links, disks, containment, versions (the item of `pact cap`)."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from pact_agent.facts import NodeFacts
from pactsh import __version__

_REPORTED = ("drift", "window_s", "overlay", "deltas", "degraded", "emergency", "containment", "missing")

Fact = dict[str, object]


def capabilities(facts: NodeFacts) -> Fact:
    """Read from /proc and /sys now; what this version doesn't look at (GPUs) is None."""
    return {
        "node": facts.node,
        "cpu": _cpu(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "network": _links(),
        "storage": _disks(),
        "gpus": None,
        "containment": facts.containment(),
        "enforces": facts.enforcement(),
        "versions": {"pact": __version__, "kernel": platform.release(), "python": platform.python_version()},
    }


def _cpu() -> Fact:
    model = ""
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        if line.startswith(("model name", "Model")):
            model = line.partition(":")[2].strip()
            break
    return {"model": model or platform.machine(), "count": os.cpu_count() or 0}


def _links() -> list[Fact]:
    found = sorted(Path("/sys/class/net").glob("*"))
    return [{"name": p.name, "state": _text(p / "operstate").strip() or "unknown"} for p in found]


def _disks() -> list[Fact]:
    """Block devices that are disks; sizes are in 512-byte sectors there (Documentation/ABI/stable/sysfs-block)."""
    disks: list[Fact] = []
    for path in sorted(Path("/sys/block").glob("*")):
        sectors = _text(path / "size").strip()
        if sectors.isdigit() and int(sectors) and not path.name.startswith(("loop", "ram", "zram")):
            disks.append({"name": path.name, "size_bytes": int(sectors) * 512})
    return disks


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def reported(facts: NodeFacts) -> bytes:
    """What `pact status` and `pact cap` show of this node elsewhere (JSON)."""
    known = facts.status()
    return json.dumps({name: known[name] for name in _REPORTED} | {"cap": capabilities(facts)}).encode()

"""What a node has, against what the machine itself says."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from pact_agent.capability import capabilities

from tests.pact_agent.recording import facts_of, recording


def test_it_is_this_machine(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        found = json.loads(json.dumps(capabilities(facts_of(node))))
    assert found["node"] == "node042"
    assert found["cpu"]["count"] == os.cpu_count()
    assert found["cpu"]["model"]
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    # MemTotal leaves out what the kernel took at boot.
    assert 0.8 <= int(total.split()[1]) * 1024 / found["memory_bytes"] <= 1.0
    assert [link["name"] for link in found["network"]] == sorted(os.listdir("/sys/class/net"))
    assert all(link["state"] for link in found["network"])
    assert {disk["name"] for disk in found["storage"]} <= set(os.listdir("/sys/block"))
    assert all(disk["size_bytes"] > 0 for disk in found["storage"])
    assert found["versions"]["kernel"] == platform.release()
    assert found["gpus"] is None  # not looked at, which is not the same as none

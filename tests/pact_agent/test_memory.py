"""Giving memory back: it must shrink the process and break nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.pact_agent.localnode import LocalNode

PROGRAM = """
import pact_agent.agent
from pact_agent import memory
def resident_kb():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
memory.use_one_arena()
before = resident_kb()
memory.release_startup()
after = resident_kb()
# The libraries whose pages were dropped must still work.
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
key = Ed25519PrivateKey.generate()
key.public_key().verify(key.sign(b"x"), b"x")
print(before, after)
"""


def test_what_the_start_needed_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after < before - 4096


def test_an_agent_that_has_worked_stays_within_its_budget(node: LocalNode) -> None:
    """DESIGN.md section 8: under 64 MB resident."""
    for _ in range(3):
        assert node.line("ls -la /usr/bin | wc -l").returncode == 0
    assert _resident_kb(node) < 64_000


@pytest.mark.e2e
def test_globs_over_whole_trees_are_given_back(make_node: Callable[..., LocalNode]) -> None:
    node = make_node()
    with ThreadPoolExecutor(8) as pool:
        for done in pool.map(node.line, ["echo /*/*/*/*/*/*/*"] * 8):
            assert done.returncode in {1, 6}  # too many names, or it took too long
    deadline = time.monotonic() + 60
    while _resident_kb(node) >= 64_000 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert _resident_kb(node) < 64_000


def _resident_kb(node: LocalNode) -> int:
    with open(f"/proc/{node.pid}/status", encoding="ascii") as status:
        resident = re.search(r"VmRSS:\s+(\d+) kB", status.read())
    assert resident is not None
    return int(resident[1])

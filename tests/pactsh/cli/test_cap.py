"""`pact cap` on a real agent, and how capabilities read."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from pactsh.cli.cap import Cpu, Disk, Enforces, Gpu, Link, Result, render, size_text
from pactsh.cli.render import Out
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


def shown(result: Result) -> list[str]:
    stream = io.StringIO()
    render(result, Out(stream, colour=False))
    return stream.getvalue().splitlines()


def test_on_a_node(tmp_path: Path, node: LocalNode) -> None:
    env = {"PACT_AGENT_SOCKET": str(node.socket)}
    done = run_pact(tmp_path, "cap", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.partition(":")[0] for line in done.stdout.splitlines() if not line.startswith("  ")]
    assert names == ["GPUs", "CPU", "Memory", "Network", "Storage", "Containment", "Versions"]
    assert done.stdout.splitlines()[1].startswith(f"CPU: {os.cpu_count()}x ")
    told = json.loads(run_pact(tmp_path, "cap", "--output", "json", env=env).stdout)
    assert (told["node"], told["gpus"]) == ("node042", None)
    assert told["memory_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_node_that_reported_nothing(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "cap", "node042", env=seeded.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pact: cap: node042: it has reported no capabilities\n")


def test_gpus_are_grouped_by_model_and_health() -> None:
    gpus = (*[Gpu("A100", "healthy")] * 3, Gpu("A100", "DEGRADED - ECC errors"))
    assert shown(Result("n", gpus=gpus))[0] == "GPUs: 3x A100 (healthy), 1x A100 (DEGRADED - ECC errors)"
    assert shown(Result("n", gpus=()))[0] == "GPUs: none"


def test_what_is_not_known_is_said_so() -> None:
    assert shown(Result("n"))[:3] == ["GPUs: unknown", "CPU: unknown", "Memory: unknown"]


def test_all_of_it() -> None:
    result = Result(
        "n",
        cpu=Cpu(None, 8),
        memory_bytes=64 << 30,
        network=(Link("eth0", "up"), Link("lo", "unknown")),
        storage=(Disk("sda", 256 << 30),),
        gpus=(),
        containment="landlock 4",
        versions={"pact": "1", "kernel": "6"},
    )
    assert shown(result)[1:] == [
        "CPU: 8x unknown model",
        "Memory: 64.0 GiB",
        "Network: eth0 (up), lo (unknown)",
        "Storage: sda 256.0 GiB",
        "Containment: landlock 4",
        "Versions: pact 1, kernel 6",
    ]


@pytest.mark.parametrize(
    ("abi", "covers", "missing", "lines"),
    [
        (7, ("files", "TCP ports"), (), ["  Landlock ABI 7: files, TCP ports"]),
        (1, ("files",), ("TCP ports",), ["  Landlock ABI 1: files", "  not in this kernel: TCP ports"]),
        (0, (), ("files",), ["  Landlock ABI 0: not in this kernel"]),
    ],
)
def test_what_the_kernel_enforces_is_told_down_to_the_abi(
    abi: int, covers: tuple[str, ...], missing: tuple[str, ...], lines: list[str]
) -> None:
    enforces = Enforces(abi, covers, missing, True, 12, True, True, True, True)
    found = shown(Result("n", containment="landlock", enforces=enforces))
    assert found[found.index("Containment: landlock") + 1 : -1] == lines


def test_sizes() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 5 << 40, 3 << 50)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 TiB",
        "3.0 PiB",
    ]

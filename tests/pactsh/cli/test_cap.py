"""`pact cap` on a real agent, and how capabilities read."""

from __future__ import annotations

import io
import json
import os
import stat
import time
from pathlib import Path

import msgspec
import pytest

from pactsh.cli.cap import parse_capabilities, render
from pactsh.cli.render import Out
from pactsh.errors import PactError
from pactsh.model.capability import (
    Capabilities,
    Cpu,
    CpuNode,
    Disk,
    Ecc,
    Enforces,
    Gpu,
    HugePages,
    InfinibandPort,
    Link,
    Manifest,
    Memory,
    MemoryModule,
    MigInstance,
    MountPoint,
    Network,
    Slingshot,
    Storage,
    System,
)
from pactsh.model.capwords import health_text, size_text
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


def shown(result: Capabilities) -> list[str]:
    stream = io.StringIO()
    render(result, Out(stream, colour=False))
    return stream.getvalue().splitlines()


def test_on_a_node(tmp_path: Path, node: LocalNode) -> None:
    env = {"PACT_AGENT_SOCKET": str(node.socket)}
    done = run_pact(tmp_path, "cap", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.partition(":")[0] for line in done.stdout.splitlines() if not line.startswith("  ")]
    assert names == ["GPUs", "CPU", "Memory", "Network", "Storage", "Containment", "Versions"]
    told = json.loads(run_pact(tmp_path, "cap", "--output", "json", env=env).stdout)
    assert json.loads(msgspec.json.encode(parse_capabilities(told))) == told  # nothing but what the types describe
    assert (told["node"], told["cpu"]["threads"]) == ("node042", os.sysconf("SC_NPROCESSORS_ONLN"))


def test_the_manifest_beside_the_socket_is_for_everybody(node: LocalNode) -> None:
    path = node.socket.with_name("capabilities.json")
    deadline = time.monotonic() + 30
    while not path.exists():  # it is written beside the work, soon after the start
        assert time.monotonic() < deadline
        time.sleep(0.02)
    written = msgspec.json.decode(path.read_bytes(), type=Manifest)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert written.capabilities.node == "node042"
    assert written.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_node_that_reported_nothing(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "cap", "node042", env=seeded.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pact: cap: node042: it has reported no capabilities\n")


@pytest.mark.parametrize("item", [{"node": "n", "cpu": 7}, {}, {"node": "n", "storage": [{"name": "sda"}]}])
def test_what_cannot_be_read_is_an_error_that_says_so(item: object) -> None:
    with pytest.raises(PactError, match="cap: what the node says can't be read: "):
        parse_capabilities(item)


A100 = "NVIDIA A100-SXM4-80GB"


def test_gpus_are_grouped_by_name_and_health() -> None:
    worse = Gpu(3, "nvidia", "NVIDIA A100", "DEGRADED (ECC uncorrectable: 12)")
    gpus = (*[Gpu(n, "nvidia", "NVIDIA A100", "healthy") for n in range(3)], worse)
    assert shown(Capabilities("n", gpus=gpus))[0] == "GPUs: 3x A100 (healthy), 1x A100 (DEGRADED - ECC errors)"
    assert shown(Capabilities("n", gpus=()))[0] == "GPUs: none"
    nobody = Gpu(None, "nvidia", None, "unknown (no driver)", pci="0000:3b:00.0")
    assert shown(Capabilities("n", gpus=(nobody, nobody)))[:2] == [
        "GPUs: 2x nvidia GPU (unknown - no driver)",
        "  -  nvidia GPU  0000:3b:00.0  unknown (no driver)",
    ]


@pytest.mark.parametrize(
    ("health", "text"),
    [
        ("healthy", "healthy"),
        ("DEGRADED (lost)", "DEGRADED - lost"),
        ("DEGRADED (ECC uncorrectable: 1; row remapping failed)", "DEGRADED - ECC errors, row remapping failed"),
        ("unknown (the driver does not answer)", "unknown - the driver does not answer"),
        (
            "DEGRADED (RAS uncorrectable in gfx: 4; XID 48; XID 79)",
            "DEGRADED - RAS uncorrectable in gfx, XID 48, XID 79",
        ),
    ],
)
def test_a_group_has_no_counts_by_which_none_would_be_like_another(health: str, text: str) -> None:
    assert health_text(health) == text


def test_what_is_not_known_is_said_so() -> None:
    assert shown(Capabilities("n")) == [
        *("GPUs: unknown", "CPU: unknown", "Memory: unknown", "Network: unknown", "Storage: unknown"),
        *("Containment: unknown", "Versions: unknown"),
    ]
    nothing = Capabilities(
        "n",
        gpus=(),
        cpu=Cpu("riscv64", None, None, None, None, None),
        memory=Memory(None, None, None, None),
        network=Network(None, None, None),
        storage=Storage(None, None, None),
        system=System(None, None, None, None, None, None),
    )
    assert shown(nothing)[:5] == [
        *("GPUs: none", "CPU: unknown model, riscv64", "Memory: unknown", "Network: unknown", "Storage: unknown"),
    ]
    empty = Capabilities("n", network=Network((), (), ()), storage=Storage(True, (), ()))
    assert shown(empty)[3:5] == ["Network: none", "Storage: no disks, diskless"]


def test_all_of_it() -> None:
    ecc = Ecc(True, True, 7, 12)
    slices = (MigInstance("MIG-1", "NVIDIA A100 MIG 3g.40gb", 40 << 30),)
    degraded = "DEGRADED (ECC uncorrectable: 12)"
    result = Capabilities(
        "n",
        gpus=(
            Gpu(0, "nvidia", A100, "healthy", "GPU-1", 80 << 30, "550", "12.4", True, slices, Ecc(False), 34,
                "0000:3b:00.0", 0),
            Gpu(1, "nvidia", A100, degraded, "GPU-2", 80 << 30, "550", "12.4", False, (), ecc, 101, "0000:d8:00.0",
                1),
        ),
        cpu=Cpu("x86_64", "AMD EPYC 7763", 2, 128, 256, (CpuNode(0, "0-63,128-191", 256 << 30), CpuNode(1, "", None)),
                1500, 3529, ("fpu",)),
        memory=Memory(
            512 << 30,
            "DDR4",
            (HugePages(2 << 20, 1024, 512), HugePages(1 << 30, 0, 0)),
            tuple(MemoryModule(f"D{n}", 32 << 30, "DDR4", 3200, None) for n in range(16)),
        ),
        network=Network(
            (
                Link("eth0", "ethernet", "up", "mlx5", 25000, "b8:3f:d2:00:01", 9000, "0000:41:00.0", 1),
                Link("hsn0", "ethernet", "down"),
                Link("lo", "loopback", "unknown"),
                Link("veth1", "virtual", "up"),
            ),
            (InfinibandPort("mlx5_0", 1, "ACTIVE", "LinkUp", "100 Gb/sec (4X EDR)", "InfiniBand", "20.35", "mlx5"),),
            (Slingshot("cxi0", "hsn0", 0x2A1, "down", "BS_200G", "optical", driver="cxi_ss1", pci="0000:21:00.0"),),
        ),
        storage=Storage(
            False,
            (Disk("nvme0n1", 1 << 40, False, "SAMSUNG MZ", "nvme", 2), Disk("sda", 256 << 30, True)),
            (
                MountPoint("/", "xfs", "/dev/nvme0n1p2", "local", 900 << 30),
                MountPoint("/home", "nfs4", "server:/home", "network", None, False),
            ),
        ),
        system=System("6.1", "ro " * 60, "2026-01-31T12:00:00.000000Z", "Rocky Linux 9.5", "rocky", "9.5", "HPE",
                      "EX425", "1.7"),
        containment="landlock 4",
        versions={"pact": "1", "kernel": "6"},
        left_out=("cpu.flags",),
    )  # fmt: skip
    assert shown(result) == [
        "GPUs: 1x A100-SXM4-80GB (healthy), 1x A100-SXM4-80GB (DEGRADED - ECC errors)",
        "  0  A100-SXM4-80GB  80.0 GiB  0000:3b:00.0  NUMA 0  ECC off  MIG  34 C   driver 550, CUDA 12.4  healthy",
        f"  1  A100-SXM4-80GB  80.0 GiB  0000:d8:00.0  NUMA 1  ECC on        101 C  driver 550, CUDA 12.4  {degraded}",
        "  of 0:  A100 MIG 3g.40gb  40.0 GiB  MIG-1",
        "CPU: 2x AMD EPYC 7763, 128 cores, 256 threads, x86_64, 1500 MHz to 3529 MHz",
        "  NUMA 0  CPUs 0-63,128-191  256.0 GiB",
        "  NUMA 1  CPUs none",
        "Memory: 512.0 GiB, DDR4, modules 16x 32.0 GiB at 3200 MT/s",
        "  huge pages of 2.0 MiB  1024  512 free",
        "Network: eth0 (up), hsn0 (down), 1 virtual",
        "  eth0      up      25 Gbit/s            ethernet    mlx5     0000:41:00.0  NUMA 1  MTU 9000, b8:3f:d2:00:01",
        "  hsn0      down                         ethernet",
        "  mlx5_0/1  ACTIVE  100 Gb/sec (4X EDR)  InfiniBand  mlx5                           LinkUp, firmware 20.35",
        "  cxi0      down    BS_200G              slingshot   cxi_ss1  0000:21:00.0          hsn0, nid 0x2a1, optical",
        "Storage: nvme0n1 1.0 TiB, sda 256.0 GiB",
        "  nvme0n1  1.0 TiB    nvme  solid     SAMSUNG MZ  2 partitions",
        "  sda      256.0 GiB        rotating",
        "  /      xfs   900.0 GiB  local    /dev/nvme0n1p2",
        "  /home  nfs4             network  server:/home    DOES NOT ANSWER",
        "Containment: landlock 4",
        "Versions: pact 1, kernel 6",
        "  system        Rocky Linux 9.5",
        "  machine       HPE EX425 firmware 1.7",
        "  booted        2026-01-31T12:00:00Z",
        f"  command line  {('ro ' * 60)[:100]}... (180 characters)",
        "Left out of the node's report: cpu.flags (on the node itself, pact cap has it)",
    ]  # fmt: skip


def test_what_is_ill_stands_out_in_colour() -> None:
    for health, begins in (("healthy", "GPUs: "), ("DEGRADED (lost)", "\x1b[31;1mGPUs: ")):
        stream = io.StringIO()
        render(Capabilities("n", gpus=(Gpu(0, "nvidia", "A100", health),)), Out(stream, colour=True))
        assert stream.getvalue().startswith(begins)


def test_names_that_hardware_has_do_not_move_the_cursor() -> None:
    lines = shown(Capabilities("n", gpus=(Gpu(0, "nvidia", "A\x1b[2J\nB", "healthy"),)))
    assert lines[1] == "  0  A\\x1b[2J\\nB  healthy"
    assert "\x1b" not in "".join(lines)


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
    found = shown(Capabilities("n", containment="landlock", enforces=enforces))
    assert found[found.index("Containment: landlock") + 1 : -1] == lines


def test_sizes() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 5 << 40, 3 << 50)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 TiB",
        "3.0 PiB",
    ]

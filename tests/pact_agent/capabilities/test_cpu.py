"""Processors as the kernel tells of them on several architectures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pact_agent.capabilities.cpu import cpu
from pact_agent.capabilities.smbios import parse_structures

from pactsh.model.capability import CpuNode
from tests.pact_agent.capabilities.tree import lay, structure

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC 7763 64-Core Processor
flags\t\t: fpu sse2 avx2
bugs\t\t: sysret_ss_attrs

processor\t: 1
model name\t: another
"""
ALTRA = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2300.000000MHz\n\n"


def machine(root: Path, sockets: int, cores: int, threads: int) -> Path:
    """Processors numbered as Linux does on x86: all first threads, then all second ones."""
    every = sockets * cores
    files = {"sys/devices/system/cpu/online": f"0-{every * threads - 1}\n"}
    for number in range(every * threads):
        core = number % every
        siblings = ",".join(str(core + every * n) for n in range(threads))
        at = f"sys/devices/system/cpu/cpu{number}/topology"
        files |= {f"{at}/physical_package_id": f"{core // cores}\n", f"{at}/core_cpus_list": f"{siblings}\n"}
    for node in range(sockets):
        at = f"sys/devices/system/node/node{node}"
        files[f"{at}/cpulist"] = f"{node * cores}-{node * cores + cores - 1}\n"
        files[f"{at}/meminfo"] = f"\nNode {node} MemTotal:       1024 kB\nNode {node} MemFree:  1 kB\n"
    return lay(root, files)


def test_a_server_with_two_sockets(tmp_path: Path) -> None:
    machine(tmp_path, sockets=2, cores=4, threads=2)
    lay(tmp_path, {"proc/cpuinfo": EPYC})
    for number, (lowest, highest) in enumerate([(1500000, 3500000), (1400000, 3529000)]):
        at = f"sys/devices/system/cpu/cpufreq/policy{number}"
        lay(tmp_path, {f"{at}/cpuinfo_min_freq": f"{lowest}\n", f"{at}/cpuinfo_max_freq": f"{highest}\n"})
    found = cpu(tmp_path, None)
    assert (found.model, found.flags) == ("AMD EPYC 7763 64-Core Processor", ("fpu", "sse2", "avx2"))
    assert (found.sockets, found.cores, found.threads) == (2, 8, 16)
    assert (found.min_mhz, found.max_mhz) == (1400, 3529)
    assert found.numa == (CpuNode(0, "0-3", 1 << 20), CpuNode(1, "4-7", 1 << 20))


def test_a_node_of_memory_alone_has_no_processors(tmp_path: Path) -> None:
    at = "sys/devices/system/node/node2"
    lay(tmp_path, {f"{at}/cpulist": "\n", f"{at}/meminfo": "Node 2 MemTotal: 8 kB\n", f"{at}/../possible": "0-2\n"})
    assert cpu(tmp_path, None).numa == (CpuNode(2, "", 8192),)


def test_what_arm_servers_are_called_the_firmware_knows(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/cpuinfo": ALTRA})
    firmware = parse_structures(structure(4, 4, {0x10: ("B", 2)}, 0x30, "CPU 1", "Ampere(R) Altra(R) Processor"))
    found = cpu(tmp_path, firmware)
    assert (found.model, found.flags) == ("Ampere(R) Altra(R) Processor", ("fp", "asimd", "sve"))
    assert cpu(tmp_path, None).model is None


def test_power(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/cpuinfo": POWER})
    assert (cpu(tmp_path, None).model, cpu(tmp_path, None).flags) == ("POWER9, altivec supported", None)


@pytest.mark.parametrize("online", ["", "damaged", "0-", "99999999999-", "0-999999999"])
def test_what_is_damaged_is_not_known(tmp_path: Path, online: str) -> None:
    lay(tmp_path, {"proc/cpuinfo": b"\xff\xfe\0", "sys/devices/system/cpu/online": online})
    found = cpu(tmp_path, None)
    assert (found.model, found.sockets, found.cores, found.threads, found.flags) == (None,) * 5
    assert cpu(tmp_path / "nowhere", None).numa is None


def test_of_a_socket_that_has_no_number_none_is_counted(tmp_path: Path) -> None:
    machine(tmp_path, sockets=1, cores=2, threads=1)
    lay(tmp_path, {"sys/devices/system/cpu/cpu1/topology/physical_package_id": "-1\n"})
    assert (cpu(tmp_path, None).sockets, cpu(tmp_path, None).cores) == (None, 2)


def test_this_machine() -> None:
    found = cpu(Path("/"), None)
    assert found.architecture == os.uname().machine
    assert found.threads == os.sysconf("SC_NPROCESSORS_ONLN")

"""Processors, from /proc/cpuinfo and /sys/devices/system (Documentation/ABI/stable/sysfs-devices-system-cpu)."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from pact_agent.capabilities.smbios import Structure
from pact_agent.capabilities.tree import fields, names, read_number, read_text
from pactsh.model.capability import Cpu, CpuNode

_MODEL = ("model name", "cpu model", "cpu", "uarch")  # x86 and newer ARM, MIPS, POWER, RISC-V
_FLAGS = ("flags", "Features", "features", "isa")
_LIST = re.compile(r"\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*")
_MOST_THREADS, _MOST_STANZA = 1 << 16, 1 << 16
_PROCESSOR, _VERSION = 4, 0x10  # DSP0134, Processor Information


def cpu(root: Path, firmware: tuple[Structure, ...] | None) -> Cpu:
    """The processors; `firmware` knows what those of ARM servers are called, which tell the kernel only numbers."""
    stanza = fields(_first_stanza(root / "proc/cpuinfo"), ":")
    system = root / "sys/devices/system"
    online = numbers(read_text(system / "cpu/online"))
    sockets, cores = _topology(system / "cpu", online)
    limits = [_frequencies(system / "cpu/cpufreq" / name) for name in names(system / "cpu/cpufreq") or ()]
    lowest, highest = ([mhz for mhz in side if mhz] for side in zip(*limits, strict=True)) if limits else ([], [])
    flags = next((stanza[name] for name in _FLAGS if name in stanza), None)
    return Cpu(
        architecture=platform.machine(),
        model=next((stanza[name] for name in _MODEL if stanza.get(name)), None) or _called(firmware),
        sockets=sockets,
        cores=cores,
        threads=len(online) if online else None,
        numa=_numa(system / "node"),
        min_mhz=min(lowest, default=None),
        max_mhz=max(highest, default=None),
        flags=None if flags is None else tuple(flags.split()),
    )


def _first_stanza(path: Path) -> str:
    """What is said of the first processor. Of each the kernel may have to ask the processor itself."""
    data = b""
    try:
        with path.open("rb", buffering=0) as file:
            while len(data) < _MOST_STANZA and b"\n\n" not in data and (chunk := file.read(4096)):
                data += chunk
    except OSError:
        return ""
    return data.partition(b"\n\n")[0].decode("utf-8", "replace")


def _called(firmware: tuple[Structure, ...] | None) -> str | None:
    return next((name for s in firmware or () if s.type == _PROCESSOR and (name := s.string(_VERSION))), None)


def numbers(text: str | None) -> list[int]:
    """A list of processors as the kernel writes it; nothing for what is none.

    >>> numbers("0-2,8"), numbers("damaged")
    ([0, 1, 2, 8], [])
    """
    found: list[int] = []
    if text is None or not _LIST.fullmatch(text):
        return found
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) >= _MOST_THREADS:
            return []
        found += range(int(first), int(last or first) + 1)
    return found


def _topology(directory: Path, online: list[int]) -> tuple[int | None, int | None]:
    """How many sockets and cores these threads are on; None where the kernel doesn't say it of all."""
    sockets, cores = set(), set()
    for number in online:
        topology = directory / f"cpu{number}/topology"
        socket = read_number(topology / "physical_package_id")
        siblings = read_text(topology / "core_cpus_list") or read_text(topology / "thread_siblings_list")
        sockets.add(None if socket is None or socket < 0 else socket)
        cores.add(siblings)
    return (len(sockets) or None if None not in sockets else None), (len(cores) or None if None not in cores else None)


def _frequencies(policy: Path) -> tuple[int | None, int | None]:
    """The limits of the hardware, which are in kHz there, in MHz."""
    limits = (read_number(policy / f"cpuinfo_{end}_freq") for end in ("min", "max"))
    lowest, highest = (None if khz is None else khz // 1000 for khz in limits)
    return lowest, highest


def _numa(directory: Path) -> tuple[CpuNode, ...] | None:
    found = names(directory)
    if found is None:
        return None
    numbered = [name for name in found if re.fullmatch(r"node\d{1,6}", name)]
    return tuple(
        CpuNode(
            number=int(name.removeprefix("node")),
            cpus=read_text(directory / name / "cpulist") or ("" if (directory / name / "cpulist").exists() else None),
            memory_bytes=_memory(read_text(directory / name / "meminfo")),
        )
        for name in numbered
    )


def _memory(text: str | None) -> int | None:
    found = re.search(r"MemTotal:\s+(\d{1,12}) kB", text or "")
    return int(found[1]) * 1024 if found else None

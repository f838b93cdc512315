"""What a node has, in few words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from pactsh.model.capability import Capabilities, Gpu

HEALTHY = "healthy"


def size_text(size_bytes: int) -> str:
    """A size in binary units, one decimal.

    >>> size_text(512), size_text(68719476736)
    ('512 B', '64.0 GiB')
    """
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} PiB"


def health_text(health: str) -> str:
    """A GPU's health without its counts, by which none would be like another.

    >>> health_text("DEGRADED (ECC uncorrectable: 12; retired pages: 3; XID 79)")
    'DEGRADED - ECC errors, retired pages, XID 79'
    >>> health_text("healthy"), health_text("unknown (no driver)")
    ('healthy', 'unknown - no driver')
    """
    state, _, why = health.partition(" (")
    signs = (re.sub(r": \d+$", "", sign) for sign in why.removesuffix(")").split("; "))
    told = ", ".join("ECC errors" if sign == "ECC uncorrectable" else sign for sign in signs)
    return f"{state} - {told}" if told else state


def name_text(gpu: Gpu) -> str:
    """What a GPU is called, without its maker where that is in the name as well."""
    return (gpu.name or f"{gpu.vendor} GPU").removeprefix("NVIDIA ")


def gpu_line(gpus: Sequence[Gpu]) -> str:
    """The GPUs grouped by name and health."""
    groups = Counter((name_text(gpu), health_text(gpu.health)) for gpu in gpus)
    return ", ".join(f"{n}x {name} ({health})" for (name, health), n in groups.items()) or "none"


def summary(found: Capabilities) -> str:
    """GPUs, processors and memory in a line.

    >>> summary(Capabilities("n1", gpus=(Gpu(0, "NVIDIA", "NVIDIA A100", "healthy"),)))
    '1x A100 (healthy), ? CPUs, memory unknown'
    """
    gpus = "GPUs unknown" if found.gpus is None else gpu_line(found.gpus) if found.gpus else "no GPUs"
    threads = "?" if found.cpu is None else found.cpu.threads or "?"
    size = None if found.memory is None else found.memory.total_bytes
    return f"{gpus}, {threads} CPUs, {'memory unknown' if size is None else f'{size_text(size)} memory'}"

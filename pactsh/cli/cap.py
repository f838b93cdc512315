"""`pact cap`: what a node has: GPUs, CPU, memory, network, storage, containment, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODE
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import UsageError


@dataclass(frozen=True, slots=True)
class Args:
    """The node; None: this one."""

    node: str | None


class Cpu(msgspec.Struct, frozen=True):
    """Processors: what they call themselves and how many threads there are."""

    model: str | None
    count: int


class Link(msgspec.Struct, frozen=True):
    """A network interface."""

    name: str
    state: str


class Disk(msgspec.Struct, frozen=True):
    """A block device."""

    name: str
    size_bytes: int


class Gpu(msgspec.Struct, frozen=True):
    """A GPU; `health` is `healthy` or what is wrong."""

    model: str
    health: str


class Enforces(msgspec.Struct, frozen=True):
    """What the node's kernel enforces on commands; `masks` counts secrets, `landlock*` say what its ABI covers."""

    landlock_abi: int
    landlock: tuple[str, ...]
    landlock_missing: tuple[str, ...]
    seccomp: bool
    masks: int
    capabilities: bool
    control_groups: bool
    processes_bounded: bool
    required: bool


class Result(msgspec.Struct, frozen=True):
    """A node's capabilities; None: not known to this version."""

    node: str
    cpu: Cpu | None = None
    memory_bytes: int | None = None
    network: tuple[Link, ...] = ()
    storage: tuple[Disk, ...] = ()
    gpus: tuple[Gpu, ...] | None = None
    containment: str | None = None
    enforces: Enforces | None = None
    versions: dict[str, str] = {}


def run(ctx: Context, args: Args) -> Result:
    """Ask this node's agent, or the journal for what another node reported."""
    if ctx.node is not None:
        with ctx.agent() as agent:
            here = msgspec.convert(agent.ask("cap"), Result)
        if args.node in {None, here.node}:
            return here
    if args.node is None:
        raise UsageError("cap: not on a node: name a NODE")
    from pactsh.cli.remote import node_capabilities

    return msgspec.convert(node_capabilities(ctx, args.node), Result)


def gpu_line(gpus: Sequence[Gpu]) -> str:
    """The GPUs grouped by model and health.

    >>> gpu_line([Gpu("A100", "healthy")] * 3 + [Gpu("A100", "DEGRADED - ECC errors")])
    '3x A100 (healthy), 1x A100 (DEGRADED - ECC errors)'
    """
    groups = Counter((gpu.model, gpu.health) for gpu in gpus)
    return ", ".join(f"{n}x {model} ({health})" for (model, health), n in groups.items()) or "none"


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


def render(result: Result, out: Out) -> None:
    """A line a kind."""
    out.line(f"GPUs: {'unknown' if result.gpus is None else gpu_line(result.gpus)}")
    cpu = result.cpu
    model = (cpu and cpu.model) or "unknown model"
    out.line(f"CPU: {f'{cpu.count}x {model}' if cpu else 'unknown'}")
    out.line(f"Memory: {'unknown' if result.memory_bytes is None else size_text(result.memory_bytes)}")
    out.line(f"Network: {', '.join(f'{n.name} ({n.state})' for n in result.network) or 'none'}")
    out.line(f"Storage: {', '.join(f'{d.name} {size_text(d.size_bytes)}' for d in result.storage) or 'none'}")
    out.line(f"Containment: {result.containment or 'unknown'}")
    if result.enforces is not None:
        covers = result.enforces.landlock
        out.line(f"  Landlock ABI {result.enforces.landlock_abi}: {', '.join(covers) or 'not in this kernel'}")
        if covers and result.enforces.landlock_missing:
            out.line(f"  not in this kernel: {', '.join(result.enforces.landlock_missing)}")
    out.line(f"Versions: {', '.join(f'{k} {v}' for k, v in result.versions.items()) or 'unknown'}")


command: Command[Args, Result] = Command(
    "cap",
    help="Show what a node has: hardware, containment, versions.\n\nOn a node NODE defaults to that node.",
    run=run,
    render=render,
    args=Args,
    params=[click.Argument(["node"], type=NODE, required=False)],
)

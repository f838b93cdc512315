"""`pact cap`: what a node has: GPUs, CPU, memory, network, storage, containment, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import click
import msgspec

from pactsh.cli.arguments import NODES
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.nodes import is_name
from pactsh.cli.render import Out, escape
from pactsh.errors import PactError, UsageError
from pactsh.model.capability import Capabilities, Cpu, Enforces, Gpu, Link, Memory, Network, Storage
from pactsh.model.capwords import HEALTHY, gpu_line, name_text, size_text

if TYPE_CHECKING:
    from pactsh.cli.capfleet import Fleet

Result: TypeAlias = "Capabilities | Fleet"
_LINE = 100


@dataclass(frozen=True, slots=True)
class Args:
    """The node; None: this one."""

    node: str | None


def run(ctx: Context, args: Args) -> Result:
    """Ask this node's agent, or the journal for what other nodes reported."""
    if ctx.node is not None:
        with ctx.agent() as agent:
            here = parse_capabilities(agent.ask("cap"))
        if args.node in {None, here.node}:
            return here
    if args.node is None:
        raise UsageError("cap: not on a node: name a NODE")
    if not is_name(args.node):
        from pactsh.cli import capfleet

        return capfleet.read(ctx, args.node)
    from pactsh.cli.remote import node_capabilities

    return parse_capabilities(node_capabilities(ctx, args.node))


def parse_capabilities(item: object) -> Capabilities:
    """What an agent said. Raises `PactError` for what this version can't read."""
    try:
        return msgspec.convert(item, Capabilities)
    except msgspec.ValidationError as error:
        raise PactError(
            f"cap: what the node says can't be read: {error}", hint="is its agent of another version? pact status"
        ) from error


# -- in words


def speed_text(megabits: int) -> str:
    """The speed of a link.

    >>> speed_text(100), speed_text(2500), speed_text(200000)
    ('100 Mbit/s', '2.5 Gbit/s', '200 Gbit/s')
    """
    return f"{megabits} Mbit/s" if megabits < 1000 else f"{megabits / 1000:g} Gbit/s"


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else size_text(size_bytes)


def _numa(node: int | None) -> str:
    return "" if node is None else f"NUMA {node}"


def _joined(*parts: str | int | None, sep: str = ", ") -> str:
    """The parts that there are; 0 is none."""
    return sep.join(str(part) for part in parts if part)


# -- lines


def render(result: Result, out: Out) -> None:
    """Of one node a line a kind, each followed by its parts in columns; of several a table."""
    if isinstance(result, Capabilities):
        _render(result, out)
    else:
        from pactsh.cli import capfleet

        capfleet.render(result, out)


def _render(result: Capabilities, out: Out) -> None:
    is_ill = any(gpu.health != HEALTHY for gpu in result.gpus or ())
    text = f"GPUs: {'unknown' if result.gpus is None else gpu_line(result.gpus)}"
    out.styled(out.style(text, *(("red", "bold") if is_ill else ())))
    _rows(out, (_gpu_row(gpu) for gpu in result.gpus or ()))
    _rows(out, _instances(result.gpus or ()))
    out.line(f"CPU: {_cpu(result.cpu) if result.cpu else 'unknown'}")
    numa = (result.cpu and result.cpu.numa) or ()
    _rows(out, ((_numa(n.number), f"CPUs {n.cpus or 'none'}", _size(n.memory_bytes)) for n in numa))
    out.line(f"Memory: {_memory(result.memory) if result.memory else 'unknown'}")
    pools = (result.memory and result.memory.huge_pages) or ()
    used = (pool for pool in pools if pool.total)
    _rows(out, ((f"huge pages of {size_text(p.size_bytes)}", f"{p.total}", f"{p.free} free") for p in used))
    out.line(f"Network: {_network(result.network) if result.network else 'unknown'}")
    _rows(out, _network_rows(result.network) if result.network else ())
    out.line(f"Storage: {_storage(result.storage) if result.storage else 'unknown'}")
    _storage_rows(result.storage, out)
    out.line(f"Containment: {result.containment or 'unknown'}")
    if result.enforces is not None:
        _render_enforced(result.enforces, out)
    out.line(f"Versions: {', '.join(f'{k} {v}' for k, v in result.versions.items()) or 'unknown'}")
    _rows(out, _system_rows(result))
    if result.left_out:
        out.line(f"Left out of the node's report: {', '.join(result.left_out)} (on the node itself, pact cap has it)")


def _rows(out: Out, rows: Iterable[Sequence[str]]) -> None:
    """Indented lines in columns; a column that is empty in all of them is none."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        out.line(f"  {'  '.join(padded)}".rstrip())


def _gpu_row(gpu: Gpu) -> tuple[str, ...]:
    ecc = "" if gpu.ecc is None or gpu.ecc.on is None else f"ECC {'on' if gpu.ecc.on else 'off'}"
    return (
        "-" if gpu.number is None else str(gpu.number),
        name_text(gpu),
        _size(gpu.memory_bytes),
        gpu.pci or "",
        _numa(gpu.numa_node),
        ecc,
        "MIG" if gpu.mig else "",
        "" if gpu.temperature_c is None else f"{gpu.temperature_c} C",
        _joined(gpu.driver and f"driver {gpu.driver}", gpu.cuda and f"CUDA {gpu.cuda}"),
        gpu.health,
    )


def _instances(gpus: Sequence[Gpu]) -> Iterator[tuple[str, ...]]:
    for gpu in gpus:
        for part in gpu.mig_instances or ():
            name = (part.name or "MIG instance").removeprefix("NVIDIA ")
            yield f"of {gpu.number}:", name, _size(part.memory_bytes), part.uuid or ""


def _cpu(cpu: Cpu) -> str:
    sockets = f"{cpu.sockets}x " if cpu.sockets else ""
    limits = [f"{mhz} MHz" for mhz in (cpu.min_mhz, cpu.max_mhz) if mhz is not None]
    return _joined(
        sockets + (cpu.model or "unknown model"),
        cpu.cores and _counted(cpu.cores, "core"),
        cpu.threads and _counted(cpu.threads, "thread"),
        cpu.architecture,
        " to ".join(limits),
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _memory(memory: Memory) -> str:
    modules = Counter((m.size_bytes, m.speed_mts) for m in memory.modules or ())
    groups = [
        _joined(f"{count}x {_size(size) or 'unknown size'}", speed and f"at {speed} MT/s", sep=" ")
        for (size, speed), count in modules.items()
    ]
    total = "unknown" if memory.total_bytes is None else size_text(memory.total_bytes)
    return _joined(total, memory.type, f"modules {' + '.join(groups)}" if groups else None)


def _network(network: Network) -> str:
    links = network.links
    told = [f"{link.name} ({link.state or 'unknown'})" for link in links or () if link.kind not in _QUIET]
    quiet = sum(link.kind == "virtual" for link in links or ())
    told += [f"{quiet} virtual"] if quiet else []
    return "unknown" if links is None else ", ".join(told) or "none"


_QUIET = ("virtual", "loopback")


def _network_rows(network: Network) -> Iterator[tuple[str, ...]]:
    for link in network.links or ():
        if link.kind not in _QUIET:
            yield _link_row(link)
    for port in network.infiniband or ():
        about = _joined(port.physical_state, port.firmware and f"firmware {port.firmware}")
        yield (
            *(f"{port.device}/{port.port}", port.state or "", port.rate or "", port.link_layer or ""),
            *(port.driver or "", port.pci or "", _numa(port.numa_node), about),
        )
    for cxi in network.slingshot or ():
        about = _joined(cxi.interface, None if cxi.nid is None else f"nid {cxi.nid:#x}", cxi.media)
        yield (
            *(cxi.device, cxi.state or "", cxi.speed or "", "slingshot"),
            *(cxi.driver or "", cxi.pci or "", _numa(cxi.numa_node), about),
        )


def _link_row(link: Link) -> tuple[str, ...]:
    speed = "" if link.speed_mbit is None else speed_text(link.speed_mbit)
    about = _joined(link.mtu and f"MTU {link.mtu}", link.mac)
    place = (link.driver or "", link.pci or "", _numa(link.numa_node))
    return (link.name, link.state or "", speed, link.kind, *place, about)


def _storage(storage: Storage) -> str:
    disks = ", ".join(f"{d.name} {size_text(d.size_bytes)}" for d in storage.disks or ())
    told = "unknown" if storage.disks is None else disks or "no disks"
    away = "the root is on none of them" if disks else "diskless"
    return _joined(told, away if storage.diskless else None)


def _storage_rows(storage: Storage | None, out: Out) -> None:
    if storage is None:
        return
    kinds = {True: "rotating", False: "solid", None: ""}
    _rows(
        out,
        (
            (
                d.name,
                size_text(d.size_bytes),
                d.transport or "",
                kinds[d.rotational],
                d.model or "",
                _parts(d.partitions),
            )
            for d in storage.disks or ()
        ),
    )
    _rows(
        out,
        (
            (m.point, m.type, _size(m.size_bytes), m.where, m.source, "DOES NOT ANSWER" if m.answers is False else "")
            for m in storage.mounts or ()
        ),
    )


def _parts(count: int | None) -> str:
    return _counted(count, "partition") if count else ""


def _render_enforced(enforces: Enforces, out: Out) -> None:
    covers = enforces.landlock
    out.line(f"  Landlock ABI {enforces.landlock_abi}: {', '.join(covers) or 'not in this kernel'}")
    if covers and enforces.landlock_missing:
        out.line(f"  not in this kernel: {', '.join(enforces.landlock_missing)}")


def _system_rows(result: Capabilities) -> Iterator[tuple[str, str]]:
    system = result.system
    if system is None:
        return
    machine = _joined(system.vendor, system.product, system.firmware and f"firmware {system.firmware}", sep=" ")
    line = system.command_line or ""
    facts = {
        "system": system.os,
        "machine": machine,
        "booted": f"{system.boot_time[:19]}Z" if system.boot_time else None,
        "command line": line if len(line) <= _LINE else f"{line[:_LINE]}... ({len(line)} characters)",
    }
    yield from ((name, text) for name, text in facts.items() if text)


command: Command[Args, Result] = Command(
    "cap",
    help="Show what a node has: hardware, containment, versions.\n\n"
    "NODE may be a nodeset: those that have the same share a row. On a node it defaults to that node.",
    run=run,
    render=render,
    args=Args,
    params=[click.Argument(["node"], type=NODES, required=False)],
)

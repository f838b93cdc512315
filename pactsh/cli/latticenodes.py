"""`pact nodes`: the nodes as lattice has them: their states, what they have, and what runs there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click
import msgspec

from pactsh.cli.changes import counted
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.fitting import table
from pactsh.cli.hardware import Hardware, facts, hardware_of
from pactsh.cli.jobtext import jobs_table
from pactsh.cli.latticetypes import LATTICE_NODE, NODE_STATE, most
from pactsh.cli.latticewords import COLOURS, ago, counts, counts_text, nodes_text, tell_left_out
from pactsh.cli.render import Out
from pactsh.delegates.lattice.model import Job, MemoryDomain, Node
from pactsh.delegates.lattice.words import NODE_STATES
from pactsh.errors import NotFoundError
from pactsh.model.capwords import size_text

_HEADER = ("NODES", "STATE", "VCLUSTER", "TENANT", "GPUS", "CORES", "MEMORY", "HEARTBEAT", "REASON")


@dataclass(frozen=True, slots=True)
class ListArgs:
    """Only those in this state; at most `n`."""

    state: str | None
    n: int


class Nodes(msgspec.Struct, frozen=True):
    """The worst of them, and of all that were asked for how many there are, and in which states."""

    nodes: tuple[Node, ...]
    total: int
    counts: dict[str, int]


def run_list(ctx: Context, args: ListArgs) -> Nodes:
    """Ask lattice for the nodes of the vCluster, or all."""
    from pactsh.cli.latticeread import reading

    vcluster = ctx.settings.vcluster or ""
    with reading(ctx, vcluster) as lattice:
        found = lattice.nodes(state=args.state or "", vcluster=vcluster)
    tell_left_out(ctx, min(args.n, len(found)), len(found), "node")
    return Nodes(tuple(found[: args.n]), len(found), counts((node.state for node in found), NODE_STATES))


def render_list(result: Nodes, out: Out) -> None:
    """Nodes of which there is the same to say share a row, the worst first; at the end how many there are."""
    if not result.total:
        out.line("(no nodes)")
        return
    now = datetime.now(UTC)
    groups: dict[tuple[str, ...], list[Node]] = {}
    for node in result.nodes:
        groups.setdefault(_words(node), []).append(node)
    rows = [
        (nodes_text(node.id for node in nodes), *words[:-1], _heartbeat(nodes, now), words[-1])
        for words, nodes in groups.items()
    ]
    styles = [["", COLOURS.get(nodes[0].state, ""), *[""] * 7] for nodes in groups.values()]
    table(
        out, _HEADER, rows, styles, spare=("HEARTBEAT", "MEMORY", "CORES", "TENANT", "GPUS", "VCLUSTER"), numbers=(5, 6)
    )
    out.line(f"{counted(result.total, 'node')}: {counts_text(result.counts)}")


def _words(node: Node) -> tuple[str, ...]:
    """What nodes of one row have in common, the reason last."""
    return (
        node.state or "-",
        node.owner_vcluster or "-",
        (node.owner_tenant or "-") + (" (borrowed)" if node.is_borrowed else ""),
        _gpus(node) or "-",
        str(node.cpu_cores or "-"),
        f"{node.memory_gb:,} GB" if node.memory_gb else "-",
        _troubles(node) or "-",
    )


def _troubles(node: Node) -> str:
    failures = f"{counted(node.dispatch_failures, 'dispatch')} failed" if node.dispatch_failures else ""
    return ", ".join(filter(None, [node.reason, failures.replace("dispatchs", "dispatches")]))


def _gpus(node: Node) -> str:
    if not node.gpu_count:
        return ""
    return f"{node.gpu_count}x {node.gpu_type}" if node.gpu_type else str(node.gpu_count)


def _heartbeat(nodes: Sequence[Node], now: datetime) -> str:
    """The oldest of them; of one that never had any that."""
    beats = [node.last_heartbeat for node in nodes if node.last_heartbeat is not None]
    if not beats:
        return "never"
    return ago(min(beats), now) + (", or never" if len(beats) < len(nodes) else "")


@dataclass(frozen=True, slots=True)
class InspectArgs:
    """The node."""

    id: str


class Inspected(msgspec.Struct, frozen=True):
    """A node, and the jobs that hold it, newest first. `all_seen`: there are no others that the caller may not see.
    `hardware`: what the hardware manager has of it, None where none is configured."""

    node: Node
    jobs: tuple[Job, ...]
    all_seen: bool
    hardware: Hardware | None = None

    @property
    def exit_status(self) -> int:
        """That of a hardware manager that is configured and can't be asked."""
        return self.hardware.status if self.hardware is not None else 0


def run_inspect(ctx: Context, args: InspectArgs) -> Inspected:
    """Ask lattice for one node, and for the jobs to see which are there. Raises `NotFoundError`."""
    from pactsh.cli.latticeread import reading

    with reading(ctx, ctx.settings.vcluster or "") as lattice:
        try:
            node = lattice.node(args.id)
        except NotFoundError as error:
            raise NotFoundError(
                f"nodes inspect: {args.id}: lattice does not know this node",
                hint="pact nodes list shows those that it does",
            ) from error
        jobs, sees_all = tuple(lattice.jobs_on([node.id])[node.id]), lattice.sight.everything
    return Inspected(node, jobs, sees_all, hardware_of(ctx, node.id))


def render_inspect(result: Inspected, out: Out) -> None:
    """A line a fact, then the jobs."""
    node, now = result.node, datetime.now(UTC)
    out.styled(f"{'Node:':<13}{out.style(node.id, 'bold')}", sep="")
    state = out.style(node.state or "not known", *COLOURS.get(node.state, "").split())
    out.styled(f"{'State:':<13}{state}", sep="")
    for name, value in (*_facts(node, now), *(facts(result.hardware) if result.hardware else ())):
        if value:
            out.line(f"{name + ':':<13}{value}")
    rows = [_domain(domain) for domain in node.memory]
    if rows:
        out.line("Memory domains:")
        table(out, ("ID", "TYPE", "SIZE", "NUMA", "CPUS", "GPUS"), rows, numbers=(0, 2), indent="  ")
    if not result.jobs:
        out.line(f"{'Jobs:':<13}({'no jobs' if result.all_seen else 'no jobs that you may see'})")
        return
    out.line(f"Jobs: {len(result.jobs)}{'' if result.all_seen else ' that you may see'}")
    jobs_table(result.jobs, out, indent="  ")


def _facts(node: Node, now: datetime) -> Iterator[tuple[str, str]]:
    yield "Reason", node.reason
    beat = node.last_heartbeat
    yield "Heartbeat", "never" if beat is None else f"{beat} ({ago(beat, now)})"
    yield "vCluster", node.owner_vcluster
    yield "Tenant", node.owner_tenant + (" (borrowed)" if node.is_borrowed else "")
    yield "Job", node.owner_job
    yield "Claimed by", node.claimed_by
    yield "Group", str(node.group)
    yield "GPUs", _gpus(node) or "none"
    yield "CPU", counted(node.cpu_cores, "core") if node.cpu_cores else "not known"
    yield "Memory", f"{node.memory_gb:,} GB" if node.memory_gb else "not known"
    yield "Features", ", ".join(node.features)
    yield "Agent", node.agent_address
    yield "Conformance", node.conformance
    yield "Dispatch", f"failed {counted(node.dispatch_failures, 'time')} in a row" if node.dispatch_failures else ""
    yield "Reattaching", "yes: lattice looks for what still runs there" if node.reattaching else ""


def _domain(domain: MemoryDomain) -> tuple[str, ...]:
    return (
        str(domain.id),
        domain.type or "-",
        size_text(domain.capacity_bytes),
        "-" if domain.numa_node is None else str(domain.numa_node),
        _numbers(domain.cpus),
        _numbers(domain.gpus),
    )


def _numbers(numbers: Sequence[int]) -> str:
    """Numbers, the neighbours among them as ranges.

    >>> _numbers([0, 1, 2, 5]), _numbers([])
    ('0-2,5', '-')
    """
    if not numbers:
        return "-"
    from ClusterShell.RangeSet import RangeSet

    return str(RangeSet.fromlist([str(number) for number in sorted(set(numbers))]))


LIST: Command[ListArgs, Nodes] = Command(
    "list",
    help="List lattice's nodes, the worst state first.\n\nNodes of which there is the same to say share a row.",
    run=run_list,
    render=render_list,
    args=ListArgs,
    params=[
        click.Option(["--state"], type=NODE_STATE, help=f"Only those in this state: {', '.join(NODE_STATES)}."),
        most(100, "nodes"),
    ],
)
INSPECT: Command[InspectArgs, Inspected] = Command(
    "inspect",
    help="""Show all that lattice says of a node, and the jobs on it.

    Where OpenCHAMI is configured, what its inventory has of the node as well.""",
    run=run_inspect,
    render=render_inspect,
    args=InspectArgs,
    params=[click.Argument(["id"], type=LATTICE_NODE, metavar="NODE")],
)

command = Group("nodes", help="List and inspect lattice's nodes.", commands=[LIST, INSPECT])

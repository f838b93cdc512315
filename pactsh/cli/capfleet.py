"""What several nodes have, side by side: nodes that have the same share a row."""

from __future__ import annotations

from dataclasses import dataclass

from pactsh.cli.cap import parse_capabilities
from pactsh.cli.context import Context
from pactsh.cli.nodes import counted_nodes
from pactsh.cli.render import Out
from pactsh.errors import NotFoundError
from pactsh.model.capability import Capabilities
from pactsh.model.capwords import HEALTHY, gpu_line, size_text

_HEADER = ("NODES", "GPUS", "CPU", "MEMORY")


@dataclass(frozen=True, slots=True)
class Fleet:
    """The nodes by name; `silent` have reported nothing, `unknown` are none."""

    nodes: tuple[Capabilities, ...]
    silent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Whether all that were named are there."""
        return 1 if self.silent or self.unknown else 0


def read(ctx: Context, text: str) -> Fleet:
    """What the nodes of a nodeset reported; raises `NotFoundError` if it names none that there is."""
    from pactsh.cli.remote import capabilities_of

    found, unknown = capabilities_of(ctx, text)
    if not found:
        raise NotFoundError(f"cap: {text}: no such node", hint="pact group list shows the vClusters")
    nodes = tuple(parse_capabilities(cap) for _, cap in found if cap is not None)
    return Fleet(nodes, tuple(name for name, cap in found if cap is None), unknown)


def render(fleet: Fleet, out: Out) -> None:
    """A row for all nodes that have the same, first those with GPUs that are ill, then those that are most."""
    groups: dict[tuple[str, str, str], list[Capabilities]] = {}
    for node in fleet.nodes:
        groups.setdefault(_words(node), []).append(node)
    ordered = sorted(groups.items(), key=lambda group: (not _is_ill(group[1][0]), -len(group[1]), group[1][0].node))
    rows = [(counted_nodes(node.node for node in nodes), *words) for words, nodes in ordered]
    styles = [["red" if _is_ill(nodes[0]) else ""] * len(_HEADER) for _, nodes in ordered]
    out.table(_HEADER, rows, styles)
    for names, why in ((fleet.silent, "have reported no capabilities"), (fleet.unknown, "no such nodes")):
        if names:
            out.styled(out.style("[WARN]", "yellow"), out.style(f"{counted_nodes(names)}: {why}"), sep=" ")


def _is_ill(node: Capabilities) -> bool:
    return any(gpu.health != HEALTHY for gpu in node.gpus or ())


def _words(node: Capabilities) -> tuple[str, str, str]:
    gpus = "unknown" if node.gpus is None else gpu_line(node.gpus)
    cpu, memory = node.cpu, node.memory
    processors = "unknown" if cpu is None else f"{cpu.threads or '?'}x {cpu.model or 'unknown model'}"
    size = None if memory is None else memory.total_bytes
    return gpus, processors, "unknown" if size is None else size_text(_rounded(size))


def _rounded(size_bytes: int) -> int:
    """To whole GiB: what firmware and kernels keep for themselves differs a little from node to node."""
    gib = 1 << 30
    return size_bytes if size_bytes < gib else round(size_bytes / gib) * gib

"""`pact status`: what a node says of itself, or a vCluster's nodes, worst first.

What isn't known is said to be unknown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import click
import msgspec

from pactsh.cli.arguments import NODE
from pactsh.cli.changes import clock, counted, lasts
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import NotFoundError, UsageError

_SOON_S = 86_400


@dataclass(frozen=True, slots=True)
class Args:
    """The node; None: this one, or the vCluster's."""

    node: str | None


class JournalLink(msgspec.Struct, frozen=True):
    """Whether the agent reaches the journal, and since when that is so."""

    connected: bool
    since: str | None = None


class Spool(msgspec.Struct, frozen=True):
    """The agent's spool: `normal`, `read-only` or `unwritable`; entries the journal doesn't have yet."""

    level: str
    pending: int


class Failing(msgspec.Struct, frozen=True):
    """A version of the vCluster's overlay that the node could not apply, and why."""

    version: int
    reasons: tuple[str, ...]


class OverlayStatus(msgspec.Struct, frozen=True):
    """The version of the overlay that a node has (0: none); `wanted`: its vCluster's, where that is known."""

    version: int
    failing: Failing | None = None
    wanted: int | None = None


class DeltaStatus(msgspec.Struct, frozen=True):
    """How many changes are committed on a node alone, and when the first ends (seconds since the epoch)."""

    changes: int
    expires: float | None = None


class NodeStatus(msgspec.Struct, frozen=True):
    """A node as its agent sees it; None: not known. `window_s`: seconds left in the commit window, if one is open."""

    node: str
    vcluster: str
    state: str
    supervisor: str | None = None
    drift: int | None = None
    window_s: float | None = None
    overlay: OverlayStatus | None = None
    deltas: DeltaStatus | None = None
    degraded: bool = False
    emergency: bool = False
    journal: JournalLink | None = None
    spool: Spool | None = None
    sessions: int | None = None
    containment: str | None = None
    missing: tuple[str, ...] = ()
    version: str | None = None
    started_at: str | None = None
    last_seen: str | None = None
    present: bool | None = None


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The nodes of a vCluster (or all), worst first, and what to look after."""

    vcluster: str | None
    nodes: tuple[NodeStatus, ...]
    warnings: tuple[str, ...] = ()


Result = NodeStatus | FleetStatus


def run(ctx: Context, args: Args) -> Result:
    """Ask this node's agent, or the journal about others."""
    if args.node is not None and "vcluster" in ctx.explicit:
        raise UsageError("status: give a NODE or --vcluster, not both")
    if ctx.node is not None and "vcluster" not in ctx.explicit:
        here = _own(ctx)
        if args.node in {None, here.node}:
            return here
    from pactsh.cli.remote import list_nodes

    vcluster = None if args.node else ctx.settings.vcluster
    if args.node is None and vcluster is None:
        raise UsageError("status: not on a node: name a NODE or give --vcluster")
    nodes = [msgspec.convert(n, NodeStatus) for n in list_nodes(ctx, args.node, vcluster)]
    if args.node is None:
        ordered = tuple(sorted(nodes, key=badness))
        now = ctx.now().timestamp()
        return FleetStatus(vcluster, ordered, tuple(text for node in ordered for text in warnings(node, now)))
    if not nodes:
        raise NotFoundError(f"status: {args.node}: no such node")
    return nodes[0]


def _own(ctx: Context) -> NodeStatus:
    with ctx.agent() as agent:
        return msgspec.convert(agent.ask("status"), NodeStatus)


def warnings(status: NodeStatus, now: float) -> Iterator[str]:
    """How a node differs from its vCluster, and what ends soon; `now` in seconds since the epoch."""
    overlay, deltas = status.overlay, status.deltas
    if overlay is not None and overlay.failing is not None:
        why = "; ".join(overlay.failing.reasons[:2])
        yield f"{status.node}: the overlay, version {overlay.failing.version}, could not be applied: {why}"
    elif overlay is not None and overlay.wanted not in {None, overlay.version}:
        yield f"{status.node}: has version {overlay.version} of the overlay, its vCluster version {overlay.wanted}"
    if deltas is not None and deltas.changes:
        yield f"{status.node}: {counted(deltas.changes)} committed on it alone (pact diff --committed {status.node})"
    if deltas is not None and deltas.expires is not None and deltas.expires - now < _SOON_S:
        left_s = deltas.expires - now
        yield f"{status.node}: a committed change {f'ends in {lasts(left_s)}' if left_s > 0 else 'is over its time'}"


def badness(status: NodeStatus) -> tuple[int, str]:
    """A sorting key: the worst first, then by name."""
    signs = (
        status.present is False,
        status.emergency,
        status.degraded,
        status.spool is not None and status.spool.level != "normal",
        status.overlay is not None and (status.overlay.failing is not None),
        bool(status.drift),
    )
    weight = sum(1 << (len(signs) - i) for i, sign in enumerate(signs) if sign)
    return (-weight, status.node)


def render(result: Result, out: Out) -> None:
    """For a node the summary line first; for several a table."""
    if isinstance(result, NodeStatus):
        _render_node(result, out, time.time())
        return
    if not result.nodes:
        out.line("(no nodes)")
        return
    rows = [
        (n.node, n.vcluster, n.state, _drift(n), _presence(n), n.version or "unknown", n.last_seen or "never")
        for n in result.nodes
    ]
    out.table(("NODE", "VCLUSTER", "STATE", "DRIFT", "PRESENCE", "VERSION", "LAST SEEN"), rows)
    for text in result.warnings:
        out.styled(out.style("[WARN]", "yellow"), text, sep=" ")


def _drift(status: NodeStatus) -> str:
    return "unknown" if status.drift is None else str(status.drift)


def _presence(status: NodeStatus) -> str:
    return "unknown" if status.present is None else "present" if status.present else "ABSENT"


def _render_node(status: NodeStatus, out: Out, now: float) -> None:
    state = "EMERGENCY" if status.emergency else status.state
    colour = ("red", "bold") if status.emergency else ("bold",)
    out.styled(
        f"Node: {out.style(status.node, 'bold')}",
        f"State: {out.style(state, *colour)}",
        f"Supervisor: {out.style(status.supervisor or 'not part of this version')}",
    )
    facts = [("vCluster", status.vcluster), ("Drift", _drift(status))]
    if status.window_s is not None:
        facts.append(("Window", f"{clock(status.window_s)} left, then what is not committed is rolled back"))
    if status.overlay is not None and (status.overlay.version or status.overlay.failing):
        facts.append(("Overlay", f"version {status.overlay.version}"))
    facts += [("Warning", text) for text in warnings(status, now)]
    if status.journal is not None:
        link = "connected" if status.journal.connected else "UNREACHABLE"
        facts.append(("Journal", link + (f" since {status.journal.since}" if status.journal.since else "")))
    if status.degraded:
        facts.append(("Degraded", "yes: cached policy decides, entries wait in the spool"))
    if status.spool is not None:
        facts.append(("Spool", f"{status.spool.level}, {status.spool.pending} entries waiting"))
    if status.sessions is not None:
        facts.append(("Sessions", str(status.sessions)))
    if status.containment is not None:
        facts.append(("Containment", status.containment))
    facts += [("Missing", text) for text in status.missing]
    if status.present is not None:
        facts.append(("Presence", f"{_presence(status)}, last seen {status.last_seen or 'never'}"))
    if status.version is not None:
        facts.append(("Agent", status.version + (f", up since {status.started_at}" if status.started_at else "")))
    for name, value in facts:
        out.line(f"{name + ':':<13}{value}")


command: Command[Args, Result] = Command(
    "status",
    help="Show the state of a node or of a vCluster's nodes.\n\nOn a node NODE defaults to that node.",
    run=run,
    render=render,
    args=Args,
    params=[click.Argument(["node"], type=NODE, required=False)],
)

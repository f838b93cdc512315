"""What is known of a node's state, how bad that is, and what to look after. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pactsh.cli.bothsides import LatticeNode, LatticeSide, Trouble, contradictions
from pactsh.cli.changes import counted, lasts
from pactsh.cli.nodes import fold_nodes

_SOON_S = 86_400
_USUAL = ("EMERGENCY", "CONVERGING", "DRIFTED")  # worst first; then others by name, and at the end
_WELL = "COMMITTED"


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
    """A node as its agent sees it; None: not known. `window_s`: seconds left in the commit window, if one is open.
    `unreadable`: its agent's report is of a form that is not known here. `lattice`: None where none is configured."""

    node: str
    vcluster: str
    state: str
    supervisor: str | None = None
    capabilities: str | None = None
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
    unreadable: bool = False
    lattice: LatticeNode | None = None

    @property
    def exit_status(self) -> int:
        """Whether lattice could be asked, if it was to be."""
        error = None if self.lattice is None else self.lattice.error
        return error.code if isinstance(error, Trouble) else 0

    @property
    def shown_state(self) -> str:
        """The state; an emergency before all."""
        return "EMERGENCY" if self.emergency else self.state


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The nodes of a vCluster (or all), worst first, and what to look after. `counts`: nodes by state, worst first.
    `unknown`: names that were asked for and are no nodes. `lattice`: None where none is configured."""

    vcluster: str | None
    nodes: tuple[NodeStatus, ...]
    warnings: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    absent: int = 0
    unknown: tuple[str, ...] = ()
    lattice: LatticeSide | None = None

    @property
    def exit_status(self) -> int:
        """Whether all that were named are there, and lattice could be asked, if it was to be."""
        failed = None if self.lattice is None else self.lattice.error
        return failed.code if failed is not None else 1 if self.unknown else 0


def fleet(
    vcluster: str | None,
    nodes: Iterable[NodeStatus],
    now: float,
    unknown: Sequence[str] = (),
    side: LatticeSide | None = None,
) -> FleetStatus:
    """The nodes in order; `now` in seconds since the epoch. `unknown` were asked for, and there are none such. `side`
    is what lattice says of all of them together; of each it is in the nodes."""
    ordered = tuple(sorted(nodes, key=badness))
    absent = sum(node.present is False for node in ordered)
    first = [f"{fold_nodes(unknown)}: no such node"] if unknown else []
    first += [] if side is None else _of_side(side)
    told = (*first, *folded(ordered, now))
    return FleetStatus(vcluster, ordered, told, counts(ordered), absent, tuple(unknown), side)


def _of_side(side: LatticeSide) -> Iterator[str]:
    if side.error is not None:
        yield side.error.message
    if side.only_lattice:
        where = f" in {side.vcluster}" if side.vcluster else ""
        yield f"{fold_nodes(side.only_lattice)}: lattice has it{where}, pact does not"
    if side.only_pact:
        yield f"{fold_nodes(side.only_pact)}: lattice has no node of this name"


def badness(status: NodeStatus) -> tuple[int, str]:
    """A sorting key: the worst first, then by name."""
    overlay = status.overlay
    signs = (
        status.emergency,
        status.present is False,
        bool(status.drift) or status.window_s is not None,
        overlay is not None and overlay.failing is not None,
        status.degraded,
        status.spool is not None and status.spool.level != "normal",
        overlay is not None and overlay.wanted not in {None, overlay.version},
        any(contradictions(status)),
    )
    weight = sum(1 << (len(signs) - i) for i, sign in enumerate(signs) if sign)
    return (-weight, status.node)


def counts(nodes: Iterable[NodeStatus]) -> dict[str, int]:
    """How many nodes are in each state, the worst first.

    >>> counts([NodeStatus("a", "v", "COMMITTED"), NodeStatus("b", "v", "COMMITTED", emergency=True)])
    {'EMERGENCY': 1, 'COMMITTED': 1}
    """
    found: dict[str, int] = {}
    for node in nodes:
        found[node.shown_state] = found.get(node.shown_state, 0) + 1
    others = sorted(found.keys() - {*_USUAL, _WELL})
    return {state: found[state] for state in (*_USUAL, *others, _WELL) if state in found}


def warnings(status: NodeStatus, now: float) -> Iterator[str]:
    """How a node differs from its vCluster, and what ends soon; `now` in seconds since the epoch."""
    overlay, deltas = status.overlay, status.deltas
    if status.unreadable:
        yield "its report can't be read: is its agent of another version?"
    yield from contradictions(status)
    if overlay is not None and overlay.failing is not None:
        why = "; ".join(overlay.failing.reasons[:2])
        yield f"the overlay, version {overlay.failing.version}, could not be applied: {why}"
    elif overlay is not None and overlay.wanted not in {None, overlay.version}:
        yield f"has version {overlay.version} of the overlay, its vCluster version {overlay.wanted}"
    if deltas is not None and deltas.changes:
        yield f"{counted(deltas.changes)} committed on it alone (pact diff --committed NODE)"
    if deltas is not None and deltas.expires is not None and deltas.expires - now < _SOON_S:
        left_s = deltas.expires - now
        yield f"a committed change {f'ends in {lasts(left_s)}' if left_s > 0 else 'is over its time'}"


def folded(nodes: Sequence[NodeStatus], now: float) -> tuple[str, ...]:
    """The nodes' warnings, each once: `node[001-640]: …`."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        for text in warnings(node, now):
            found.setdefault(text, []).append(node.node)
    return tuple(
        f"{fold_nodes(names)}: {text if len(names) > 1 else text.replace(' NODE)', f' {names[0]})')}"
        for text, names in found.items()
    )

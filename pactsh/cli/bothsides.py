"""What lattice says of a node beside what pact says, and where the two contradict each other. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from pactsh.cli.changes import counted
from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.cli.nodestatus import NodeStatus

_PLACING = frozenset({"ready", "degraded"})
"""lattice's states of a node that it gives jobs to."""
_OUT = frozenset({"down", "failed", "unknown"})


class Trouble(msgspec.Struct, frozen=True):
    """Why a side could not be asked: as errors are in JSON."""

    code: int
    kind: str
    message: str
    hint: str


def trouble_of(error: PactError) -> Trouble:
    """An error as a value that is printed."""
    return Trouble(error.code, error.kind, error.message, error.hint)


class LatticeNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node as lattice has it: `state` is None where it has none of that name, `jobs` how many hold it (None: not
    known). Or `error` alone: why it could not be asked."""

    state: str | UnsetType | None = UNSET
    reason: str | UnsetType = UNSET
    jobs: int | UnsetType | None = UNSET
    error: Trouble | UnsetType = UNSET

    @property
    def is_known(self) -> bool:
        """Whether lattice could be asked."""
        return not isinstance(self.error, Trouble)

    @property
    def shown(self) -> str:
        """In one cell.

        >>> LatticeNode("draining", "", 3).shown, LatticeNode("down", "fan", 0).shown, LatticeNode(None, "", None).shown
        ('draining, 3 jobs', 'down', '-')
        """
        if not isinstance(self.state, str):
            return "-"
        return f"{self.state}, {counted(self.jobs, 'job')}" if self.jobs else self.state

    @property
    def told(self) -> str:
        """In a line of its own: the state, why, and the jobs.

        >>> LatticeNode("down", "fan", 0).told, LatticeNode("ready", "", None).told
        ('down (fan), no jobs', 'ready')
        """
        if not self.is_known:
            return "not known"
        if not isinstance(self.state, str):
            return "has no node of this name"
        known = self.jobs if isinstance(self.jobs, int) else None
        jobs = "" if known is None else f", {counted(known, 'job')}" if known else ", no jobs"
        return self.state + (f" ({self.reason})" if self.reason else "") + jobs


@dataclass(frozen=True, slots=True)
class Seen:
    """What lattice answered: its nodes by name, with the vCluster that owns them, and how many jobs hold each; `jobs`
    is None where it did not say."""

    nodes: Mapping[str, tuple[str, str, str]]
    jobs: Mapping[str, int] | None

    def node(self, name: str) -> LatticeNode:
        """One of them."""
        found = self.nodes.get(name)
        if found is None:
            return LatticeNode(None, "", None)
        state, reason, _ = found
        return LatticeNode(state, reason, None if self.jobs is None else self.jobs.get(name, 0))


class LatticeSide(msgspec.Struct, frozen=True):
    """Of several nodes: those that only lattice has (in `vcluster`, "": anywhere), or only pact, and why lattice could
    not be asked, if so."""

    vcluster: str = ""
    only_lattice: tuple[str, ...] = ()
    only_pact: tuple[str, ...] = ()
    error: Trouble | None = None


def contradictions(status: NodeStatus) -> Iterator[str]:
    """Where what lattice has of a node does not go with what pact has."""
    view = status.lattice
    if view is None or not isinstance(view.state, str):
        return
    places = view.state in _PLACING
    if status.present is False and places:
        yield f"does not report here, but lattice has it {view.state}: jobs may start there (pact cordon NODE)"
    elif status.emergency and places:
        yield f"in an emergency, but lattice has it {view.state}: jobs may start there (pact cordon NODE)"
    elif status.present and not status.emergency and view.state in _OUT and not view.reason:
        yield f"is up and {status.state} here, but lattice has it {view.state}, without a reason (pact uncordon NODE)"


@dataclass(frozen=True, slots=True)
class Answer:
    """What lattice said, or why it did not. `sees_all`: what pact did not tell this person of it does not have."""

    seen: Seen | PactError
    sees_all: bool = False


def of_node(status: NodeStatus, answer: Answer | None) -> NodeStatus:
    """A node with what lattice says of it."""
    if answer is None:
        return status
    seen = answer.seen
    if isinstance(seen, PactError):
        return replace(status, lattice=LatticeNode(error=trouble_of(seen)))
    return replace(status, lattice=seen.node(status.node))


def of_nodes(
    nodes: Sequence[NodeStatus], answer: Answer | None, *, vcluster: str = "", named: Container[str] = ()
) -> tuple[list[NodeStatus], LatticeSide | None]:
    """Several nodes with what lattice says of each, and of them together: all of a vCluster, or of pact's (`named` has
    all names, then), or those that were named."""
    if answer is None:
        return list(nodes), None
    joined = [of_node(status, answer) for status in nodes]
    if isinstance(answer.seen, PactError):
        return joined, LatticeSide(vcluster, error=trouble_of(answer.seen))
    there, known = answer.seen.nodes, {status.node for status in nodes}
    only_lattice = [
        name
        for name, (_, _, owner) in there.items()
        if name not in known and (is_of(owner, vcluster) if vcluster else answer.sees_all and name in named)
    ]
    return joined, LatticeSide(vcluster, tuple(sorted(only_lattice)), tuple(sorted(known - there.keys())))


class Everything:
    """All names."""

    def __contains__(self, _name: object) -> bool:
        return True


def is_of(owner: str, vcluster: str) -> bool:
    """Whether lattice's name of a vCluster (`tenant/name`, or free text) is pact's.

    >>> is_of("physics/ml", "ml"), is_of("ml", "ml"), is_of("", "ml")
    (True, True, False)
    """
    return owner.rpartition("/")[2] == vcluster

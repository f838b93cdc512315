"""Looking at nodes on both sides: lattice is asked in a thread while the journal answers, once that has said who may.

Whatever happens to lattice, pact's part comes as it would without: then each node has the reason in place of lattice's
state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from pactsh.cli.aside import LIMIT_S, Aside, bounded
from pactsh.cli.bothsides import LatticeNode, LatticeSide, Seen, trouble_of
from pactsh.cli.twosides import asked, beside
from pactsh.errors import AuthError, NotFoundError, PactError, PolicyError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.nodestatus import NodeStatus
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.rpc.client import Journal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What lattice said, or why it did not. `sees_all`: what pact did not tell this person of it does not have."""

    seen: Seen | PactError
    sees_all: bool = False


class Look:
    """Of one run of `status`. An answer of lattice's counts for `again_s`: it may limit calls a minute, and one that
    does not answer is not waited for each time."""

    def __init__(self, ctx: Context, again_s: float = 0.0) -> None:
        self._ctx, self._again_s = bounded(ctx), again_s
        self._limit_s = min(LIMIT_S, ctx.settings.timeout)
        self._kept: tuple[float, Answer] | None = None
        self.is_on = ctx.settings.lattice_endpoint is not None

    def beside(
        self, ctx: Context, question: Callable[[Journal], Awaitable[T]], *, vcluster: str = "", node: str = ""
    ) -> tuple[T, Answer | None]:
        """The journal's answer to `question`, and lattice's, of `node` or of all. `vcluster` is where that is ("": not
        known before, or all). Raises what the journal's answer raises."""
        from pactsh.cli.remote import ask

        kept = self._kept[1] if self._kept and time.monotonic() - self._kept[0] < self._again_s else None
        if not self.is_on or kept is not None:
            return ask(ctx, question), kept

        async def told(journal: Journal) -> tuple[T, bool]:
            return await asyncio.gather(question(journal), _sees_all(journal))

        (found, sees_all), seen = beside(ctx, told, self._about(node), self._limit_s, vcluster=vcluster)
        self._kept = time.monotonic(), Answer(seen, sees_all)
        return found, self._kept[1]

    def here(self, status: NodeStatus) -> NodeStatus:
        """A node that its own agent told of, on it. Without a sign-in there lattice is not asked."""
        if not self.is_on or not self._is_signed_in():
            return status
        from pactsh.cli.latticeread import reader

        try:
            user = reader(self._ctx, status.vcluster)
            seen: Seen | PactError = asked(self._ctx, user, self._about(status.node), self._limit_s).outcome()
        except PactError as error:
            seen = error
        return of_node(status, Answer(seen))

    def _is_signed_in(self) -> bool:
        from pactsh.cli.bearer import find_bearer

        return "PACT_SESSION_FD" not in self._ctx.environ and (
            find_bearer(self._ctx.settings, self._ctx.environ) is not None
        )

    def _about(self, node: str) -> Callable[[Lattice], Seen]:
        return lambda lattice: seen_by(lattice, node, self._limit_s)


async def _sees_all(journal: Journal) -> bool:
    """Whether this person may read everything there is: what is global is for those alone."""
    try:
        await journal.list(1, scope="global")
    except (AuthError, PolicyError):
        return False
    return True


def seen_by(lattice: Lattice, node: str, limit_s: float) -> Seen:
    """Its nodes, or one, and the jobs that hold them; the two questions at the same time."""

    def jobs() -> dict[str, int]:
        from pactsh.delegates.lattice.words import HOLDING

        held: dict[str, int] = {}
        for job in lattice.jobs():
            if job.state in HOLDING:
                for name in job.nodes:
                    held[name] = held.get(name, 0) + 1
        return held

    counting = Aside("lattice", jobs, limit_s)
    try:
        found = [lattice.node(node)] if node else lattice.nodes()
    except NotFoundError:
        found = []
    counted = counting.outcome()
    nodes = {one.id: (one.state, one.reason, one.owner_vcluster) for one in found}
    return Seen(nodes, None if isinstance(counted, PactError) else counted)


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

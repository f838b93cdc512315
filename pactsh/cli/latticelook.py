"""Looking at nodes on both sides: lattice is asked in a thread while the journal answers, once that has said who may.

Whatever happens to lattice, pact's part comes as it would without: then each node has the reason in place of lattice's
state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pactsh.cli.aside import LIMIT_S, Aside, bounded
from pactsh.cli.bothsides import Answer, Seen, of_node
from pactsh.cli.twosides import asked, beside, sees_all
from pactsh.errors import NotFoundError, PactError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.nodestatus import NodeStatus
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.rpc.client import Journal

T = TypeVar("T")


class Look:
    """Of one run of `status`. An answer of lattice's counts for `again_s`: it may limit calls a minute, and one that
    does not answer is not waited for each time."""

    def __init__(self, ctx: Context, again_s: float = 0.0) -> None:
        self._ctx, self._again_s = bounded(ctx), again_s
        self._limit_s = min(LIMIT_S, ctx.settings.timeout)
        self._kept: tuple[float, Answer] | None = None

    def beside(
        self, ctx: Context, question: Callable[[Journal], Awaitable[T]], *, vcluster: str = "", node: str = ""
    ) -> tuple[T, Answer]:
        """The journal's answer to `question`, and lattice's, of `node` or of all. `vcluster` is where that is ("": not
        known before, or all). Raises what the journal's answer raises."""
        from pactsh.cli.remote import ask

        kept = self._kept[1] if self._kept and time.monotonic() - self._kept[0] < self._again_s else None
        if kept is not None:
            return ask(ctx, question), kept

        async def told(journal: Journal) -> tuple[T, bool]:
            return await asyncio.gather(question(journal), sees_all(journal))

        (found, is_all), seen = beside(ctx, told, self._about(node), self._limit_s, vcluster=vcluster)
        self._kept = time.monotonic(), Answer(seen, is_all)
        return found, self._kept[1]

    def here(self, status: NodeStatus) -> NodeStatus:
        """A node that its own agent told of, on it. Without a sign-in there lattice is not asked."""
        if not self._is_signed_in():
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


def seen_by(lattice: Lattice, node: str, limit_s: float) -> Seen:
    """Its nodes, or one, and the jobs that hold them; the two questions at the same time."""

    counting = Aside("lattice", lattice.held, limit_s)
    try:
        found = [lattice.node(node)] if node else lattice.nodes()
    except NotFoundError:
        found = []
    counted = counting.outcome()
    nodes = {one.id: (one.state, one.reason, one.owner_vcluster) for one in found}
    return Seen(nodes, None if isinstance(counted, PactError) else counted)

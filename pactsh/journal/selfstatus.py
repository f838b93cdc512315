"""`pact.v1.Status`: what the journal says of itself, as far as the caller may see it."""

from __future__ import annotations

from collections.abc import Sequence

from pactsh import __version__
from pactsh.journal.access import reach_of
from pactsh.journal.fleet import FleetService
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.projections import Projections
from pactsh.rpc import pact_pb2 as pb


class StatusService:
    """The handler. `systems` are those that the journal calls itself."""

    def __init__(
        self, ledger: Ledger, views: Projections, fleet: FleetService, judge: Judge, systems: Sequence[str] = ()
    ) -> None:
        self._ledger, self._views, self._fleet, self._judge = ledger, views, fleet, judge
        self._systems, self._started = tuple(systems), now_text()

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {"Status/Get": self.get}

    async def get(self, caller: Caller, _request: pb.StatusRequest) -> pb.JournalStatus:
        """Version, store, head and disk are anybody's who reads; what is counted is what the caller may see."""
        store = self._ledger.store
        await self._views.catch_up(store)
        await self._judge.check_read(caller.known, "status", "", {})
        reach = reach_of(caller.known)
        nodes, present = self._fleet.counts(reach)
        waiting = sum(reach.sees(a.scope, {a.node: a.vcluster}) for a in self._views.approvals.open())
        last, head, space = await store.last(), self._ledger.head, await store.space()
        return pb.JournalStatus(
            version=__version__,
            started=self._started,
            store=store.kind,
            last_seq=last.seq,
            signed_seq=0 if head is None else head.seq,
            signed_time="" if head is None else head.time,
            nodes=nodes,
            nodes_present=present,
            approvals_open=waiting,
            systems=self._systems,
            size_bytes=space.size_bytes,
            free_bytes=space.free_bytes,
        )

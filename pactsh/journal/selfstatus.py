"""`pact.v1.Status`: what the journal says of itself."""

from __future__ import annotations

from pactsh import __version__
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.ledger import Ledger, now_text
from pactsh.rpc import pact_pb2 as pb


class StatusService:
    """The handler."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._started = ledger, now_text()

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {"Status/Get": self.get}

    async def get(self, _caller: Caller, _request: pb.StatusRequest) -> pb.JournalStatus:
        """Version, store and head."""
        last = await self._ledger.store.last()
        return pb.JournalStatus(version=__version__, started=self._started, store="sqlite", last_seq=last.seq)

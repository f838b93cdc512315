"""The ways in which this agent asks its journal: over the uplink's connection, or over one of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pact_agent.clock import Clock
from pact_agent.config import Config
from pact_agent.history import JournalHistory
from pact_agent.renewal import Renewal, mend
from pact_agent.spool import Spool
from pact_agent.uplink import Uplink
from pactsh.auth.oidc.provider import Provider
from pactsh.errors import UnreachableError
from pactsh.model.approval import Approval
from pactsh.model.identity import Identity
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.client import Journal


class JournalLink:
    """Of a node's configuration, which may name no journal. `uplink` is set once there is one."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.uplink: Uplink | None = None
        if config.journal is not None:
            mend(config.journal.key, config.journal.cert)

    def open(self) -> Journal:
        """A connection with this agent's certificate, read again each time as it is renewed."""
        where = self._config.journal
        assert where is not None
        return Journal(
            where.endpoint, ca=where.ca.read_bytes(), cert=where.cert.read_bytes(), key=where.key.read_bytes()
        )

    def current(self) -> Journal:
        """The uplink's connection; raises `UnreachableError` when there is none."""
        if self.uplink is None:
            raise UnreachableError("no journal is configured on this node", hint="see pact-agent(8), [journal]")
        return self.uplink.journal()

    @property
    def configured(self) -> bool:
        """Whether there is a journal at all."""
        return self._config.journal is not None

    async def providers(self) -> list[Provider]:
        """How people sign in."""
        async with self.open() as journal:
            return await journal.providers()

    async def verify_token(self, token: str) -> tuple[Identity, float]:
        """Who a token is that somebody has shown here, and when it was issued."""
        async with self.open() as journal:
            return await journal.verify_token(token)

    async def evaluate(self, given: bytes) -> pb.Judgement:
        """What the site's own policy says of an input document."""
        return await self.current().evaluate(given)

    async def request_approval(self, action: str, operation: bytes, summary: str, requester: bytes) -> Approval:
        """Have an operation of somebody's on this node wait for a second person."""
        return await self.current().request_approval(action, operation, summary, requester=requester)

    def history(self, spool: Spool) -> JournalHistory | None:
        """The journal's entries, None where none is configured."""
        return JournalHistory(self.open, spool.heads) if self._config.journal else None

    def renewal(self, clock: Clock, renewed: Callable[[], Awaitable[None]]) -> Renewal:
        """What renews this node's certificates."""
        assert self._config.journal is not None
        config = self._config
        return Renewal(config.node, self._config.journal, config.ssh, clock, journal=self.current, renewed=renewed)

"""A real journal on loopback for tests: server, development issuer, tokens, agents' certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pactsh.auth.ca import Authority, new_agent_request, utc_now
from pactsh.auth.issuer import DevIssuer
from pactsh.journal.config import Config
from pactsh.journal.server import Server
from pactsh.rpc.client import Journal

ADMIN = "pact-platform-admin"


class Site:
    """A running journal and what it takes to connect to it as anybody."""

    def __init__(self, directory: Path, server: Server) -> None:
        self.directory = directory
        self.server = server
        self.authority = Authority.load(directory / "data" / "ca")
        self.ca = self.authority.ca_pem

    def token(self, principal: str, *roles: str, kind: str = "human", age_s: int = 0, lifetime_s: int = 3600) -> str:
        """A token of the development issuer, issued `age_s` seconds ago."""

        def clock() -> datetime:
            return utc_now() - timedelta(seconds=age_s)

        issuer = DevIssuer.open(self.directory / "issuer", clock=clock)
        return issuer.issue(principal, roles, lifetime_s=lifetime_s, kind=kind)

    def anonymous(self, **options: Any) -> Journal:
        """A client without any proof."""
        return Journal(self.server.endpoint, ca=self.ca, **options)

    def person(self, principal: str, *roles: str, **options: Any) -> Journal:
        """A client with a token."""
        return Journal(self.server.endpoint, ca=self.ca, token=self.token(principal, *roles), **options)

    def admin(self, **options: Any) -> Journal:
        """A platform admin."""
        return self.person("root@example.org", ADMIN, **options)

    def agent(self, node: str = "node042", *, unix: bool = False, **options: Any) -> Journal:
        """A client with the certificate of `node`'s agent."""
        key, request = new_agent_request(node)
        certificate = self.authority.agent_certificate(node, request)
        endpoint = self.server.ready()["unix" if unix else "agents"]
        return Journal(endpoint, ca=self.ca, cert=certificate, key=key, **options)


def config(directory: Path, **options: Any) -> Config:
    """The configuration of a test journal in `directory`."""
    DevIssuer.open(directory / "issuer", clock=utc_now)
    values: dict[str, Any] = {
        "data_dir": directory / "data",
        "listen": "127.0.0.1:0",
        "listen_agents": "127.0.0.1:0",
        "listen_unix": directory / "s",
        "dev_issuer": directory / "issuer",
        "stop_grace_s": 0.0,
    }
    return Config(**{**values, **options})


@asynccontextmanager
async def running(directory: Path, **options: Any) -> AsyncIterator[Site]:
    """A journal in `directory`, started and stopped in this event loop."""
    async with Server(config(directory, **options)) as server:
        yield Site(directory, server)


async def collect(stream: AsyncIterator[Any], count: int) -> Sequence[Any]:
    """The first `count` of a stream."""
    items = []
    async for item in stream:
        items.append(item)
        if len(items) == count:
            break
    return items

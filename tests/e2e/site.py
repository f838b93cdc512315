"""A journal and an agent as plain processes that a test may kill and start again as it likes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pactsh.dev.enrolment import enrol, write_agent_config
from pactsh.dev.journal import JournalPart
from pactsh.dev.layout import Layout
from tests.pact_agent.localnode import LocalNode, Wire


class Site:
    """One journal, one agent (node042) in the test's own namespaces, no supervisor."""

    def __init__(self, directory: Path, policy: Path | None = None) -> None:
        self.layout = Layout(directory)
        for path in (self.layout.journal, self.layout.shared, self.layout.issuer):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._journal_pid = 0
        self.journal = JournalPart(self.layout, self._note, lambda **_: None, "" if policy is None else str(policy))
        self.node_directory = directory / "node"
        self.agent: LocalNode | None = None

    def _note(self, _name: str, pid: int) -> None:
        self._journal_pid = pid

    async def start(self) -> None:
        """Start the journal, enrol the node, start the agent."""
        await self.journal.start()
        await self._enrol()
        await self.start_agent()

    async def _enrol(self) -> None:
        node = LocalNode(self.node_directory)
        (self.node_directory / "state" / "keys").mkdir(parents=True, mode=0o700)
        (self.node_directory / "run").mkdir()
        await enrol(self.node_directory, "node042", "ml-training", self.journal)
        write_agent_config(
            self.node_directory,
            "node042",
            "ml-training",
            journal_socket=self.layout.journal_socket,
            ssh_port=0,
            missing=(),
            uid=os.geteuid(),
            has_nobody=True,
        )
        config = self.node_directory / "agent.toml"
        text = config.read_text()
        # Only the local socket matters here: no SSH listener, and little space reserved.
        start = text.index("[ssh]")
        end = text.index("[local_users")
        config.write_text(text[:start] + "[limits]\nspool_bytes = 16777216\n\n" + text[end:])
        self.agent = node

    async def start_agent(self) -> None:
        assert self.agent is not None
        await asyncio.to_thread(self.agent.start)

    async def kill_agent(self) -> None:
        assert self.agent is not None
        await asyncio.to_thread(self.agent.stop, signal.SIGKILL)

    async def kill_journal(self) -> None:
        os.kill(self._journal_pid, signal.SIGKILL)
        assert self.journal._process is not None
        await self.journal._process.wait()

    async def start_journal(self) -> None:
        await self.journal._spawn()

    def connect(self) -> Wire:
        assert self.agent is not None
        return self.agent.connect()

    async def drained(self) -> None:
        """Wait until the journal has everything the agent's spool holds."""
        while True:
            wire = await asyncio.to_thread(self.connect)
            with wire:
                wire.send({"op": "call", "method": "status", "params": {}})
                item = await asyncio.to_thread(wire.until, "item")
            if item["value"]["spool"]["pending"] == 0:
                return
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        if self.agent is not None:
            await asyncio.to_thread(self.agent.close)
        await self.journal.stop(10)


@asynccontextmanager
async def site(directory: Path, *, policy: Path | None = None) -> AsyncIterator[Site]:
    """A started site, ended afterwards; `policy` are its modules in Rego."""
    made = Site(directory, policy)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()

"""A real journal with entries in it, for the commands that ask one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pactsh.auth.ca import new_agent_request
from pactsh.auth.issuer import DevIssuer
from pactsh.model.entry import Author, Draft
from pactsh.rpc.client import Journal
from tests.pact_agent.localnode import LocalNode, running

ADMIN = "alice@org"
NODE = "node042"
VCLUSTER = "ml-training"
PROGRAM = str(Path(sys.executable).with_name("pact-journal"))


@dataclass(frozen=True)
class RunningJournal:
    """Where it is, and what makes its tokens."""

    directory: Path
    endpoint: str
    agents: str
    ca: Path
    issuer: DevIssuer
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it for good."""
        self.process.kill()
        self.process.wait()

    def token(self, principal: str = ADMIN, roles: Sequence[str] = ("pact-platform-admin",)) -> str:
        return self.issuer.issue(principal, roles)

    def env(self, principal: str = ADMIN, roles: Sequence[str] = ("pact-platform-admin",)) -> dict[str, str]:
        """What a person's environment says."""
        return {
            "PACT_ENDPOINT": self.endpoint,
            "PACT_CA": str(self.ca),
            "PACT_TOKEN": self.token(principal, roles),
        }

    def append(self, *drafts: Draft) -> None:
        """Append as the agent of node042, which this enrols first."""

        async def run() -> None:
            ca = self.ca.read_bytes()
            key, request = new_agent_request(NODE)
            command = [PROGRAM, "join-token", NODE, "--vcluster", VCLUSTER, "--data-dir", str(self.directory)]
            joined = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            async with Journal(self.endpoint, ca=ca) as stranger:
                enrolled = await stranger.enroll_agent(NODE, joined, request, vcluster=VCLUSTER)
            cert = enrolled.certificate_pem
            async with Journal(self.agents, ca=ca, cert=cert, key=key) as agent:
                await agent.append(drafts)

        asyncio.run(run())

    @property
    def database(self) -> Path:
        (path,) = self.directory.glob("*.db")
        return path


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A real agent without a journal."""
    yield from running(LocalNode(tmp_path_factory.mktemp("n"), "[limits]\nspool_bytes = 4194304\n"))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RunningJournal]:
    """A `pact-journal` of one's own on a port of its own."""
    with serving(tmp_path / "j") as running_journal:
        yield running_journal


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJournal]:
    """A journal with a session in it, shared by the tests of a module, which only read."""
    with serving(tmp_path_factory.mktemp("j")) as running_journal:
        running_journal.append(*session_drafts())
        yield running_journal


@contextmanager
def serving(
    place: Path,
    config: Path | None = None,
    listen: tuple[str, str] = ("127.0.0.1:0", "127.0.0.1:0"),
    more: Sequence[str] = (),
) -> Iterator[RunningJournal]:
    """Run a journal until the block ends; with a `config` it trusts whom that says, and no development issuer.
    `listen`: for people, for agents; `more`: what else is on its line."""
    directory, ready, issuers = place / "journal", place / "ready.json", place / "issuer"
    place.mkdir(exist_ok=True)
    issuer = DevIssuer.open(issuers, clock=lambda: datetime.now(UTC))
    command = [PROGRAM, "serve", "--data-dir", str(directory), "--listen", listen[0]]
    command += ["--listen-agents", listen[1], "--ready-file", str(ready)]
    command += ["--dev-issuer", str(issuers)] if config is None else ["--config", str(config)]
    command += more
    log = place / "journal.log"  # and no pipe: it stops when nobody reads on
    with log.open("wb") as sink, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink) as process:
        assert process.stdout is not None
        if not process.stdout.readline().startswith(b"pact-journal: ready"):
            process.kill()
            pytest.fail(f"the journal did not start: {log.read_bytes()!r}")
        facts = json.loads(ready.read_text())
        try:
            yield RunningJournal(directory, facts["endpoint"], facts["agents"], Path(facts["ca"]), issuer, process)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def draft(number: int, type_: str = "intent", **fields: Any) -> Draft:
    """An entry of node042's agent about something that alice did."""
    values: dict[str, Any] = {
        "client": f"agent:{NODE}:test",
        "number": number,
        "time": f"2026-01-31T12:00:{number:02}.000000Z",
        "type": type_,
        "scope": f"node:{NODE}",
        "author": Author(ADMIN, ("pact-platform-admin",)),
        "session": "s1",
    }
    return Draft(**(values | fields))


def session_drafts(first: int = 1) -> list[Draft]:
    """A short session: a line that ran, one that failed, one that was refused."""
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("session.start", {"kind": "interactive", "source": "ssh", "peer": "10.0.0.9", "term": "xterm"}),
        ("intent", {"line": "uname -n", "class": "read", "id": "1"}),
        ("outcome", {"id": "1", "status": 0, "duration_ms": 12}),
        ("intent", {"line": "systemctl restart sshd", "class": "change", "dimension": "services", "id": "2"}),
        ("outcome", {"id": "2", "status": 1, "duration_ms": 1500}),
        ("refusal", {"line": "rm -rf /", "status": 6, "code": "not-catalogued", "reason": "rm is not known"}),
        ("session.end", {"status": 0, "reason": "exit", "lines": 3, "duration_ms": 60000}),
    ]
    return [draft(first + i, type_, body=body) for i, (type_, body) in enumerate(bodies)]

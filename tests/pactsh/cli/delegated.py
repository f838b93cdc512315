"""A journal, a lattice, and people at terminals: what the tests of deeds have in common."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect

from pactsh.rpc.client import Journal
from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import ADMIN, NODE, VCLUSTER, RunningJournal, draft, serving
from tests.pactsh.cli.program import PACT, clean_environment, run_pact

LIMIT_S = 30
OPS = ("olga@org", (f"pact-ops-{VCLUSTER}",))
VIEWER = ("vera@org", (f"pact-viewer-{VCLUSTER}",))
_numbers = itertools.count(1)


def wait_for(what: Callable[[], object]) -> None:
    """Until it is so; fails after a while."""
    until = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < until, "it has not come to that"
        time.sleep(0.02)


@dataclass
class Site:
    """Of one test. `home` is where configuration is looked for."""

    home: Path
    journal: RunningJournal
    lattice: LatticeServer
    more: dict[str, str] = field(default_factory=dict)

    def env(self, who: tuple[str, Sequence[str]] = (ADMIN, ("pact-platform-admin",))) -> dict[str, str]:
        return self.journal.env(*who) | {"PACT_LATTICE_ENDPOINT": self.lattice.endpoint} | self.more

    def pact(self, *args: str, who: tuple[str, Sequence[str]] | None = None) -> subprocess.CompletedProcess[str]:
        return run_pact(self.home, *args, env=self.env(who) if who else self.env())

    def start(self, *args: str) -> subprocess.Popen[str]:
        """The program, while something happens to it."""
        return subprocess.Popen(
            [PACT, *args],
            env=clean_environment(self.home, self.env()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def terminal(self, *args: str, who: tuple[str, Sequence[str]] | None = None) -> pexpect.spawn[str]:
        """The program, at a terminal."""
        env = clean_environment(self.home, (self.env(who) if who else self.env()) | {"TERM": "xterm"})
        return pexpect.spawn(
            str(PACT),
            list(args),
            env=env,
            encoding="utf-8",
            timeout=LIMIT_S,
            dimensions=(40, 120),
        )

    def entries(self, *types: str) -> list[dict[str, Any]]:
        """What is on record of these types, oldest first."""

        async def ask() -> list[dict[str, Any]]:
            async with Journal(
                self.journal.endpoint, ca=self.journal.ca.read_bytes(), token=self.journal.token()
            ) as journal:
                found = await journal.list(500, newest_first=False)
            return [
                {"type": e.type, "scope": e.scope, "by": e.author.principal, "message": e.message, **(e.body or {})}
                for e in found
                if e.type in types
            ]

        return asyncio.run(ask())

    def begun(self) -> list[tuple[str, str]]:
        """Actions and targets of what was begun."""
        return [(entry["action"], entry["target"]) for entry in self.entries("delegation.begun")]

    def ended(self) -> dict[tuple[str, str], int]:
        """The status of each action on each target that has ended."""
        return {(entry["action"], entry["target"]): entry["status"] for entry in self.entries("delegation.done")}

    def start_agent(self) -> None:
        """The agent of node042 starts, and says so."""
        number = next(_numbers)
        self.journal.append(draft(1, "agent.start", client=f"agent:{NODE}:{number}", session="", body={}))

    def set_policy(self, **values: object) -> None:
        words = [word for key, value in values.items() for word in ("--set", f"{key}={json.dumps(value)}")]
        done = self.pact("group", "set-policy", VCLUSTER, *words, "--yes")
        assert done.returncode == 0, done.stderr


@contextmanager
def site(place: Path, *, by_journal: bool = False, rego: str = "") -> Iterator[Site]:
    """A journal that knows node042, and a lattice that has it and nine others. `by_journal`: the journal is told of the
    lattice as well, and does what a second person has agreed to; `rego`: the site's own rules."""
    with LatticeServer() as lattice:
        config = place / "journal.toml"
        config.write_text(f'[lattice]\nendpoint = "http://{lattice.endpoint}"\n')
        more = ["--config", str(config)] if by_journal else []
        if rego:
            (place / "modules").mkdir()
            (place / "modules" / "site.rego").write_text(f"package pact.authz\nimport rego.v1\n{rego}\n")
            more += ["--policy-modules", str(place / "modules")]
        with serving(place / "j", more=more) as journal:
            for number in range(40, 50):
                lattice.add_node(f"node{number:03}")
            made = Site(place, journal, lattice)
            made.start_agent()
            yield made

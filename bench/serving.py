"""A `pact-journal` of one's own, ended whatever happens; it can be killed and started again where it was."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import CaseError
from bench.system import BIN, plain_environment
from pactsh.auth.ca import Authority
from pactsh.auth.issuer import DevIssuer

READY_TIMEOUT_S = 20


class Serving:
    """The journal whose data is in `directory`; `endpoint` is for people, `agents` for agents."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "journal"
        self._issuer = DevIssuer.open(directory / "issuer", clock=lambda: datetime.now(UTC))
        self._listen: Sequence[str] = ("127.0.0.1:0", "127.0.0.1:0")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.authority = Authority.load(self.data / "ca")

    @property
    def pid(self) -> int:
        """Of the journal's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def endpoint(self) -> str:
        """Where people's clients connect."""
        return self._listen[0]

    @property
    def agents(self) -> str:
        """Where agents connect."""
        return self._listen[1]

    def start(self) -> None:
        """Start it, after the first time at the same addresses, and wait until it is ready."""
        ready, log = self.directory / "ready.json", self.directory / "journal.log"
        ready.unlink(missing_ok=True)
        people, agents = self._listen
        options = ("--listen", people, "--listen-agents", agents, "--ready-file", str(ready))
        command = [str(BIN / "pact-journal"), "serve", "--data-dir", str(self.data)]
        command += ["--dev-issuer", str(self.directory / "issuer")]
        with open(log, "ab") as output:
            self._process = subprocess.Popen([*command, *options], stdout=output, stderr=output, cwd="/")
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise CaseError(f"pact-journal is not ready: {log.read_text()[-800:]}")
            time.sleep(0.02)
        facts = json.loads(ready.read_text())
        self._listen = (facts["endpoint"], facts["agents"])

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def token(self, principal: str = "admin@example.org", role: str = "pact-platform-admin") -> str:
        """A person's token."""
        return self._issuer.issue(principal, (role,))

    def environ(self) -> dict[str, str]:
        """What a person's `pact` needs to ask it."""
        return plain_environment(self.directory) | {
            "PACT_ENDPOINT": self.endpoint,
            "PACT_CA": str(self.data / "ca.pem"),
            "PACT_TOKEN": self.token(),
        }


@contextmanager
def serving(directory: Path) -> Iterator[Serving]:
    """A journal with its data below `directory`, until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    journal = Serving(directory)
    try:
        yield journal
    finally:
        journal.kill()

"""The policy that is in force on this node: the vCluster's as the journal last gave it, also when it can't be reached.

It is kept on disk, so that a node that starts without its journal decides as it did before: a policy that takes
commands away, or enforces, must not lose its hold by pulling a cable.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from pact_agent.spoolfiles import replace_file
from pactsh.catalog import Catalog
from pactsh.errors import PactError
from pactsh.policy.floor import above_floor
from pactsh.policy.model import Policy, parse_policy

_log = logging.getLogger(__name__)


class PolicyInForce:
    """Starts as `default`; the last document is kept in `path`. `judged`: the site's own policy has to be asked too.
    `heard`: the journal has said, now or earlier, what is in force here, be it nothing."""

    def __init__(self, default: Policy, catalog: Catalog, path: Path) -> None:
        self.current, self._catalog, self._path = default, catalog, path
        self.heard = asyncio.Event()
        self._none = path.with_suffix(".none")  # there while the journal has said that none was ever set
        self._mark = path.with_suffix(".judged")  # there while a policy in Rego is in force
        self.judged = self._mark.exists()

    @property
    def label(self) -> str:
        """How entries name it: `VCLUSTER:VERSION`."""
        return f"{self.current.vcluster}:{self.current.version}"

    def load(self) -> bool:
        """Take the one that was kept; whether there is one."""
        try:
            document = self._path.read_bytes()
        except FileNotFoundError:
            if self._none.exists():
                self.heard.set()
            return False
        except OSError as error:
            _log.error("%s: %s", self._path, error.strerror)
            return False
        taken = self._take(document, "kept")
        if taken:
            self.heard.set()
        return taken

    def arrived(self, document: bytes, seq: int, judged: bool = False) -> None:
        """Take over the journal's; one that can't be read leaves the old one in force."""
        self._judge(judged)
        if document.strip() in {b"", b"{}"}:  # none was ever set
            self._keep(self._none, b"", seq)
        elif self._take(document, str(seq)):
            self._keep(self._path, document, seq)
        else:
            return
        self.heard.set()

    def _keep(self, path: Path, content: bytes, seq: int) -> None:
        if path == self._none and (self._path.exists() or path.exists()):
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, content)
        except OSError as error:
            _log.error("policy %d is not kept for a start without journal: %s", seq, error.strerror)

    def _judge(self, judged: bool) -> None:
        if judged == self.judged:
            return
        self.judged = judged
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if judged:
                replace_file(self._mark, b"")
            else:
                self._mark.unlink(missing_ok=True)
        except OSError as error:
            _log.error("whether there is a policy in Rego is not kept: %s", error.strerror)

    def _take(self, document: bytes, name: str) -> bool:
        try:
            policy = parse_policy(document)
            if policy.vcluster != self.current.vcluster:
                raise PactError(f"it is for vCluster {policy.vcluster}")
        except PactError as error:
            _log.error("policy %s refused, the old one stays: %s", name, error.message)
            return False
        # The journal has checked it; an agent of another version, or a journal that lies, gets no wider for it.
        commands, dropped = above_floor(policy.commands, self._catalog)
        for text in dropped:
            _log.error("policy %s, left out: %s", name, text)
        self.current = msgspec.structs.replace(policy, commands=commands)
        return True

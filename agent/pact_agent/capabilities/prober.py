"""Looking at a node's capabilities: everything at once, in a thread, bounded in time.

What can't change before the next boot is read once. What can't be read in time is as it was, and a second look does not
begin while an earlier one hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from pact_agent.aside import aside
from pact_agent.capabilities.cpu import cpu
from pact_agent.capabilities.gpus import gpus, unanswered
from pact_agent.capabilities.memory import memory
from pact_agent.capabilities.network import network
from pact_agent.capabilities.smbios import Structure, tables
from pact_agent.capabilities.storage import Sizes, storage
from pact_agent.capabilities.system import system
from pact_agent.capabilities.tree import read_text
from pact_agent.dimensions.gpu import Gpus
from pact_agent.facts import NodeFacts
from pactsh import __version__
from pactsh.errors import PactError
from pactsh.model.capability import Capabilities, Cpu, Enforces, Gpu, Memory, Network, Storage, System
from pactsh.model.capwords import summary

_log = logging.getLogger(__name__)

_LIMIT_S = 8.0
_PATIENCE_S = 2.0


class Hardware(NamedTuple):
    """What one look finds of everything but GPUs."""

    cpu: Cpu
    memory: Memory
    network: Network
    storage: Storage
    system: System


class _Turn:
    """One at a time: of what hangs, threads would pile up at each look."""

    def __init__(self, what: str) -> None:
        self._what, self._lock = what, threading.Lock()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise PactError(f"{self._what}: an earlier look has not come back yet")
        try:
            yield
        finally:
            self._lock.release()


class Prober:
    """Of this node; `root` is where its file systems are."""

    def __init__(self, facts: NodeFacts, dimension: Gpus, root: Path = Path("/")) -> None:
        self._facts, self._dimension, self._root = facts, dimension, root
        self._sizes, self._turn = Sizes(), _Turn("looking at the hardware")
        self._firmware: tuple[tuple[Structure, ...] | None] | None = None
        self._cpu: tuple[str | None, Cpu] | None = None
        self._system: tuple[str | None, System] | None = None
        self._hardware: Hardware | None = None
        self._gpus: tuple[Gpu, ...] | None = None
        self._problem = ""

    async def look(self) -> Capabilities:
        """What is there now."""
        problems = await asyncio.gather(self._look_at_hardware(), self._look_at_gpus())
        if (problem := "; ".join(filter(None, problems))) not in ("", self._problem):
            _log.error("%s", problem)
        self._problem = problem
        return self._put_together()

    async def _look_at_hardware(self) -> str:
        """Returns what was in the way."""
        try:
            self._hardware = await aside(_LIMIT_S, "looking at the hardware", self._read)
        except PactError as error:
            return error.message
        return ""

    async def _look_at_gpus(self) -> str:
        """The same. A driver takes seconds when it begins, and the dimension looks at GPUs too: whoever does not get to
        it now has not heard that it hangs."""
        try:
            self._gpus = await aside(_LIMIT_S, "looking at GPUs", lambda: gpus(self._dimension, self._root))
        except PactError as error:
            if self._gpus is None or self._dimension.hangs():
                self._gpus = unanswered(self._gpus, self._root)
            return error.message
        return ""

    def latest(self) -> Capabilities | None:
        """What the last look found; None before the first. Asks nobody, so it can't take time."""
        return None if self._hardware is None and self._gpus is None else self._put_together()

    def summary(self) -> str | None:
        """The same in a line."""
        found = self.latest()
        return None if found is None else summary(found)

    def boot_id(self) -> str:
        """The kernel's id of this boot (random(4)), "" where it can't be read."""
        return read_text(self._root / "proc/sys/kernel/random/boot_id") or ""

    def _put_together(self) -> Capabilities:
        found = self._hardware
        return Capabilities(
            node=self._facts.node,
            gpus=self._gpus,
            cpu=found and found.cpu,
            memory=found and found.memory,
            network=found and found.network,
            storage=found and found.storage,
            system=found and found.system,
            containment=self._facts.containment(),
            enforces=msgspec.convert(self._facts.enforcement(), Enforces),
            versions={"pact": __version__, "kernel": platform.release(), "python": platform.python_version()},
        )

    def _read(self) -> Hardware:
        with self._turn.taken():
            if self._firmware is None:
                self._firmware = (tables(self._root),)
            online = read_text(self._root / "sys/devices/system/cpu/online")
            if self._cpu is None or self._cpu[0] != online:  # processors can be taken offline
                self._cpu = (online, cpu(self._root, self._firmware[0]))
            release = read_text(self._root / "etc/os-release")
            if self._system is None or self._system[0] != release:  # a distribution is upgraded while it runs
                self._system = (release, system(self._root))
            return Hardware(
                self._cpu[1],
                memory(self._root, self._firmware[0]),
                network(self._root),
                storage(self._root, self._sizes),
                self._system[1],
            )

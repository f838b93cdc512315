"""`capabilities.json` beside the agent's socket: what the node has, for the scheduler's agent and others on the node.

It is replaced whole, and only when something changed that lasts: no temperatures, no counts that grow by themselves, no
interfaces of containers.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from pact_agent.capabilities.prober import Prober
from pact_agent.clock import Clock, timestamp
from pactsh.model.capability import FORMAT, Capabilities, Gpu, Manifest

_log = logging.getLogger(__name__)

NAME = "capabilities.json"
INTERVAL_S = 30.0
_GATHER_S = 0.2


def lasting(found: Capabilities) -> Capabilities:
    """The same without what changes all the time."""
    replace = msgspec.structs.replace
    gpus, memory, network = found.gpus, found.memory, found.network
    if memory is not None and memory.huge_pages is not None:
        memory = replace(memory, huge_pages=tuple(replace(pool, free=None) for pool in memory.huge_pages))
    if network is not None and network.links is not None:
        network = replace(network, links=tuple(link for link in network.links if link.kind != "virtual"))
    calm = None if gpus is None else tuple(_calm(gpu) for gpu in gpus)
    return replace(found, gpus=calm, memory=memory, network=network)


def _calm(gpu: Gpu) -> Gpu:
    ecc = None if gpu.ecc is None else msgspec.structs.replace(gpu.ecc, corrected=None)
    return msgspec.structs.replace(gpu, temperature_c=None, ecc=ecc)


class Keeper:
    """Keeps the file in `directory`; `changed` is called when there is something new to report."""

    def __init__(self, directory: Path, prober: Prober, clock: Clock, changed: Callable[[], None]) -> None:
        self._path, self._prober, self._clock = directory / NAME, prober, clock
        self._changed = changed
        self._written: Capabilities | None = None
        self._told: Capabilities | None = None
        self._failed = ""
        self._woken = asyncio.Event()

    def look_soon(self) -> None:
        """Something has changed: look without waiting for the next time."""
        self._woken.set()

    async def run(self) -> None:
        """Look every 30 s, or when told to, until cancelled."""
        while True:
            self._woken.clear()
            try:
                self.keep(await self._prober.look())
            except Exception:  # noqa: BLE001  the top of a task: the shell goes on without this
                _log.exception("capabilities")
            try:
                async with asyncio.timeout(INTERVAL_S):
                    await self._woken.wait()
                    await asyncio.sleep(_GATHER_S)
            except TimeoutError:
                continue

    def keep(self, found: Capabilities) -> None:
        """Write what was found if it is not what is written."""
        found = lasting(found)
        if found != self._told:
            self._told = found
            self._changed()
        boot = self._prober.boot_id()
        if found == self._written or self._is_written(found, boot):
            self._written = found
            return
        document = Manifest(FORMAT, timestamp(self._clock.now()), boot, found)
        try:
            self._write(msgspec.json.encode(document) + b"\n")
        except OSError as error:
            if (why := str(error.strerror)) != self._failed:
                _log.error("%s is not written: %s", self._path, why)
            self._failed = why
            return
        self._written, self._failed = found, ""

    def _is_written(self, found: Capabilities, boot: str) -> bool:
        """Whether an agent before this one has written the same in this boot."""
        if self._written is not None:
            return False
        try:
            known = msgspec.json.decode(self._path.read_bytes(), type=Manifest)
        except (OSError, ValueError):  # DecodeError, ValidationError
            return False
        return (known.format, known.boot_id, known.capabilities) == (FORMAT, boot, found)

    def _write(self, data: bytes) -> None:
        """Replace the file. Nothing is synced: it says what is so now, and is made anew at each boot."""
        temporary = self._path.with_name(f".{NAME}.new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o644)  # whatever the umask
            file.write(data)
        os.replace(temporary, self._path)

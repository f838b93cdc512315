"""One agent: its parts (`wiring`) begun, kept at work, and ended, each in its turn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pact_agent.config import Config
from pact_agent.saved import boot_id
from pact_agent.spawnclient import Spawner
from pact_agent.sshd import advertised
from pact_agent.wiring import Wiring
from pactsh import __version__
from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

_IDLE_CHECK_S = 15.0
_RESTORE_RETRY_S = 3.0
_DRAIN_S = 3.0
_BEGIN_S = 10.0


class Agent:
    """The daemon. `start` opens the sockets, `run` works until told to stop, `close` ends it in order."""

    def __init__(self, config: Config, spawner: Spawner, secrets: tuple[str, ...]) -> None:
        self._parts = Wiring(config, spawner, secrets)
        self._beginning: set[asyncio.Task[None]] = set()
        self._unfinished: list[Path] = []

    async def start(self, inherited: dict[str, socket.socket]) -> None:
        """Record the start, then accept connections. Raises PactError where the node can't be served."""
        parts = self._parts
        parts.ssh_address = advertised(parts.config.ssh, inherited.get("ssh"))
        body: JsonObject = {
            "version": __version__,
            "vcluster": parts.membership.vcluster,
            "ssh_address": parts.ssh_address,
            "containment": parts.facts.containment(),
            "missing": list(parts.config.missing),
        }
        recovered = parts.spool.recovery.facts()
        if recovered:
            _log.warning("spool: found after the last end: %s", recovered)
            body["spool"] = recovered
        await parts.recorder.write("agent.start", parts.identity, body, message="agent started")
        parts.spool.watch_level(parts.levels.changed)
        boot = boot_id()
        parts.emergency.resume(boot)
        parts.loop = asyncio.get_running_loop()
        if parts.supervisor is not None:
            await parts.supervisor.begin(boot)
        await self._make_as_declared(boot)
        parts.spawner.request({"op": "reclaim", "id": 0})  # the spool's lock says that no other agent is at work here
        self._unfinished = parts.recordings.unfinished()
        parts.broker.listen(parts.config.socket_path, inherited.get("agent"))
        if parts.sshd is not None:
            await parts.sshd.listen(inherited.get("ssh"))

    async def _make_as_declared(self, boot: str) -> None:
        """Before anybody is let in; but a server that doesn't answer, or a full disk, keeps nobody out for long: who
        mends the node needs this agent."""
        beginning = asyncio.get_running_loop().create_task(self._parts.lifecycle.start(boot), name="declared state")
        beginning.add_done_callback(_begun)
        self._beginning.add(beginning)
        beginning.add_done_callback(self._beginning.discard)
        if not (await asyncio.wait({beginning}, timeout=_BEGIN_S))[0]:
            _log.warning("the node is not as declared yet: it goes on beside the work")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`: the uplink, the idle check. Raises PactError when the spawner has died, or the node is in
        another vCluster: the agent ends then, in order, and the service manager starts it again."""
        parts = self._parts
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._watch_idle(), name="idle sessions"),
                group.create_task(parts.lifecycle.run(), name="drift"),
                group.create_task(parts.keeper.run(), name="capabilities"),
                group.create_task(parts.recordings.recover(self._unfinished, parts.identity), name="recordings"),
            ]
            if parts.uplink is not None:
                tasks.append(group.create_task(parts.uplink.run(), name="uplink"))
                tasks.append(
                    group.create_task(parts.link.renewal(parts.clock, parts.renewed).run(), name="certificates")
                )
                if parts.declared.is_new:
                    tasks.append(group.create_task(self._restore(), name="deltas"))
            message = await self._stopped(stop)
            parts.tell("the agent of this node is stopping", "warning")
            if parts.sshd is not None:
                await parts.sshd.close()
            await parts.broker.close()
            await parts.recorder.write("agent.stop", parts.identity, {"version": __version__}, message=message)
            await self._drain()
            for task in tasks:
                task.cancel()
        if not stop.is_set():
            raise PactError(message, hint="the service manager restarts the agent")

    async def _restore(self) -> None:
        """Fetch what was committed on this node from the journal, once it answers: the files that had it are gone."""
        parts = self._parts
        history = parts.link.history(parts.spool)
        assert history is not None
        while True:
            try:
                if not parts.spool.pending():  # else it may not know yet what has ended
                    number = parts.spool.acknowledged()
                    deltas = await history.deltas(parts.config.node)
                    if await parts.lifecycle.restore(deltas, partial(self._is_last, number)):
                        return
            except PactError as error:
                _log.info("what was committed here is not known yet: %s", error.message)
            await asyncio.sleep(_RESTORE_RETRY_S)

    def _is_last(self, number: int) -> bool:
        """Whether this node has written nothing since that entry."""
        return not self._parts.spool.pending() and self._parts.spool.acknowledged() == number

    async def _stopped(self, stop: asyncio.Event) -> str:
        """Wait for the end and say why it comes."""
        while not stop.is_set():
            if not self._parts.spawner.alive:
                return "the command spawner died"
            if self._parts.membership.moved:
                return self._parts.membership.moved
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await stop.wait()
        return "agent stopped"

    async def _drain(self) -> None:
        """Give the last entries a moment to reach the journal; the spool keeps what doesn't."""
        parts = self._parts
        if parts.uplink is None or not parts.uplink.connected:
            return
        deadline = parts.clock.monotonic() + _DRAIN_S
        while parts.spool.pending() and parts.clock.monotonic() < deadline:  # noqa: ASYNC110  bounded, once in a life
            await asyncio.sleep(0.02)

    async def _watch_idle(self) -> None:
        parts = self._parts
        while True:
            await asyncio.sleep(_IDLE_CHECK_S)
            parts.sessions.expire_idle()
            await parts.emergency.check()
            parts.decider.tidy()
            if parts.sshd is not None:
                parts.sshd.expire_idle()

    async def close(self) -> None:
        """Close what is left; the spool last."""
        await self._parts.broker.close()
        if self._parts.supervisor is not None:
            await self._parts.supervisor.close(stop=self._parts.config.services.stop_with_agent)
        self._parts.spool.close()
        self._parts.contents.close()


def _begun(beginning: asyncio.Task[None]) -> None:
    if beginning.cancelled() or (error := beginning.exception()) is None:
        return
    text = error.message if isinstance(error, PactError) else ""
    _log.error("what is declared of this node can't be kept: %s", text, exc_info=None if text else error)

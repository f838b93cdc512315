"""Services as systemd has them, with what starts them: sockets, timers and paths.

Keys are names of units, `ssh.service`; values are `state=running enabled=enabled`: whether it runs and what systemd
calls the state of its unit file. What counts is what lasts:

- `running` is any unit that is up, a one-shot service that remains as well as a daemon; `failed` is told apart from
  `stopped`. On its way from one to another a unit is as it was, so that one that is started again after a crash, and a
  one-shot service at work, are no change.
- `on-demand` is a service that nothing wants at boot and that a socket, a timer, a path or the bus starts: it comes and
  goes on its own, and its failure is a matter of the last use.
- Left out are targets (they follow their services), mounts (another dimension), aliases, transient units, and
  instances that nobody enabled (`user@1000.service`, one for each connection, one for each terminal).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping

from dbus_fast import Message

from pact_agent.backoff import Backoff
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.systemd import NAME, UNIT, UP, Manager, RefusedError, Unit, connected
from pact_agent.dimensions.unitfiles import Stamp, UnitFiles, read_unit_files
from pact_agent.dimensions.unitsetting import Wanted, make, parse_wanted, take_away

_log = logging.getLogger(__name__)

KINDS = ("service", "socket", "timer", "path")
_STARTERS = ("socket", "timer", "path")
UNIT_NAME = re.compile(rf"[\w:.\\@-]{{1,240}}\.(?:{'|'.join(KINDS)})", re.ASCII)
_TEMPLATE = re.compile(r"[^@]*@\.\w+")
_ON_ITS_WAY = frozenset({"activating", "deactivating"})
_UNTOLD = frozenset({"alias", "transient"})
_LOOK_S, _MAKE_S = 9.0, 55.0
_GATHER_S = 0.1  # a change comes with several signals
_STEADY_S = 10.0


class Services:
    """The dimension. `root` is where the node's own root directory is, `own` the service that this process is."""

    name = "services"
    interval_s = 0.0
    lasting = True

    def __init__(self, root: str = "/", own: str | None = None) -> None:
        self._root = root
        self._own = own_service() if own is None else own
        self._reloads = 0  # how often systemd told that unit files have changed
        self._files = UnitFiles()
        self._listed: tuple[tuple[int, Stamp], dict[str, str]] | None = None
        self._states: dict[str, str] = {}

    def snapshot(self) -> dict[str, str]:
        """All units of these kinds; none without systemd. Raises `ApplyError` when systemd does not answer."""
        return asyncio.run(self._look()) if self._is_booted() else {}

    def summary(self) -> str | None:
        """How many services run and have failed, as of the last look; None where systemd is not what runs the node."""
        if not self._states:
            return None
        states = [state for name, state in self._states.items() if name.endswith(".service")]
        failed = f", {states.count('failed')} failed" if "failed" in states else ""
        return f"systemd, {states.count('running')} services running{failed}"

    def _is_booted(self) -> bool:
        """Whether systemd is what runs the node: sd_booted(3)."""
        return os.path.isdir(os.path.join(self._root, "run/systemd/system"))

    async def _look(self) -> dict[str, str]:
        async with connected(self._root, _LOOK_S) as manager:
            return await self._read(manager)

    async def _read(self, manager: Manager) -> dict[str, str]:
        # systemd takes long to list its files, so it is asked only when they have changed.
        reloads = self._reloads
        files = self._files = read_unit_files(self._root, self._files)
        stamp = (reloads, files.stamp)
        units = await manager.units()
        listed = self._listed
        if listed is None or listed[0] != stamp:
            listed = self._listed = (stamp, await manager.unit_files())
        states = states_of(units, await self._first_seen(manager, units))
        if self._own:
            states[self._own] = "running"  # as is who looks, whatever systemd has been told of that yet
        self._states = states
        return values_of(states, listed[1], files)

    async def _first_seen(self, manager: Manager, units: Iterable[Unit]) -> dict[str, str]:
        """The states before, with those of units that were never seen but on their way."""
        before = dict(self._states)
        for unit in units:
            if unit.name in before or not _is_starting(unit):
                continue
            with contextlib.suppress(RefusedError):  # it has gone meanwhile
                passing = unit.name.endswith(".service") and await _is_passing(manager, unit)
                before[unit.name] = "stopped" if passing else "running"
        return before

    def apply(self, key: str, value: str | None) -> None:
        """Start or stop a unit, and enable, disable, mask or unmask it. Raises `ApplyError`.

        Taken away is a unit by stopping and disabling it; that is all pact does where its file remains.
        """
        if not UNIT_NAME.fullmatch(key) or _TEMPLATE.fullmatch(key):
            raise ApplyError(f"{key!r} is not the name of a service, socket, timer or path")
        wanted = Wanted("stopped", None) if value is None else parse_wanted(key, value)
        if not self._is_booted():
            raise ApplyError(f"{key}: systemd does not run this node")
        if key == self._own and wanted.state not in {None, "running"}:
            raise ApplyError(f"{key} is what would do that: it does not stop itself")
        asyncio.run(self._make(key, None if value is None else wanted))

    async def _make(self, key: str, wanted: Wanted | None) -> None:
        async with connected(self._root, _MAKE_S) as manager:
            if wanted is None:
                await take_away(manager, key)
                return
            await make(manager, key, wanted)
            now = (await self._read(manager)).get(key, "")
        if wanted.state in {"running", "stopped"} and now.startswith("state=on-demand"):
            raise ApplyError(f"{key} is started by others when it is needed: enable it, or mask it")

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Wake when systemd tells of a unit or of unit files, and when it can be heard again after a while."""
        if not self._is_booted():
            return lambda: None
        loop = asyncio.get_running_loop()
        pending: list[asyncio.TimerHandle] = []

        def gathered() -> None:
            pending.clear()
            wake()

        def told() -> None:
            if not pending:
                pending.append(loop.call_later(_GATHER_S, gathered))

        task = loop.create_task(self._follow(told), name="services")

        def end() -> None:
            task.cancel()
            while pending:
                pending.pop().cancel()

        return end

    async def _follow(self, told: Callable[[], None]) -> None:
        """Listen to systemd for good; one that can't be reached is tried again after ever longer times."""
        loop, backoff = asyncio.get_running_loop(), Backoff(limit_s=10.0)
        while True:
            since = loop.time()
            try:
                async with connected(self._root) as manager:
                    await self._listen(manager, told)
                    told()  # whatever came before is not told any more
                    await manager.lost()
            except ApplyError as error:
                _log.debug("services: %s", error.message)
            if loop.time() - since > _STEADY_S:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _listen(self, manager: Manager, told: Callable[[], None]) -> None:
        active: dict[str, str] = {}

        def received(message: Message) -> None:
            if message.member == "UnitFilesChanged" or (message.member == "Reloading" and not message.body[0]):
                self._reloads += 1
                told()
            elif message.member == "PropertiesChanged" and message.body[0] == UNIT:
                state, known = message.body[1].get("ActiveState"), active.get(message.path or "")
                if state is not None and state.value != known and is_of_a_kind(message.path or ""):
                    active[message.path or ""] = state.value
                    told()
            elif message.member == "UnitRemoved":
                active.pop(message.body[1], None)

        await manager.watch_owner()
        units = f"path_namespace='/org/freedesktop/systemd1/unit',member='PropertiesChanged',arg0='{UNIT}'"
        members = ("UnitFilesChanged", "Reloading", "UnitRemoved")
        await manager.listen(received, units, *(f"member='{member}'" for member in members))


async def _is_passing(manager: Manager, unit: Unit) -> bool:
    interface = f"{NAME}.Service"
    if await manager.property(unit.path, interface, "Type") != "oneshot":
        return False
    return not await manager.property(unit.path, interface, "RemainAfterExit")


def is_of_a_kind(path: str) -> bool:
    """Whether the unit of an object's path is one that is told of here.

    >>> is_of_a_kind("/org/freedesktop/systemd1/unit/ssh_2eservice")
    True
    >>> is_of_a_kind("/org/freedesktop/systemd1/unit/session_2d1_2escope")
    False
    """
    return path.endswith(tuple(f"_2e{kind}" for kind in KINDS))


def states_of(units: Iterable[Unit], before: Mapping[str, str]) -> dict[str, str]:
    """The states of loaded units by name; a unit on its way is as it was.

    >>> unit = Unit("a.service", "loaded", "activating", "auto-restart")
    >>> states_of([unit], {"a.service": "running"}), states_of([unit], {})
    ({'a.service': 'running'}, {'a.service': 'stopped'})
    """
    return {unit.name: _state_of(unit, before.get(unit.name, "stopped")) for unit in units}


def _is_starting(unit: Unit) -> bool:
    """Whether it comes up: as all do that wait for their turn while the node boots."""
    return unit.active == "activating" or (unit.active == "inactive" and unit.job == "start")


def _state_of(unit: Unit, before: str) -> str:
    if unit.active in UP:
        return "running"
    if unit.active in _ON_ITS_WAY or _is_starting(unit):
        return before
    return "failed" if unit.active == "failed" else "stopped"


def values_of(states: Mapping[str, str], listed: Mapping[str, str], files: UnitFiles) -> dict[str, str]:
    """Values by key: of units with a file of their own, and of instances that are enabled.

    >>> values_of({"a.service": "running"}, {"a.service": "enabled", "b@.service": "static"}, UnitFiles())
    {'a.service': 'state=running enabled=enabled'}
    """
    kept = {name: word for name, word in files.wanted.items() if "@" in name and word != "static"}
    kept |= {name: word for name, word in listed.items() if word not in _UNTOLD and not _TEMPLATE.fullmatch(name)}
    found: dict[str, str] = {}
    for name, word in kept.items():
        if not UNIT_NAME.fullmatch(name):
            continue
        state = states.get(name, "stopped")
        if not word.startswith("masked") and _is_on_demand(name, states, files):
            state = "on-demand"
        found[name] = f"state={state} enabled={word}"
    return found


def _is_on_demand(name: str, states: Mapping[str, str], files: UnitFiles) -> bool:
    stem, _, kind = name.rpartition(".")
    if kind != "service" or name in files.wanted:
        return False
    starters = [f"{stem}.{starter}" for starter in _STARTERS]
    return name in files.called or any(s in files.wanted or states.get(s) == "running" for s in starters)


def own_service(cgroup: str = "/proc/self/cgroup") -> str:
    """The service that this process belongs to, nothing when it is none's."""
    with contextlib.suppress(OSError), open(cgroup, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            number, controllers, path = line.rstrip("\n").split(":", 2)
            names = [part for part in path.split("/") if part.endswith(".service")]
            if names and (number == "0" or controllers == "name=systemd"):
                return names[-1]
    return ""

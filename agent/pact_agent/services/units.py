"""The services of a node that systemd runs, asked and told over D-Bus."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pact_agent.dimensions.services import UNIT_NAME, own_service
from pact_agent.dimensions.systemd import NAME, UNIT, Manager, RefusedError, connected
from pact_agent.services import Changed, Service, Verb, unknown
from pact_agent.services.journald import unit_logs
from pactsh.errors import PactError, UsageError

_MEMBERS: dict[str, str] = {"start": "StartUnit", "stop": "StopUnit", "restart": "RestartUnit"}
_LOOK_S, _JOB_S, _CHANGE_S = 9.0, 22.0, 28.0
_LAST, _MOST_WORDS = 12, 3  # lines that are looked at, and that are told
_SETTLE_S = 0.3  # a service that can't do its work mostly ends at once, after systemd has called it started
_STATES = {
    "active": "running", "reloading": "running", "refreshing": "running", "activating": "starting",
    "deactivating": "stopping", "failed": "failed", "inactive": "stopped", "maintenance": "stopped",
}  # fmt: skip
_ENABLED = frozenset({"enabled", "enabled-runtime"})


class Units:
    """Of one node. `root` is where its root directory is seen, `own` the service that this process is."""

    name = "systemd"

    def __init__(self, root: str = "/", own: str | None = None) -> None:
        self._root, self._own = root, own_service() if own is None else own

    async def all(self) -> tuple[Service, ...]:
        """Services that are up, on their way or failed, and those enabled that should be."""
        async with connected(self._root, _LOOK_S) as manager:
            files = await manager.unit_files()
            found: list[Service] = []
            for unit in await manager.units():
                if not unit.name.endswith(".service") or unit.load != "loaded":
                    continue
                if unit.active != "inactive":
                    found.append(await _service(manager, unit.path))
                elif files.get(unit.name) in _ENABLED:
                    type_ = await manager.property(unit.path, f"{NAME}.Service", "Type")
                    found += [] if type_ == "oneshot" else [await _service(manager, unit.path)]
        return tuple(found)

    async def one(self, name: str) -> Service:
        """The unit of that name; without a suffix it is a service."""
        unit = spelled(name)
        async with connected(self._root, _LOOK_S) as manager:
            return await self._find(manager, unit)

    async def _find(self, manager: Manager, unit: str) -> Service:
        try:
            (path,) = await manager.call("LoadUnit", "s", unit)
        except RefusedError as error:
            raise UsageError(f"service: {unit[:80]}: {error.message}") from error
        if await manager.property(path, UNIT, "LoadState") == "not-found":
            names = {known.name for known in await manager.units()} | {*await manager.unit_files()}
            raise unknown(unit, sorted(known for known in names if UNIT_NAME.fullmatch(known)))
        return await _service(manager, path)

    def refusal(self, verb: Verb, name: str) -> str:
        """The agent does not end itself: nobody could say how it went."""
        if verb != "start" and name == self._own:
            return f"{name} is what would do that: it does not {verb} itself"
        return ""

    def along(self, _verb: Verb, _name: str) -> tuple[str, ...]:
        """What stops with it systemd decides, as it does for `systemctl` on a line."""
        return ()

    async def change(self, verb: Verb, name: str) -> Changed:
        """Have systemd do it and wait for its job."""
        async with connected(self._root, _CHANGE_S) as manager:
            result = await manager.job(_MEMBERS[verb], name, _JOB_S)
            if verb != "stop":
                await asyncio.sleep(_SETTLE_S)
            service = await self._find(manager, name)
        wanted = {"stopped", "failed"} if verb == "stop" else {"running", "exited", "starting", "stopped"}
        if result not in {"done", "skipped"} or service.state not in wanted or (verb != "stop" and service.why):
            raise PactError(
                f"service: {name}: {verb} ended with {service.why or result}", hint=await self._last_words(name)
            )
        return Changed(service)

    async def _last_words(self, name: str) -> str:
        """The last that it has said itself, on one line; what systemd says of it is known."""
        try:
            said = [line async for lines in unit_logs(name, _LAST, follow=False) for line in lines]
        except PactError:
            said = []
        return last_words(said) or f"pact service logs {name}"

    def logs(self, name: str, lines: int, *, follow: bool) -> AsyncGenerator[list[str], None]:
        """What journald has of the unit."""
        return unit_logs(name, lines, follow=follow)


def last_words(said: Sequence[str]) -> str:
    """The last lines of a service among those that journalctl shows, without when and where.

    >>> last_words(["2026-01-31T12:00:00+0000 n1 sh[7]: no disk", "2026-01-31T12:00:00+0000 n1 systemd[1]: x: Failed."])
    'no disk'
    """
    parts = [line.split(" ", 3) for line in said]
    return " | ".join([part[3] for part in parts if len(part) == 4 and part[2] != "systemd[1]:"][-_MOST_WORDS:])


def is_booted(root: str = "/") -> bool:
    """Whether systemd is what runs the node: sd_booted(3)."""
    return os.path.isdir(os.path.join(root, "run/systemd/system"))


def spelled(name: str) -> str:
    """The full name of a unit. Raises `UsageError` for what is none.

    >>> spelled("chrony"), spelled("ssh.socket")
    ('chrony.service', 'ssh.socket')
    """
    unit = name if UNIT_NAME.fullmatch(name) else f"{name}.service"
    if not UNIT_NAME.fullmatch(unit) or "@." in unit:
        raise UsageError(
            f"service: {name[:80]!r} is not the name of a service", hint="chrony, chrony.service, ssh.socket"
        )
    return unit


async def _service(manager: Manager, path: str) -> Service:
    unit = await manager.properties(path, UNIT)
    kind = str(unit["Id"]).rpartition(".")[2]
    own = await manager.properties(path, f"{NAME}.{kind.capitalize()}")
    state = _STATES.get(unit["ActiveState"], "stopped")
    if state == "running" and unit["SubState"] == "exited":
        state = "exited"
    waits = unit["SubState"] == "auto-restart"
    since = unit["ActiveEnterTimestampMonotonic"] / 1e6
    return Service(
        name=str(unit["Id"]),
        state="waiting" if waits else state,
        enabled=str(unit["UnitFileState"]),
        pid=int(own.get("MainPID", 0)) or None,
        uptime_s=round(time.monotonic() - since, 1) if state in {"running", "exited"} and since else None,
        restarts=int(own["NRestarts"]) if "NRestarts" in own else None,
        description=str(unit["Description"]),
        why=_why(own) if state == "failed" or waits else "",
        aliases=tuple(sorted({*unit["Names"]} - {unit["Id"]})),
    )


def _why(own: dict[str, Any]) -> str:
    """How it ended, as systemd has it.

    >>> _why({"Result": "exit-code", "ExecMainCode": 1, "ExecMainStatus": 3}), _why({"Result": "start-limit-hit"})
    ('exit-code (status 3)', 'start-limit-hit')
    """
    result, code, status = str(own.get("Result", "failed")), own.get("ExecMainCode", 0), own.get("ExecMainStatus", 0)
    how = {1: f" (status {status})", 2: f" (signal {status})", 3: f" (signal {status}, core dumped)"}.get(code, "")
    return result + how if result in {"exit-code", "signal", "core-dump"} else result

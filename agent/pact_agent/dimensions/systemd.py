"""A connection with systemd's manager (org.freedesktop.systemd1(5)), through the system's bus or without it.

systemd's own socket answers root where no bus runs, or where that one hangs. It is no bus: there are no names and
no matches, all signals come, and the greeting is refused, which the library takes for a name just as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec
from dbus_fast import DBusFastError, Message, MessageType
from dbus_fast.aio import MessageBus

from pact_agent.dimensions import ApplyError

NAME = "org.freedesktop.systemd1"
MANAGER, UNIT = f"{NAME}.Manager", f"{NAME}.Unit"
_PATH = "/org/freedesktop/systemd1"
_BUS, _BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
_PROPERTIES = "org.freedesktop.DBus.Properties"
UP = frozenset({"active", "reloading", "refreshing"})
# Where, whether that is systemd itself, and how long each try may take.
_SOCKETS = (("run/dbus/system_bus_socket", False, (3.0,)), ("run/systemd/private", True, (0.5, 1.0, 2.0)))
_PAUSE = 0.04  # of a try's time
_CALL_S, _CLOSE_S = 25.0, 1.0
_LOST = (OSError, EOFError, TimeoutError, DBusFastError)


class RefusedError(ApplyError):
    """systemd said no; `name` is what D-Bus calls the reason."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class Unit(msgspec.Struct, frozen=True):
    """A unit that systemd has loaded. `job` is what it is about to do: start, stop, ..., "" for nothing."""

    name: str
    load: str
    active: str
    sub: str
    path: str = ""
    job: str = ""


class _Direct(MessageBus):
    """systemd overlooks a greeting that comes along with the end of the authentication: sd-bus waits for more before
    it looks at what it has read (seen with 252). So there is a pause between the two, longer with each try."""

    def __init__(self, address: str, pause_s: float) -> None:
        super().__init__(address)
        self._pause_s = pause_s

    async def _authenticate(self) -> None:
        await super()._authenticate()
        await asyncio.sleep(self._pause_s)


class Manager:
    """One connection. What is asked raises `ApplyError`, in systemd's words where it answers."""

    def __init__(self, bus: MessageBus, *, direct: bool) -> None:
        self._bus, self._direct = bus, direct

    async def call(self, member: str, signature: str = "", *words: object) -> list[Any]:
        """Call a method of the manager; gives what it answers."""
        return await self._call(Message(NAME, _PATH, MANAGER, member, signature=signature, body=list(words)))

    async def property(self, path: str, interface: str, name: str) -> Any:
        """A property of the object there."""
        message = Message(NAME, path, _PROPERTIES, "Get", signature="ss", body=[interface, name])
        return (await self._call(message))[0].value

    async def properties(self, path: str, interface: str) -> dict[str, Any]:
        """All properties of one kind that the object there has."""
        message = Message(NAME, path, _PROPERTIES, "GetAll", signature="s", body=[interface])
        return {name: variant.value for name, variant in (await self._call(message))[0].items()}

    async def units(self) -> tuple[Unit, ...]:
        """The units that are loaded."""
        (found,) = await self.call("ListUnits")
        return tuple(
            Unit(name, load, active, sub, path, job if number else "")
            for name, _, load, active, sub, _, path, number, job, _ in found
        )

    async def unit_files(self) -> dict[str, str]:
        """The names of all unit files, and what systemd calls their state."""
        (found,) = await self.call("ListUnitFiles")
        return {os.path.basename(path): state for path, state in found}

    async def job(self, member: str, unit: str, limit_s: float) -> str:
        """Have a unit started or stopped and wait for the end of that: `done`, `failed`, `dependency` and alike."""
        results: dict[str, str] = {}
        ended = asyncio.Event()

        def told(message: Message) -> None:
            if message.member == "JobRemoved":
                _, path, _, result = message.body
                results[path] = result
                ended.set()

        await self.listen(told, f"interface='{MANAGER}',member='JobRemoved'")
        (job,) = await self.call(member, "ss", unit, "replace")
        try:
            async with asyncio.timeout(limit_s):
                while job not in results:
                    ended.clear()
                    await ended.wait()
        except TimeoutError:
            raise ApplyError(f"{unit}: {member} has not ended after {limit_s:.0f} s") from None
        return results[job]

    async def listen(self, told: Callable[[Message], None], *matches: str) -> None:
        """Have `told` called with signals of systemd that match, and with others."""

        def received(message: Message) -> None:
            if message.message_type is MessageType.SIGNAL:
                told(message)

        self._bus.add_message_handler(received)
        for match in () if self._direct else matches:
            await self._match(f"sender='{NAME}',{match}")
        await self.call("Subscribe")

    async def watch_owner(self) -> None:
        """End the connection when another systemd takes the name, as one that executes itself anew does."""

        def received(message: Message) -> None:
            if message.member == "NameOwnerChanged" and message.body[0] == NAME:
                self._bus.disconnect()

        if not self._direct:
            self._bus.add_message_handler(received)
            await self._match(f"sender='{_BUS}',member='NameOwnerChanged',arg0='{NAME}'")

    async def _match(self, rule: str) -> None:
        body: list[Any] = [f"type='signal',{rule}"]
        await self._call(Message(_BUS, _BUS_PATH, _BUS, "AddMatch", signature="s", body=body))

    async def lost(self) -> None:
        """Wait for the end of the connection."""
        with contextlib.suppress(*_LOST):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library does not say

    async def _call(self, message: Message) -> list[Any]:
        try:
            async with asyncio.timeout(_CALL_S):
                answer = await self._bus.call(message)
        except _LOST as error:
            raise ApplyError(f"systemd does not answer: {_words(error)}") from error
        if answer is None:
            raise ApplyError("systemd does not answer: the connection was closed")
        if answer.message_type is MessageType.ERROR:
            name = str(answer.error_name)
            raise RefusedError(str(answer.body[0]) if answer.body else name, name)
        return answer.body


@asynccontextmanager
async def connected(root: str, limit_s: float | None = None) -> AsyncIterator[Manager]:
    """A connection with the systemd whose sockets are below `root`, for so long at most. Raises `ApplyError`."""
    try:
        async with asyncio.timeout(limit_s):
            bus, direct = await _connect(root)
            try:
                yield Manager(bus, direct=direct)
            finally:
                bus.disconnect()
                with contextlib.suppress(*_LOST):
                    async with asyncio.timeout(_CLOSE_S):
                        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # as above
    except TimeoutError:
        raise ApplyError("systemd takes too long") from None


async def _connect(root: str) -> tuple[MessageBus, bool]:
    why: list[str] = []
    for place, direct, limits_s in _SOCKETS:
        for limit_s in limits_s:
            try:
                async with asyncio.timeout(limit_s):
                    address = f"unix:path={_quoted(os.path.join(root, place))}"
                    bus = _Direct(address, limit_s * _PAUSE) if direct else MessageBus(address)
                    await bus.connect()
                return bus, direct
            except TimeoutError:
                error = f"no answer within {limit_s} s"
            except _LOST as lost:
                error = _words(lost)
                break
        why.append(f"{place}: {error}")
    raise ApplyError(f"systemd can't be reached ({', '.join(why)})")


def _quoted(path: str) -> str:
    """A path as it is written in an address.

    >>> _quoted("/run/a b~,c")
    '/run/a%20b%7E%2Cc'
    """
    return quote(path).replace("~", "%7E")


def _words(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__

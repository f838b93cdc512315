"""Making a unit of systemd what is wanted: its file enabled, disabled or masked, and itself started or stopped."""

from __future__ import annotations

import re

import msgspec

from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.systemd import NAME, UNIT, UP, Manager, RefusedError

_WORD = re.compile(r"(state|enabled)=([a-z-]+)")
_STATES = frozenset({"running", "stopped", "failed", "on-demand"})
_JOB_S = 40.0
_RUNTIME = "-runtime"
_ABSENT = frozenset({"org.freedesktop.DBus.Error.FileNotFound", "org.freedesktop.systemd1.NoSuchUnit"})


class Wanted(msgspec.Struct, frozen=True):
    """`files` is the state of the unit's file; None leaves one of the two as it is."""

    state: str | None
    files: str | None


def parse_wanted(key: str, value: str) -> Wanted:
    """A value as a snapshot has it, or one of its two words. Raises `ApplyError`.

    >>> parse_wanted("a.service", "state=running enabled=enabled")
    Wanted(state='running', files='enabled')
    >>> parse_wanted("a.service", "enabled=masked-runtime")
    Wanted(state=None, files='masked-runtime')
    """
    words = [_WORD.fullmatch(word) for word in value.split()]
    found = {word[1]: word[2] for word in words if word is not None}
    if not found or len(found) != len(words) or found.get("state", "running") not in _STATES:
        raise ApplyError(f"{key}: {value!r} is not what a unit can be: state=running enabled=enabled and alike")
    return Wanted(found.get("state"), found.get("enabled"))


async def make(manager: Manager, unit: str, wanted: Wanted) -> None:
    """Make it so. A masked unit can't be started, so masking comes last and unmasking first."""
    files = _Files(manager, unit)
    if await files.state() == "alias":
        path, _ = await _active(manager, unit)
        raise ApplyError(f"{unit} is another name of {await manager.property(path, UNIT, 'Id')}: use that one")
    is_masking = wanted.files is not None and wanted.files.startswith("masked")
    if wanted.files is not None and not is_masking:
        await files.set(wanted.files)
    elif is_masking and wanted.state == "running" and not await _is_up(manager, unit):
        await files.unmask()
    await files.settle()
    await _set_state(manager, unit, wanted.state)
    if wanted.files is not None and is_masking:
        await files.set(wanted.files)
        await files.settle()


async def take_away(manager: Manager, unit: str) -> None:
    """Stop it and take away the links to it, with what masks it. Raises `ApplyError` where its file remains."""
    files = _Files(manager, unit)
    if await files.state() is None:
        return
    await _set_state(manager, unit, "stopped")
    await files.unmask()
    if await files.state() is not None:
        await files.disable()
    await files.settle()
    left = await files.state()
    if left is not None and "@" not in unit:
        raise ApplyError(f"{unit} is stopped and {left}; its file is not taken away by pact")


class _Files:
    """The files of one unit: its own, and the links to it."""

    def __init__(self, manager: Manager, unit: str) -> None:
        self._unit, self._manager = unit, manager
        self._is_changed = False

    async def state(self) -> str | None:
        """What systemd calls it; None when there is no such file."""
        try:
            (found,) = await self._manager.call("GetUnitFileState", "s", self._unit)
        except RefusedError as error:
            if error.name in _ABSENT:
                return None
            raise
        return str(found)

    async def set(self, wanted: str) -> None:
        """Enable, disable, mask or unmask it. Raises `ApplyError` for what is not a matter of links."""
        now = await self.state()
        if now is not None and now != wanted and now.startswith("masked"):
            await self.unmask()
            now = await self.state()
        if now != wanted:
            await self._link(wanted, now)
        if (now := await self.state()) != wanted:
            raise ApplyError(f"{self._unit} is {now or 'not there'} and can't be made {wanted}")

    async def _link(self, wanted: str, now: str | None) -> None:
        is_runtime = wanted.endswith(_RUNTIME)
        word = wanted.removesuffix(_RUNTIME)
        if word == "disabled" or (word == "enabled" and now is not None and now.startswith("enabled")):
            await self.disable()
        if word == "enabled":
            await self._change("EnableUnitFiles", "asbb", is_runtime, False)
        elif word == "masked":
            await self._change("MaskUnitFiles", "asbb", is_runtime, False)

    async def unmask(self) -> None:
        """Take away what masks it, if anything does."""
        for is_runtime in (False, True):
            await self._change("UnmaskUnitFiles", "asb", is_runtime)

    async def disable(self) -> None:
        """Take away all links that have it started."""
        for is_runtime in (False, True):
            await self._change("DisableUnitFiles", "asb", is_runtime)

    async def _change(self, member: str, signature: str, *flags: bool) -> None:
        answer = await self._manager.call(member, signature, [self._unit], *flags)
        self._is_changed = self._is_changed or bool(answer[-1])

    async def settle(self) -> None:
        """Have systemd read its files again where they have changed."""
        if self._is_changed:
            await self._manager.call("Reload")
            self._is_changed = False


async def _is_up(manager: Manager, unit: str) -> bool:
    return (await _active(manager, unit))[1] in UP


async def _active(manager: Manager, unit: str) -> tuple[str, str]:
    (path,) = await manager.call("LoadUnit", "s", unit)
    return path, str(await manager.property(path, UNIT, "ActiveState"))


async def _set_state(manager: Manager, unit: str, wanted: str | None) -> None:
    if wanted in {None, "on-demand"}:
        return
    _, active = await _active(manager, unit)
    if wanted == "failed":
        if active != "failed":
            raise ApplyError(f"{unit} had failed, which can't be made so again: it stays {active}")
        return
    if wanted == "running":
        if active not in UP:
            await _run(manager, "StartUnit", unit)
        return
    if active not in {"inactive", "failed"}:
        await _run(manager, "StopUnit", unit)
        _, active = await _active(manager, unit)
    if wanted == "stopped" and active == "failed":
        await manager.call("ResetFailedUnit", "s", unit)


async def _run(manager: Manager, member: str, unit: str) -> None:
    result = await manager.job(member, unit, _JOB_S)
    path, active = await _active(manager, unit)
    if result in {"done", "skipped"} and active != "failed":
        return
    if member == "StopUnit" and result == "done":
        return  # one that takes its end for a failure has ended
    kind = unit.rpartition(".")[2].capitalize()
    why = await manager.property(path, f"{NAME}.{kind}", "Result") if active == "failed" else result
    raise ApplyError(f"{unit}: {member} ended with {why}")

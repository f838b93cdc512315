"""Real services of a supervisor in a directory of its own: defined by a test, and all ended after it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from pact_agent.holder import began, descendants
from pact_agent.services.limits import ServiceGroups
from pact_agent.services.run import Run, Spec, read_state
from pact_agent.services.supervisor import Supervisor

LIMIT_S = 20.0
SPEC = Spec(
    command=("/bin/sleep", "1000"), environment={"PATH": os.defpath}, directory="/", uid=0, gid=0, gids=None,
    stop_signal=signal.SIGTERM, stop_timeout_s=10.0, max_bytes=1 << 20, files=3, groups=(), digest="d", boot="boot-1",
    restarts=0,
)  # fmt: skip


def spec_of(*command: str, **fields: object) -> Spec:
    """What a holder is to start."""
    return msgspec.structs.replace(SPEC, command=command, **fields)


def shell(text: str) -> tuple[str, ...]:
    """A service that is a script."""
    return ("/bin/sh", "-c", text)


def python(text: str) -> tuple[str, ...]:
    """A service in Python."""
    return (sys.executable, "-I", "-S", "-c", text)


async def until(check: Callable[[], object]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(LIMIT_S):
        while not check():
            await asyncio.sleep(0.02)


def is_there(pid: int) -> bool:
    """Whether a process runs, one that waits to be reaped not counted."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def said(directory: Path) -> list[str]:
    """What a service has said, without the times."""
    try:
        return [line.partition(" ")[2] for line in (directory / "log").read_text().splitlines()]
    except FileNotFoundError:
        return []


@asynccontextmanager
async def ending(directory: Path) -> AsyncIterator[Path]:
    """A directory for a service, which is ended with the block."""
    directory.mkdir(exist_ok=True)
    try:
        yield directory
    finally:
        end(directory)


def end(directory: Path) -> None:
    """Kill what a holder there has started, and it."""
    state = read_state(directory)
    if state is not None and began(state.holder) == state.holder_began:
        for pid in (*descendants(state.holder), state.holder):
            os.kill(pid, signal.SIGKILL)


class Services:
    """Definitions and what becomes of them; `agent()` is a new agent's supervisor over the same files."""

    def __init__(self, directory: Path, *, limited: bool = False) -> None:
        self.definitions, self.state = directory / "definitions", directory / "state"
        self.definitions.mkdir()
        self._limited = limited
        self.boot = "boot-1"

    def define(self, name: str, *command: str, more: str = "") -> None:
        """Write the file of a service."""
        user = f'user = "{_me()}"\n' if os.geteuid() else ""
        words = ", ".join(_quoted(word) for word in command)
        (self.definitions / f"{name}.toml").write_text(f"command = [{words}]\n{user}{more}\n")

    @asynccontextmanager
    async def agent(self, *, stop: bool = True) -> AsyncIterator[Supervisor]:
        """A supervisor that has begun; without `stop` its services go on."""
        groups = ServiceGroups(str(self.state), None if self._limited else ())
        supervisor = Supervisor(self.definitions, self.state, groups)
        await supervisor.begin(self.boot)
        try:
            yield supervisor
        finally:
            await supervisor.close(stop=stop)

    def pid(self, name: str) -> int:
        """The number of a service's process, 0 when none was started."""
        state = read_state(self.state / name)
        return 0 if state is None else state.pid

    def said(self, name: str) -> list[str]:
        return said(self.state / name)

    def end(self) -> None:
        for directory in self.state.glob("*/"):
            end(directory)


async def ended(run: Run) -> tuple[int | None, int | None]:
    """The status or the signal of a run, once it is over."""
    async with asyncio.timeout(LIMIT_S):
        how = await run.ended()
    return how.status, how.signal


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _me() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name

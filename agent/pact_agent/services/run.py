"""One run of a service as the agent sees it: started through a holder, or found again after the agent was replaced."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pact_agent.aside import aside
from pact_agent.holder import LOCK, STATE, began, descendants
from pact_agent.services.restarts import Ended
from pactsh.errors import PactError

_START_S, _FOUND_S, _AGAIN_S = 20.0, 5.0, 0.05
_UNWATCHED_S = 0.5  # how often it is looked at where the kernel tells nobody
_ENVIRONMENT = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


class Spec(msgspec.Struct, frozen=True):
    """What a holder starts; `gids` None: as the holder itself. `groups` are its control groups."""

    command: Sequence[str]
    environment: dict[str, str]
    directory: str
    uid: int
    gid: int
    gids: tuple[int, ...] | None
    stop_signal: int
    stop_timeout_s: float
    max_bytes: int
    files: int
    groups: tuple[str, ...]
    digest: str
    boot: str
    restarts: int


class HowEnded(msgspec.Struct, frozen=True):
    """What a holder says of the end; `asked`: it was told to."""

    status: int | None
    signal: int | None
    asked: bool
    lasted_s: float


class State(msgspec.Struct, frozen=True):
    """What a holder has written down."""

    holder: int
    holder_began: int
    pid: int
    began: int
    digest: str
    boot: str
    groups: tuple[str, ...]
    restarts: int
    monotonic: float
    ended: HowEnded | None


class Run:
    """A service that was started, with its holder."""

    def __init__(self, directory: Path, state: State) -> None:
        self._directory, self.state = directory, state

    @property
    def lasted_s(self) -> float:
        """How long it has been up."""
        return max(0.0, time.monotonic() - self.state.monotonic)

    def stop(self) -> None:
        """Have its holder stop it, which ends with it."""
        if began(self.state.holder) == self.state.holder_began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.state.holder, signal.SIGTERM)

    async def ended(self) -> Ended:
        """Wait for the end of it, and of all that it has started."""
        await self._gone()
        _reap(self.state.holder)
        return how_ended(self._directory, self.state)

    async def _gone(self) -> None:
        """Wait until the holder has gone."""
        state = self.state
        try:
            fd = os.pidfd_open(state.holder)
        except ProcessLookupError:
            return
        except OSError:  # a kernel before 5.3
            while began(state.holder) == state.holder_began:  # noqa: ASYNC110
                await asyncio.sleep(_UNWATCHED_S)
            return
        gone, loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            if began(state.holder) != state.holder_began:
                return
            loop.add_reader(fd, gone.set)
            await gone.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # an earlier agent's
        os.waitpid(pid, os.WNOHANG)


async def start(directory: Path, spec: Spec) -> Run:
    """Start a service in its own directory. Raises `PactError` with the reason when it can't be executed."""
    return await aside(_START_S, "starting a holder", lambda: _start(directory, spec))


def _start(directory: Path, spec: Spec) -> Run:
    source = str(Path(__file__).resolve().parent.parent.parent)
    code = f"import sys; sys.path.insert(0, {source!r}); from pact_agent import holder; sys.exit(holder.main())"
    # No fork of this process: without a preexec_fn Python (3.11, Linux) uses vfork, and nothing of ours runs between.
    # Not asyncio's: that kills what it has started when the loop ends, and a holder stays.
    process = subprocess.Popen(
        (sys.executable, "-I", "-S", "-c", code, str(directory)), env=_ENVIRONMENT, cwd="/", start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as asking, process.stdout as answering:
        with contextlib.suppress(BrokenPipeError):
            asking.write(msgspec.json.encode(spec))
            asking.close()
        answer, _, why = answering.readline().decode(errors="replace").strip().partition(" ")
    state = read_state(directory)
    if answer != "started" or state is None or state.holder != process.pid:
        process.terminate()  # one that has started and can't write down that it has
        process.wait()
        raise PactError(why or "its holder ended at once")
    process.returncode = 0  # it is let go: what has become of it is found out by its number
    return Run(directory, state)


async def find(directory: Path, boot: str) -> Run | Ended | None:
    """What has become of a service that an earlier agent has started in this boot: it runs, it has ended by itself, or
    (None) it was not started or was told to end."""
    ends = time.monotonic() + _FOUND_S
    while is_held(directory):
        state = read_state(directory)
        if state is not None and state.ended is None and began(state.holder) == state.holder_began:
            return Run(directory, state)
        if time.monotonic() > ends:
            raise PactError(f"{directory}: it is held by somebody who does not say who it is")
        await asyncio.sleep(_AGAIN_S)  # its holder has just begun, or is about to end
    state = read_state(directory)
    if state is None or state.boot != boot or (state.ended is not None and state.ended.asked):
        return None
    return how_ended(directory, state)


def is_held(directory: Path) -> bool:
    """Whether a holder is at work there."""
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def read_state(directory: Path) -> State | None:
    """What the last holder there has written down; None when that is nothing that can be read."""
    try:
        return msgspec.convert(json.loads((directory / STATE).read_bytes()), State)
    except (OSError, ValueError):  # DecodeError, ValidationError
        return None


def how_ended(directory: Path, state: State) -> Ended:
    """How that run ended; what a holder that was killed leaves behind is ended here."""
    now = read_state(directory)
    if now is not None and (now.holder, now.holder_began) == (state.holder, state.holder_began) and now.ended:
        return Ended(now.ended.status, now.ended.signal, "", state.restarts, now.ended.lasted_s)
    for path in state.groups:
        with contextlib.suppress(OSError), open(f"{path}/cgroup.kill", "wb", buffering=0) as file:
            file.write(b"1")
    if began(state.pid) == state.began != 0:
        for pid in (*descendants(state.pid), state.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return Ended(signal=signal.SIGKILL, why="its holder was killed", restarts=state.restarts)

"""What the supervisor's parts have in common: a log file that explains a death."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

Note = Callable[[str, int], None]

# Starts a program that gets SIGTERM when the supervisor dies, even by SIGKILL: prctl(2), PR_SET_PDEATHSIG.
# Not in a preexec_fn: the supervisor has threads.
ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()

LOG_TAIL_LINES = 6
RESTARTS_LIMIT = 5
RESTARTS_WITHIN_S = 30.0


def program(name: str) -> str:
    """The path of one of our programs: beside this interpreter, where it was installed with us."""
    return os.path.join(os.path.dirname(sys.executable), name)


def code_directories() -> tuple[str, ...]:
    """Directories that our programs are loaded from: interpreter, environment, a checkout."""
    import pactsh

    checkout = os.path.dirname(os.path.dirname(os.path.abspath(pactsh.__file__)))
    found = {os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, checkout)} | {sys.prefix, checkout}
    return tuple(sorted(p for p in found if p not in {"/", "/usr"}))


def environment() -> dict[str, str]:
    """A fixed environment for the parts: nothing of the caller's."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": "/"}


def last_lines(log: Path) -> list[str]:
    """The end of a log, to explain a failure; empty when there is none."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        return []


def render_status(status: int) -> str:
    """How a process ended, in words; `status` as a shell has it or as subprocess (negative: signal).

    >>> render_status(137), render_status(-9), render_status(1)
    ('SIGKILL', 'SIGKILL', 'status 1')
    """
    number = -status if status < 0 else status - 128
    if number in {int(s) for s in signal.Signals}:
        return signal.Signals(number).name
    return f"status {status}"


async def wait_exit(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """End a process of ours: SIGTERM, and SIGKILL when it takes longer than `grace_s`."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        process.kill()
        await process.wait()

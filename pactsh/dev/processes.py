"""Processes named so that a number used twice is never mistaken: pid and start time.

The start time is field 22 of /proc/PID/stat, in clock ticks since boot; see proc(5).
Signals go through pidfd_open(2), so that the check and the signal mean the same process.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

START_TIME_FIELD = 21 - 2  # counted from 0, after the command name, which is cut off


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this boot."""

    pid: int
    start: int


def start_time(pid: int) -> int | None:
    """When `pid` started, or None when there is no such process (a zombie counts as none)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else int(fields[START_TIME_FIELD])


def identify(pid: int) -> Process | None:
    """The process that has `pid` now."""
    start = start_time(pid)
    return None if start is None else Process(pid, start)


def is_alive(process: Process) -> bool:
    """Whether this very process still runs."""
    return start_time(process.pid) == process.start


def end(processes: Iterable[Process], *, grace_s: float) -> None:
    """Ask the processes to end (SIGTERM), wait up to `grace_s`, then end them (SIGKILL) and wait.

    Those that are gone, or whose number now belongs to another, are passed over.
    """
    open_fds = {fd for p in processes if (fd := _open(p)) is not None}
    try:
        _signal(open_fds, signal.SIGTERM)
        left = _wait(open_fds, grace_s)
        _signal(left, signal.SIGKILL)
        _wait(left, grace_s)
    finally:
        for fd in open_fds:
            os.close(fd)


def _open(process: Process) -> int | None:
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return None
    if is_alive(process):
        return fd
    os.close(fd)
    return None


def _signal(fds: Iterable[int], number: int) -> None:
    for fd in fds:
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            pass


def _wait(fds: set[int], timeout_s: float) -> set[int]:
    """Wait for the processes behind `fds`; returns those that still run at the end."""
    left = set(fds)
    poller = select.poll()
    for fd in left:
        poller.register(fd, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    while left and (remaining := deadline - time.monotonic()) > 0:
        for fd, _ in poller.poll(remaining * 1000):
            poller.unregister(fd)
            left.discard(fd)
    return left

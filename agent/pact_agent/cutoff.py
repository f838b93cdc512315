"""Confirmed from outside: a change of the network may cut off whoever made it, so it is committed only from a
connection that was opened after it, or from the node's console. Anybody else's window ends in a rollback, which brings
the node back.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

from pactsh.errors import PolicyError
from pactsh.model.delta import Drifted

CONSOLE = math.inf
_NO_LOGIN = 0xFFFFFFFF
# In Linux's list of devices: the consoles tty1 to tty63, serial lines, /dev/console, hypervisors' and boards' consoles.
_CONSOLES = {4: range(1, 256), 5: range(1, 2), 204: range(256), 229: range(256)}


class CutOff:
    """When this agent first saw each change of the network, in monotonic seconds: never too early."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str | None], float] = {}

    def note(self, drift: Sequence[Drifted], now: float) -> None:
        """All that has drifted, as found now."""
        there = [(item.change.name, item.change.after) for item in drift if item.change.dimension == "network"]
        self._seen = {key: self._seen.get(key, now) for key in there}

    def check(self, chosen: Sequence[Drifted], reached: float) -> None:
        """Raises `PolicyError` where one is a change of the network and whoever commits it has not come here since."""
        late = [
            item.change.name
            for item in chosen
            if item.change.dimension == "network"
            and reached <= self._seen.get((item.change.name, item.change.after), math.inf)
            and reached != CONSOLE
        ]
        if late:
            more = f" and {len(late) - 1} more" if len(late) > 1 else ""
            raise PolicyError(
                f"{late[0]}{more}: a change of the network is committed from a connection opened after it",
                hint="that one comes through shows that nobody is cut off: connect anew, or use the console",
            )


def reached_by(pid: int, now: float, proc: str = "/proc") -> float:
    """Since when (monotonic) the login that a process belongs to is here; `CONSOLE` for one at the node's own console.

    A login begins with the oldest of the processes above it that are of the same audit session, which nobody changes
    once it is set (pam_loginuid(8), proc_pid_sessionid(5)); where there are none, with the oldest above it at all. So
    no new session or terminal makes it younger. What can't be told, as what has left its parents, is as old as can be.
    """
    try:
        if _is_console(_stat(pid, proc)[4]):
            return CONSOLE
        login, began = _login(pid, proc), math.inf
        while pid > 1:
            fields = _stat(pid, proc)
            began = min(began, fields[19] / os.sysconf("SC_CLK_TCK"))
            pid = fields[1]
            if pid > 1 and login != _NO_LOGIN and _login(pid, proc) != login:
                break  # what let the person in
        if pid == 1:
            return -math.inf
    except (OSError, ValueError, IndexError):
        return -math.inf
    return now - (time.clock_gettime(time.CLOCK_BOOTTIME) - began)


def _is_console(terminal: int) -> bool:
    return os.minor(terminal) in _CONSOLES.get(os.major(terminal), ())


def _login(pid: int, proc: str) -> int:
    try:
        return int(Path(proc, str(pid), "sessionid").read_text())
    except FileNotFoundError:
        return _NO_LOGIN  # a kernel without audit


def _stat(pid: int, proc: str) -> list[int]:
    """The fields of proc_pid_stat(5) from the state on, which is 0 here: [1] the parent, [4] the terminal, [19] the
    start in ticks since the boot."""
    fields = Path(proc, str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
    return [0, *map(int, fields[1:])]

"""Starting and ending a dev system from the command line: the supervisor's starter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pactsh.dev.journal import administrator_token
from pactsh.dev.layout import Layout, State, running, take_lock
from pactsh.dev.processes import end, identify
from pactsh.dev.supervisor import STOP_WITHIN_S, Plan, clear_stale
from pactsh.errors import PactError, error_of

# The supervisor ends the nodes and then the journal, each within its own limit.
SUPERVISOR_STOP_S = 2 * STOP_WITHIN_S + 5
LOCK_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Event:
    """What the supervisor said: `notice` (text), `ready`, or `stopped`."""

    kind: str
    text: str = ""
    endpoint: str = ""
    nodes: tuple[str, ...] = ()


class Running:
    """A supervisor that this process started."""

    def __init__(self, plan: Plan) -> None:
        reader, writer = os.pipe()
        command = (sys.executable, "-m", "pactsh.dev.supervisor", str(writer))
        # A session of its own: ^C at our terminal is for us, and we tell it.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(writer,), start_new_session=True
        )
        os.close(writer)
        self._events = open(reader, encoding="utf-8")  # noqa: SIM115  closed by leave()
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(plan.encode())

    def events(self) -> Iterator[Event]:
        """What happens, until it ends; raises the `PactError` that ended it."""
        for line in self._events:
            raw: dict[str, Any] = json.loads(line)
            if raw["event"] == "failed":
                self._process.wait()
                raise error_of(raw["kind"], raw["message"], raw["hint"])
            yield Event(raw["event"], raw.get("text", ""), raw.get("endpoint", ""), tuple(raw.get("nodes", ())))
        if (status := self._process.wait()) != 0:
            raise PactError(f"dev: the supervisor ended with status {status}", hint="see supervisor.log")

    def stop(self) -> None:
        """Ask it to end everything; `events` goes on until it has."""
        self._process.send_signal(signal.SIGTERM)

    def finish(self) -> None:
        """Ask it to end everything and wait until it has, whatever it has to say about that."""
        self.stop()
        for _ in self._events:
            pass
        self._process.wait()
        self._events.close()

    def leave(self) -> None:
        """Let it go on without us."""
        self._events.close()


def bring_down(directory: Path) -> bool:
    """End everything that runs in `directory`, also what a killed supervisor left; false: nothing did.

    Raises `PactError` when a supervisor does not let go.
    """
    layout = Layout(Path(os.path.realpath(directory)))
    if not layout.lock.exists():
        return False
    lock = take_lock(layout)
    stopped = lock is None
    if lock is None:
        lock = _stop_supervisor(layout)
    try:
        return clear_stale(layout) or stopped
    finally:
        os.close(lock)


def _stop_supervisor(layout: Layout) -> int:
    """End the supervisor and take its lock over."""
    try:
        process = identify(int(layout.lock.read_text(encoding="ascii")))
    except (OSError, ValueError):
        process = None
    if process is not None:
        end((process,), grace_s=SUPERVISOR_STOP_S)
    deadline = time.monotonic() + 1
    while (lock := take_lock(layout)) is None:
        if time.monotonic() > deadline:
            raise PactError(f"dev: {layout.lock}: still held", hint="end the process that holds it")
        time.sleep(LOCK_POLL_S)
    return lock


def environment_of(layout: Layout, state: State, node: str | None) -> dict[str, str]:
    """The variables that make `pact` and `pactsh` speak to this system (and, with `node`, to its agent)."""
    variables = {
        "PACT_ENDPOINT": state.endpoint,
        "PACT_CA": str(layout.ca),
        "PACT_TOKEN": administrator_token(layout),
    }
    if node is not None:
        variables["PACT_AGENT_SOCKET"] = str(layout.agent_socket(node))
    return variables


__all__ = ["Event", "Running", "bring_down", "environment_of", "running"]

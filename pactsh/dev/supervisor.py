"""The process that runs a dev system: starts its parts, watches them, ends them.

Started as `python -m pactsh.dev.supervisor FD` with the plan as JSON on its standard
input; it tells its starter what happens as JSON lines on descriptor FD. It holds the
directory's lock for as long as it runs; the state file names every process, so that
`pact dev down` finishes the work of a supervisor that was killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pactsh.dev import linux
from pactsh.dev.journal import JournalPart
from pactsh.dev.layout import Layout, State, check_names, load_state, make_directory, sign_lock, take_lock
from pactsh.dev.processes import end, identify, is_alive
from pactsh.dev.simulated import NodePart
from pactsh.errors import ConflictError, PactError

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0

Say = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `starter`: the pid whose end is ours as well; 0 for a system of its own. `policy`: a directory of
    modules in Rego, "" for none."""

    directory: str
    nodes: tuple[str, ...]
    vcluster: str
    starter: int
    policy: str = ""

    def encode(self) -> bytes:
        """As the supervisor reads it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Plan:
        """Read what `encode` made."""
        raw: dict[str, Any] = json.loads(data)
        return cls(raw["directory"], tuple(raw["nodes"]), raw["vcluster"], raw["starter"], raw["policy"])


class Supervisor:
    """One dev system, from its lock to its end."""

    def __init__(self, plan: Plan, layout: Layout, say: Say) -> None:
        self._plan = plan
        self._layout = layout
        self._say = say
        self._state = State(plan.vcluster, plan.nodes)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Bring everything up, stay until told to stop, bring it down; raises `PactError` if it can't."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        self._note("supervisor", os.getpid())
        journal = JournalPart(self._layout, self._note, self._say, self._plan.policy)
        nodes = [NodePart(self._layout, n, self._plan.vcluster, self._note, self._say) for n in self._plan.nodes]
        try:
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self._work(journal, nodes))
                await self._stop.wait()
                self._say(event="notice", text="stopping")
                work.cancel()
        except* PactError as group:
            raise _first(group) from None
        finally:
            self._state.ready = False
            await asyncio.gather(*(n.stop(STOP_WITHIN_S) for n in nodes))
            await journal.stop(STOP_WITHIN_S)
            self._state.processes.clear()
            self._save()

    async def _work(self, journal: JournalPart, nodes: list[NodePart]) -> None:
        patience_s = READY_WITHIN_S + len(nodes)  # a hundred on two processors take 45 s
        async with asyncio.TaskGroup() as tasks:
            try:
                async with asyncio.timeout(patience_s):
                    await self._start(journal, nodes)
            except TimeoutError:
                raise PactError(
                    f"dev: not ready within {patience_s:.0f} s", hint=f"see the logs in {self._layout.directory}"
                ) from None
            self._state.endpoint = journal.endpoint
            self._state.ssh = {n.name: n.port for n in nodes}
            self._state.ready = True
            self._save()
            self._say(event="ready", endpoint=journal.endpoint, nodes=[n.name for n in nodes])
            tasks.create_task(journal.watch())
            for node in nodes:
                tasks.create_task(node.watch())

    async def _start(self, journal: JournalPart, nodes: list[NodePart]) -> None:
        """Namespaces are made while the journal starts; agents start when both are there."""
        async with asyncio.TaskGroup() as tasks:
            started = tasks.create_task(journal.start())
            prepared = [tasks.create_task(n.prepare()) for n in nodes]
            await started
            for node, task in zip(nodes, prepared, strict=True):
                await task
                tasks.create_task(node.start(journal))

    def _note(self, what: str, pid: int) -> None:
        """Remember a process before anything else can happen to us."""
        process = identify(pid)
        if process is not None:
            self._state.processes[what] = process
            self._save()

    def _save(self) -> None:
        self._state.save(self._layout)


def _first(group: BaseExceptionGroup[PactError]) -> PactError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PactError)
    return error


def clear_stale(layout: Layout) -> bool:
    """End what an earlier supervisor left behind; false: nothing. The caller holds the lock."""
    state = load_state(layout)
    left = [p for p in state.processes.values() if is_alive(p)] if state else []
    end(left, grace_s=STOP_WITHIN_S)
    layout.state.unlink(missing_ok=True)
    return bool(left)


def _run(plan: Plan, say: Say) -> None:
    layout = make_directory(Path(plan.directory))
    check_names(plan.nodes, layout)
    lock = take_lock(layout)
    if lock is None:
        raise ConflictError(
            f"dev: a system is already running in {layout.directory}", hint="end it with: pact dev down"
        )
    sign_lock(lock)
    clear_stale(layout)
    log = os.open(layout.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(Supervisor(plan, layout, say).run())


def main() -> int:
    """Read the plan, run it, say how it ended."""
    out = int(sys.argv[1])

    def say(**fields: object) -> None:
        try:
            os.write(out, json.dumps(fields).encode() + b"\n")
        except BrokenPipeError:
            pass  # the starter has gone: a detached system goes on

    plan = Plan.decode(sys.stdin.buffer.read())
    if plan.starter:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != plan.starter:
            return 0
    os.umask(0o077)
    try:
        _run(plan, say)
    except PactError as error:
        say(event="failed", kind=error.kind, message=error.message, hint=error.hint)
        return error.code
    say(event="stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""From a decision to processes: which file is executed, with which environment, within which bounds."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pact_agent.config import Limits
from pact_agent.io import Io
from pact_agent.prepare import PreparedStage
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import StageSpec
from pactsh.errors import NotFoundError
from pactsh.policy.decision import Program, StageDecision

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def environment(io: Io) -> dict[str, str]:
    """The fixed environment of commands (DESIGN.md section 4); nothing of the caller's but checked names."""
    env = {
        "PATH": PATH,
        "LANG": io.lang,
        "TERM": io.terminal.term if io.terminal else io.term,
        "PAGER": "cat",
        "SYSTEMD_PAGER": "",
        "SYSTEMD_PAGERSECURE": "1",
        "LESSSECURE": "1",
        "HOME": "/",
    }
    if io.terminal is not None:
        env |= {"COLUMNS": str(io.terminal.cols), "LINES": str(io.terminal.rows)}
    return env


def resolve_program(name: str, program: Program) -> str:
    """The first candidate that exists and that root owns, along with its directory; raises `NotFoundError`."""
    for path in program.paths:
        try:
            info, above = os.stat(path), os.stat(os.path.dirname(path))
        except OSError:
            continue
        if not os.access(path, os.X_OK):
            continue
        if info.st_mode & 0o022 or above.st_mode & 0o022:
            raise NotFoundError(
                f"{name}: {path} can be written by others than its owner, so it is not run",
                hint=f"chmod go-w {path}",
            )
        return path
    raise NotFoundError(f"{name}: not installed on this node", hint="looked for " + ", ".join(program.paths))


def plan_of(decision: StageDecision, program: Program, io: Io, limits: Limits) -> Plan:
    """The catalog's grants as bounds of a process."""
    grants = program.grants
    return Plan(
        read=("*", *grants.read),
        write=grants.write,
        devices=grants.devices,
        execute=grants.exec,
        caps=tuple(c.removeprefix("cap_") for c in grants.caps),
        network=grants.net,
        lookup=grants.lookup,
        changing=decision.class_ == "change",
        signals=decision.class_ == "change",
        confined=not grants.unconfined,
        masked=not grants.unconfined,
        terminal=io.terminal is not None,
        open_files=limits.open_files,
        processes=limits.processes,
        memory=limits.memory_bytes,
    )


def stage_spec(
    prepared: PreparedStage,
    decision: StageDecision,
    *,
    cwd: str,
    io: Io,
    stdio: tuple[int, int, int],
    limits: Limits,
) -> StageSpec:
    """The process for a catalogued program. Raises `NotFoundError` when it isn't installed."""
    assert decision.program is not None
    path = resolve_program(decision.name, decision.program)
    return StageSpec(
        path=path,
        argv=decision.argv,
        env=environment(io),
        cwd=cwd,
        plan=plan_of(decision, decision.program, io, limits),
        stdio=stdio,
        redirects=prepared.redirects,
    )


def stdio_of(index: int, count: int, slots: Sequence[int]) -> tuple[int, int, int]:
    """Which descriptors stage `index` of `count` gets; `slots` are the job's indices of stdin, stdout, stderr."""
    pipe = -1
    return (slots[0] if index == 0 else pipe, slots[1] if index == count - 1 else pipe, slots[2])

"""From a decision to processes: which file is executed, with which environment, within which bounds."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from pact_agent import kernel
from pact_agent.config import Limits
from pact_agent.io import Io
from pact_agent.prepare import PreparedStage
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import StageSpec
from pactsh.catalog import Grants
from pactsh.errors import NotFoundError
from pactsh.policy.decision import SYSTEM_DIRECTORIES, Program, StageDecision

PATH = ":".join(SYSTEM_DIRECTORIES)
_NOBODY = 65534  # who owns nothing on any distribution
_ENV = (b"#!/usr/bin/env", b"#!/bin/env")
_INTERPRETER = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


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
        "SYSTEMCTL_SKIP_SYSV": "1",
        "HOME": "/",
    }
    if io.columns:
        env["COLUMNS"] = str(io.columns)
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
        if not {info.st_uid, above.st_uid} <= {0, os.geteuid(), _NOBODY}:  # nobody: root, seen from a user namespace
            raise NotFoundError(f"{name}: {path} belongs to somebody else than root, so it is not run")
        return path
    raise NotFoundError(f"{name}: not installed on this node", hint="looked for " + ", ".join(program.paths))


def launch(path: str, argv: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """What is executed for the file `path`, and its argv: the interpreter itself where a script asks env(1) for it.

    The kernel would start env, and env the interpreter: one exec more than a contained process has. Raises
    `NotFoundError` when there is no such interpreter.
    """
    try:
        with open(path, "rb") as file:
            first = file.read(128).partition(b"\n")[0].split()
    except OSError:
        return path, argv
    if len(first) != 2 or first[0] not in _ENV or not _INTERPRETER.fullmatch(first[1]):
        return path, argv
    name = os.fsdecode(first[1])
    interpreter = resolve_program(name, Program(tuple(f"{place}/{name}" for place in SYSTEM_DIRECTORIES), Grants()))
    return interpreter, (interpreter, path, *argv[1:])


def plan_of(decision: StageDecision, program: Program, io: Io, limits: Limits) -> Plan:
    """The catalog's grants as bounds of a process; a bypass has none but the limits."""
    if decision.bypass:
        return Plan(
            caps=kernel.CAPABILITIES, network=True, lookup=True, changing=True, signals=True, confined=False,
            masked=False, free=True, terminal=io.terminal is not None, open_files=limits.open_files,
            processes=limits.processes, memory=limits.memory_bytes,
        )  # fmt: skip
    grants = program.grants
    return Plan(
        read=grants.only or ("*", *grants.read),
        write=grants.write,
        devices=grants.devices,
        execute=grants.exec,
        caps=tuple(c.removeprefix("cap_") for c in grants.caps),
        network=grants.net,
        lookup=grants.lookup,
        changing=decision.class_ == "change",
        signals=decision.class_ == "change",
        confined=not grants.unconfined,
        trace=grants.trace,
        uid=_NOBODY if grants.trace else None,
        gid=_NOBODY if grants.trace else None,
        masked=not (grants.unconfined or grants.only),
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
    path, argv = launch(resolve_program(decision.name, decision.program), decision.argv)
    feed: tuple[str, ...] | None = None
    if decision.feed:
        feed = tuple(decision.argv[place] for place in decision.fed) or ("-",)
        argv = tuple(word for place, word in enumerate(decision.argv) if place not in decision.fed)
    return StageSpec(
        feed=feed,
        path=path,
        argv=argv,
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

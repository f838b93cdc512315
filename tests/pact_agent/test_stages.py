"""From a decision to a process: which file, with which environment, within which bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pact_agent.config import Limits
from pact_agent.io import Io, Terminal
from pact_agent.prepare import prepare_line
from pact_agent.stages import environment, launch, plan_of, resolve_program, stage_spec, stdio_of

from pactsh.catalog import Grants, load_catalog
from pactsh.errors import NotFoundError
from pactsh.language import parse
from pactsh.policy.decision import Program, Request, StageDecision, decide
from pactsh.policy.model import Policy
from tests.pact_agent.recording import ALICE

PIPES = Io(0, 1, 2)
CATALOG = load_catalog()


def decided(line: str) -> StageDecision:
    """What the decider says of a line of one command."""
    (item,) = prepare_line(parse(line), {}, "/", ())
    stages = tuple(stage.request(0) for stage in item.stages)
    decision = decide(Request(line, stages, "shell"), ALICE, Policy("ml-training"), CATALOG)
    assert decision.verdict == "allow", decision.reason
    return decision.stages[0]


def executable(path: Path, mode: int = 0o755) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/true\n")
    path.chmod(mode)
    return str(path)


def test_the_environment_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_PRELOAD", "IFS", "PYTHONPATH", "PACT_TOKEN"):
        monkeypatch.setenv(name, "x")
    assert environment(PIPES) == {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PAGER": "cat",
        "SYSTEMD_PAGER": "",
        "SYSTEMD_PAGERSECURE": "1",
        "LESSSECURE": "1",
        "SYSTEMCTL_SKIP_SYSV": "1",
        "HOME": "/",
    }


def test_a_terminal_adds_its_type_and_size() -> None:
    env = environment(Io(None, None, None, Terminal("xterm", 40, 132), lang="de_DE.UTF-8"))
    assert (env["TERM"], env["LINES"], env["COLUMNS"], env["LANG"]) == ("xterm", "40", "132", "de_DE.UTF-8")


def test_the_first_that_is_there_is_run(tmp_path: Path) -> None:
    first, second = str(tmp_path / "bin" / "none"), executable(tmp_path / "bin" / "tool")
    dead = tmp_path / "bin" / "dead"
    dead.write_text("not executable")
    assert resolve_program("tool", Program((first, str(dead), second), Grants())) == second
    with pytest.raises(NotFoundError, match="tool: not installed") as caught:
        resolve_program("tool", Program((first,), Grants()))
    assert first in caught.value.hint


@pytest.mark.parametrize(("of_file", "of_directory"), [(0o775, 0o755), (0o757, 0o755), (0o755, 0o775), (0o755, 0o777)])
def test_what_others_can_replace_is_not_run(tmp_path: Path, of_file: int, of_directory: int) -> None:
    path = executable(tmp_path / "bin" / "tool", of_file)
    (tmp_path / "bin").chmod(of_directory)
    with pytest.raises(NotFoundError, match="can be written by others"):
        resolve_program("tool", Program((path, "/usr/bin/true"), Grants()))


@pytest.mark.parametrize(
    "line", ["cat /etc/hostname", "ps aux", "ip addr", "du -sh /usr", "dmesg", "journalctl -n 5", "uname -a"]
)
def test_a_reading_command_changes_and_signals_nothing(line: str) -> None:
    decision = decided(line)
    assert decision.program is not None
    plan = plan_of(decision, decision.program, PIPES, Limits())
    assert (plan.changing, plan.signals, plan.terminal) == (False, False, False)
    assert plan.write == ()
    assert plan.masked == plan.confined


def test_grants_and_limits_become_bounds() -> None:
    grants = Grants(
        caps=("cap_net_raw", "cap_syslog"),
        read=("/x",),
        write=("/y",),
        exec=("/bin/z",),
        devices=("/dev/d",),
        net=True,
        lookup=True,
    )
    decision = StageDecision(("t",), "t", False, "change", "services", Program(("/t",), grants))
    limits = Limits(open_files=9, processes=8, memory_bytes=7)
    plan = plan_of(decision, Program(("/t",), grants), Io(None, None, None, Terminal()), limits)
    assert plan.caps == ("net_raw", "syslog")
    assert (plan.read, plan.write, plan.execute, plan.devices) == (("*", "/x"), ("/y",), ("/bin/z",), ("/dev/d",))
    assert (plan.network, plan.lookup, plan.changing, plan.signals, plan.terminal) == (True,) * 5
    assert (plan.open_files, plan.processes, plan.memory) == (9, 8, 7)
    assert (plan.confined, plan.masked, plan.uid) == (True, True, None)


def test_a_process_gets_the_decided_argv() -> None:
    ((prepared,),) = (item.stages for item in prepare_line(parse("uname --all 2>&1"), {}, "/", ()))
    decision = decided("uname --all")
    spec = stage_spec(prepared, decision, cwd="/var", io=PIPES, stdio=(0, -1, 2), limits=Limits())
    assert os.path.basename(spec.path) == "uname"
    assert os.path.isabs(spec.path)
    assert (spec.argv, spec.cwd, spec.stdio) == (decision.argv, "/var", (0, -1, 2))
    assert spec.redirects == (("dup", 2, 1),)
    assert spec.text is None


def test_a_pipeline_is_joined_by_pipes() -> None:
    assert [stdio_of(n, 3, (0, 1, 2)) for n in range(3)] == [(0, -1, 2), (-1, -1, 2), (-1, 1, 2)]
    assert stdio_of(0, 1, (5, 6, 7)) == (5, 6, 7)


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ("#!/usr/bin/env python3", True),
        ("#! /usr/bin/env python3", False),  # the kernel's business: env runs, and may not run anything more
        ("#!/usr/bin/env -S python3 -c", False),
        ("#!/usr/bin/env ../x", False),
        ("#!/usr/bin/env", False),
        ("#!/bin/sh", False),
        ("\x7fELF", False),
    ],
)
def test_an_interpreter_named_through_env_is_started_itself(tmp_path: Path, first: str, found: bool) -> None:
    script = tmp_path / "tool"
    script.write_text(first + "\n")
    path, argv = launch(str(script), ("tool", "-x"))
    if found:
        assert path.endswith("/python3")
        assert argv == (path, str(script), "-x")
    else:
        assert (path, argv) == (str(script), ("tool", "-x"))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text("#!/usr/bin/env no-such-interpreter\n")
    with pytest.raises(NotFoundError, match="no-such-interpreter: not installed"):
        launch(str(script), ("tool",))


@pytest.mark.parametrize("line", ["mount", "findmnt", "df -h"])
def test_what_shows_the_nodes_mounts_sees_no_masks_and_reads_nothing_else(line: str) -> None:
    """Masks are mounts, and an administrator has no use for eighteen of them in the table."""
    decision = decided(line)
    assert decision.program is not None
    plan = plan_of(decision, decision.program, PIPES, Limits())
    assert (plan.masked, plan.confined, plan.changing) == (False, True, False)
    assert "*" not in plan.read
    for secret in ("/etc/shadow", "/root", "/etc/ssh", "/var/lib/pact", "/proc/1", "/proc/kcore", "/home"):
        assert not any(secret == path or secret.startswith(path + "/") for path in plan.read), secret

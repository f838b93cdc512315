from __future__ import annotations

from pathlib import Path

import pytest

from tests.pactsh.shell.conftest import Program
from tests.pactsh.shell.scripted_agent import ScriptedAgent

LINES = b"""\
#!/usr/bin/env pactsh
echo one

rm x
echo $?
false
"""


@pytest.mark.parametrize("how", ["file", "stdin", "pipe"])
def test_stops_nowhere_and_ends_with_the_last_status(program: Program, tmp_path: Path, how: str) -> None:
    path = tmp_path / "script"
    path.write_bytes(LINES)
    if how == "file":
        done = program.run(str(path))
    elif how == "stdin":
        with path.open("rb") as file:
            done = program.run(stdin=file)
    else:
        done = program.run(input=LINES)
    assert (done.returncode, done.stdout) == (1, b"one\n6\n")
    assert b"pact: refused: rm is not whitelisted" in done.stderr


def test_a_scripts_errors_name_file_and_line(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_bytes(b"echo one\nls | rm\n\xff\n")
    done = program.run(str(path), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[:2] == [f"{path}:2: ls | rm", " " * (len(f"{path}:2: ") + 5) + "^^"]
    assert f"{path}:3: \\udcff\n".encode() in done.stderr
    assert b"pact: malformed: the line is not valid UTF-8" in done.stderr


def test_stop_at_the_first_failure(program: Program, agent: ScriptedAgent) -> None:
    done = program.run("-e", input=b"true\nrm x\necho never\n")
    assert done.returncode == 6
    assert len(agent.runs) == 2


def test_exit_ends_the_script(program: Program) -> None:
    done = program.run(input=b"echo a\nexit 9\necho b\n")
    assert (done.returncode, done.stdout) == (9, b"a\n")


@pytest.mark.parametrize("seekable", [True, False])
def test_commands_read_the_rest_of_the_input(program: Program, tmp_path: Path, *, seekable: bool) -> None:
    text = b"echo first\ncat\nfor cat\nalso for cat\n"
    if seekable:
        path = tmp_path / "input"
        path.write_bytes(text)
        with path.open("rb") as file:
            done = program.run(stdin=file)
    else:
        done = program.run(input=text)
    assert done.stdout == b"first\nfor cat\nalso for cat\n"


def test_an_empty_script_ends_0(program: Program, agent: ScriptedAgent) -> None:
    assert program.run(input=b"").returncode == 0
    assert agent.ops_at_end() == ["session", "bye"]
    assert agent.frames[0]["kind"] == "script"


@pytest.mark.parametrize(
    ("bad", "status", "says"),
    [
        (b"echo \xff", 1, b"malformed: the line is not valid UTF-8"),
        (b"echo \x00", 6, b"refused: a control character (U+0000)"),
        (b"echo " + b"x" * 70000, 6, b"refused: the line is longer than 64 KiB"),
    ],
)
def test_a_bad_line_is_refused_and_the_next_one_runs(
    program: Program, agent: ScriptedAgent, bad: bytes, status: int, says: bytes
) -> None:
    done = program.run(input=bad + b"\n")
    assert (done.returncode, done.stdout) == (status, b"")
    assert b"pact: " + says in done.stderr
    assert len(agent.runs) == 1  # the agent refuses it, and so records it
    done = program.run(input=bad + b"\necho next\n")
    assert (done.returncode, done.stdout) == (0, b"next\n")
    assert agent.runs[-1]["line"] == "echo next"


def test_a_missing_script_is_status_1(program: Program, agent: ScriptedAgent, tmp_path: Path) -> None:
    done = program.run("/nowhere/script")
    assert (done.returncode, done.stderr) == (1, b"pact: /nowhere/script: No such file or directory\n")
    assert program.run(str(tmp_path)).returncode == 1
    assert agent.runs == []


def test_the_rest_of_a_line_may_be_refused(program: Program, agent: ScriptedAgent) -> None:
    agent.refuse_rest = "late"
    done = program.run(input=b"echo first; echo late\necho next\n")
    assert (done.returncode, done.stdout) == (0, b"first\nnext\n")
    assert b"pact: refused: late" in done.stderr
    done = program.run("-c", "echo first; echo late")
    assert (done.returncode, done.stdout) == (6, b"first\n")

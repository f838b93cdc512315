from __future__ import annotations

import pexpect
import pytest

from tests.pactsh.shell.conftest import Program
from tests.pactsh.shell.scripted_agent import ScriptedAgent


@pytest.mark.parametrize("term", ["", "dumb"])
def test_without_a_capable_terminal_no_escape_is_sent(program: Program, term: str) -> None:
    child = program.spawn(term=term)
    child.expect_exact("pact:node042> ")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    assert "\x1b" not in (child.before or "")


def test_with_output_to_a_pipe_no_escape_is_sent(program: Program) -> None:
    child: pexpect.spawn[str] = pexpect.spawn(
        "sh", ["-c", f"{program.path} | cat"], env=program.env | {"TERM": "xterm"}, encoding="utf-8", timeout=60
    )
    child.expect_exact("pact:node042> ")
    assert child.before == ""
    child.sendline("exit")
    child.expect(pexpect.EOF)
    assert "\x1b" not in (child.before or "")


def test_an_unknown_user_gets_no_prompt(program: Program, agent: ScriptedAgent) -> None:
    agent.error = {"code": 2, "kind": "auth", "message": "nobody here knows you", "hint": "ask"}
    child = program.spawn(term="xterm")
    child.expect(pexpect.EOF)
    child.close()
    assert child.before == "pact: nobody here knows you\r\nhint: ask\r\n"
    assert child.exitstatus == 2


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_the_shell_cannot_be_stopped(program: Program, term: str) -> None:
    child = program.spawn(term=term)
    child.expect_exact("pact:node042>")
    child.send("\x1a")
    child.send("exit 3\r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3

from __future__ import annotations

import os
import re

import pexpect
import pytest

from tests.pactsh.shell.conftest import Program
from tests.pactsh.shell.scripted_agent import ScriptedAgent

PROMPT = "pact:node042> "


@pytest.fixture
def child(program: Program) -> pexpect.spawn[str]:
    spawned = program.spawn()
    spawned.expect_exact(PROMPT)
    assert spawned.before == ""
    return spawned


def test_plain_text_and_a_stable_prompt(child: pexpect.spawn[str]) -> None:
    child.sendline("echo hi")
    child.expect_exact(PROMPT)
    assert child.before == "echo hi\r\nhi\r\n"
    child.sendline("rm x")
    child.expect_exact(PROMPT)
    assert child.before == "rm x\r\nrm x\r\n^^\r\npact: refused: rm is not whitelisted\r\nhint: help lists what is\r\n"
    child.sendline("")
    child.expect_exact(PROMPT)
    assert child.before == "\r\n"


def test_no_escape_sequence_is_ever_sent(child: pexpect.spawn[str]) -> None:
    seen = ""
    for line in ("echo hi", "rm x", "echo $?", 'echo "open'):
        child.sendline(line)
        child.expect_exact(PROMPT)
        seen += child.before or ""
    assert "\x1b" not in seen


def test_control_c(child: pexpect.spawn[str]) -> None:
    child.send("echo nev")
    child.expect_exact("nev")
    child.sendintr()
    child.expect_exact(PROMPT)
    child.sendline("sh -c 'echo ready; exec sleep 100'")
    child.expect_exact("\r\nready")
    child.sendintr()
    child.expect_exact(PROMPT)
    child.sendline("echo $?")
    child.expect_exact("\r\n130\r\n")


def test_type_ahead_and_input_of_commands(child: pexpect.spawn[str]) -> None:
    child.sendline("head -1")
    child.sendline("for head")
    child.expect_exact("for head\r\nfor head\r\n")
    child.expect_exact(PROMPT)
    child.sendline("sh -c 'echo ready; sleep 0.5'")
    child.expect_exact("\r\nready")
    child.send("echo one\recho two\rec")
    child.expect_exact(PROMPT + "one")
    child.expect_exact(PROMPT + "two")
    child.expect_exact(PROMPT)
    child.send("ho three\r")
    child.expect_exact("\r\nthree\r\n")


def test_all_output_is_shown_before_the_prompt(child: pexpect.spawn[str]) -> None:
    child.sendline("seq 200000")
    child.expect_exact(PROMPT, timeout=30)
    assert (child.before or "").endswith("199999\r\n200000\r\n")


def test_a_line_that_the_terminal_cut_is_not_run(child: pexpect.spawn[str], agent: ScriptedAgent) -> None:
    child.setecho(False)
    child.sendline("echo " + "x" * 5000)
    child.expect_exact("longer than 4095 bytes")
    child.expect_exact(PROMPT)
    assert agent.runs == []
    child.sendline("echo fine")
    child.expect_exact("fine\r\n" + PROMPT)


def test_invalid_utf_8_is_status_1_and_the_session_goes_on(child: pexpect.spawn[str], agent: ScriptedAgent) -> None:
    child.setecho(False)
    os.write(child.child_fd, b"echo \xff\n")
    child.expect_exact("not valid UTF-8")
    child.expect_exact(PROMPT)
    assert [run["line"] for run in agent.runs] == ["echo \udcff"]  # for the agent to refuse and record


def test_the_end(child: pexpect.spawn[str]) -> None:
    child.sendline("false")
    child.expect_exact(PROMPT)
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1


def test_the_terminal_gets_its_modes_back(program: Program) -> None:
    shell = pexpect.spawn("sh", env={**program.env, "PS1": "$ "}, encoding="utf-8", timeout=15)
    shell.delaybeforesend = None
    shell.setecho(False)
    shell.sendline("echo first; stty -g")
    shell.expect(r"first\r\n([0-9a-f:]{20,})\r\n")
    assert isinstance(shell.match, re.Match)
    before = shell.match[1]
    shell.sendline(f"{program.path} -c 'stty size'; {program.path} -c 'sleep 0.2'; echo done; stty -g")
    shell.expect(r"done\r\n([0-9a-f:]{20,})\r\n")
    assert shell.match[1] == before
    shell.close()


def test_prompt_goes_with_a_terminal_on_stdin(program: Program) -> None:
    done = program.run(input=b"echo hi\n")
    assert done.stdout == b"hi\n"

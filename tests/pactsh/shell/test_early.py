from __future__ import annotations

import pexpect

from tests.pactsh.shell.conftest import Program


def test_the_terminals_modes_survive_an_interrupted_start(program: Program) -> None:
    shell = pexpect.spawn("sh", env={**program.env, "PS1": "$ ", "TERM": "xterm"}, encoding="utf-8", timeout=60)
    shell.delaybeforesend = None
    shell.sendline(f"{program.path}; echo status $?; stty | grep -c -- -echo")
    shell.expect_exact("pact:node042>")
    shell.sendintr()  # while the line editor is still being imported, or right after
    shell.send("\x04")
    shell.expect_exact("status 0\r\n0\r\n")
    shell.close()

"""The relay on real pseudo-terminals: this process's stdin and stdout become one."""

from __future__ import annotations

import _socket
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pexpect

from pactsh.shell.relay import Relay
from pactsh.shell.wire import Connection
from tests.pactsh.shell.conftest import Program
from tests.pactsh.shell.scripted_agent import ScriptedAgent


def test_output_of_a_pipeline_that_has_ended_is_complete(program: Program) -> None:
    for _ in range(5):
        child = program.spawn("-c", "seq 50000")
        child.expect(pexpect.EOF)
        assert (child.before or "").endswith("49999\r\n50000\r\n")


def test_each_pipeline_of_a_line_has_a_terminal(program: Program) -> None:
    child = program.spawn("-c", "stty size; echo between; stty size")
    child.expect(pexpect.EOF)
    assert child.before == "24 80\r\nbetween\r\n24 80\r\n"


def test_input_from_a_pipe_and_output_on_a_terminal(program: Program) -> None:
    child = pexpect.spawn(
        "sh", ["-c", f"echo through | {program.path} -c 'cat; stty size </dev/null'"], env=program.env, timeout=60
    )
    child.expect_exact("through")
    child.expect(pexpect.EOF)


def test_interrupt_passes_input_that_nobody_reads(program: Program) -> None:
    child = program.spawn("-c", "sh -c 'stty -echo; echo ready; exec sleep 100'")
    child.expect_exact("ready")
    for _ in range(200):
        os.write(child.child_fd, b"x" * 500)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_a_hangup_of_the_terminal_reaches_the_command(program: Program, agent: ScriptedAgent) -> None:
    child = program.spawn("-c", "sh -c 'echo ready; exec sleep 100'")
    child.expect_exact("ready")
    os.close(child.child_fd)
    deadline = time.monotonic() + 30
    while not any(frame == {"op": "signal", "name": "HUP"} for frame in agent.frames):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.closed = True
    assert child.pid is not None
    os.waitpid(child.pid, 0)


def test_a_terminal_that_stops_reading_costs_nothing(program: Program, agent: ScriptedAgent) -> None:
    child = program.spawn("-c", "seq 1000000000")
    child.expect_exact("\r\n2\r\n")
    deadline = time.monotonic() + 30
    used = -1.0
    while (now := cpu_s(child.pid)) != used:  # until the buffers between are full
        assert time.monotonic() < deadline
        used = now
        time.sleep(0.5)
    time.sleep(1)
    assert cpu_s(child.pid) - used < 0.1
    child.close(force=True)


def cpu_s(pid: int | None) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_resizing_reaches_the_command(program: Program, tmp_path: Path) -> None:
    script = tmp_path / "waiter"
    script.write_text(
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"  # then none is lost, however early it comes
        "print('ready', flush=True)\n"
        "while os.get_terminal_size().lines != 33:\n"
        "    signal.sigwait([signal.SIGWINCH])\n"
        "print(os.get_terminal_size())\n"
    )
    child = program.spawn("-c", f"python3 {script}")
    child.expect_exact("ready")
    child.setwinsize(33, 99)
    child.expect_exact("columns=99, lines=33")


def test_notices_wait_for_the_end_of_a_full_screen_program(program: Program, agent: ScriptedAgent) -> None:
    child = program.spawn("-c", "sh -c 'stty -icanon; echo ready; read line; echo over'")
    child.expect_exact("ready")
    agent.notify("hello")
    agent.notify("world")
    child.send("\r")
    child.expect_exact("over\r\npact: notice: hello\r\npact: notice: world\r\n")


def test_the_library_that_relays_is_the_standard_one(program: Program) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import pactsh.shell.relay\n"
        "names = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "assert not names - set(sys.stdlib_module_names) - {'pactsh'}, names\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_typed_when_the_pipeline_has_just_ended_is_for_the_prompt() -> None:
    """The agent collects what was not read, closes its end and records; only then comes the frame."""
    typing, terminal = os.openpty()
    before = os.dup(0)
    agent, ours = socket.socketpair()
    os.dup2(terminal, 0)
    try:
        connection = Connection(_socket.socket(fileno=ours.detach()), inherited=False)
        relay = Relay(connection)
        master, slave = os.openpty()
        relay.attach(master)
        os.close(slave)
        os.write(typing, b"ls\r")
        relay._turn()
        body = b'{"op": "exit", "status": 0}'
        agent.sendall(len(body).to_bytes(4, "big") + body)
        assert relay.receive().op == "exit"
        assert relay.finish() == b"ls\r"
        relay.close()
        connection.close()
    finally:
        os.dup2(before, 0)
        agent.close()
        for fd in (before, typing, terminal):
            os.close(fd)

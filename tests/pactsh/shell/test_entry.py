from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pactsh
from pactsh.shell.entry import UsageProblem, parse_arguments
from tests.pactsh.shell.conftest import Program
from tests.pactsh.shell.scripted_agent import ScriptedAgent

# What `pactsh -c` may load: built-in modules and our own six. Everything else costs start-up time.
ALLOWED = {
    "_abc", "_codecs", "_frozen_importlib_external", "_io", "_json", "_signal", "_socket", "abc", "codecs", "encodings",
    "encodings.aliases", "encodings.utf_8", "io", "marshal", "posix", "time", "zipimport", "_weakref", "_thread",
    "_warnings", "_imp", "stat", "_stat", "winreg",
    "pactsh", "pactsh.shell", "pactsh.shell.entry", "pactsh.shell.jsonlite", "pactsh.shell.runner", "pactsh.shell.wire",
}  # fmt: skip


def test_one_line_imports_nothing_but_c_modules(program: Program) -> None:
    source = Path(program.path).read_text(encoding="utf-8").split("\n", 1)[1]
    done = subprocess.run(
        [sys.executable, "-ISXutf8", "-X", "importtime", "-c", source, "-c", "true"],
        env=program.env,
        capture_output=True,
        check=True,
        text=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "pactsh.shell.entry" in loaded
    assert loaded - ALLOWED - {"imported package"} == set()


def test_one_line(program: Program, agent: ScriptedAgent) -> None:
    done = program.run("-c", "echo hi; false")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"hi\n", b"")
    assert agent.ops() == ["run"]


def test_the_line_of_c_may_look_like_anything(program: Program, agent: ScriptedAgent) -> None:
    assert program.run("-c", "--version").returncode == 6
    assert agent.runs[0]["line"] == "--version"


def test_input_reaches_the_command(program: Program) -> None:
    assert program.run("-c", "cat", input=b"through").stdout == b"through"


def test_a_death_by_signal_is_128_and_its_number(program: Program) -> None:
    assert program.run("-c", "sh -c 'kill -9 $$'").returncode == 137


def test_a_refusal_shows_line_span_reason_and_hint(program: Program) -> None:
    done = program.run("-c", "ls; rm -rf /tmp/x")
    assert done.returncode == 6
    assert done.stderr.decode().splitlines() == [
        "ls; rm -rf /tmp/x",
        "    ^^",
        "pact: refused: rm is not whitelisted",
        "hint: help lists what is",
    ]


def test_a_malformed_line_is_status_1(program: Program) -> None:
    done = program.run("-c", 'echo "abc')
    assert done.returncode == 1
    assert b"pact: malformed: this quote is never closed\nhint: " in done.stderr


def test_errors_as_json(program: Program) -> None:
    done = program.run("-c", "rm x", env={"PACT_OUTPUT": "json"})
    error = json.loads(done.stderr.splitlines()[-1])
    assert error == {
        "error": {
            "code": 6,
            "kind": "not-whitelisted",
            "message": "refused: rm is not whitelisted",
            "hint": "help lists what is",
        }
    }


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("echo \udcff", 1, b"not valid UTF-8"),
        ("echo a" + "b" * 65536, 6, b"longer than 64 KiB"),
        ("echo " + "é" * 40000, 6, b"longer than 64 KiB"),
    ],
)
def test_what_is_no_line_is_for_the_agent_to_refuse_and_record(
    program: Program, agent: ScriptedAgent, line: str, status: int, says: bytes
) -> None:
    done = program.run("-c", line)
    assert (done.returncode, done.stdout) == (status, b"")
    assert says in done.stderr
    assert len(done.stderr) < 1000
    assert [run["line"] for run in agent.runs] == [line]


def test_a_line_of_64_kib_is_run(program: Program) -> None:
    line = "echo " + "b" * (65536 - 5)
    done = program.run("-c", line)
    assert (done.returncode, len(done.stdout)) == (0, 65532)


def test_an_unknown_user_is_status_2(program: Program, agent: ScriptedAgent) -> None:
    agent.error = {"code": 2, "kind": "auth", "message": "uid 1234 is not known here", "hint": "ask for an entry"}
    done = program.run("-c", "true")
    assert (done.returncode, done.stderr) == (2, b"pact: uid 1234 is not known here\nhint: ask for an entry\n")


def test_no_agent_is_status_5(program: Program, agent: ScriptedAgent) -> None:
    agent.close()
    done = program.run("-c", "true")
    assert done.returncode == 5
    assert done.stderr.startswith(b"pact: agent: can't be reached at ")
    assert b"\nhint: " in done.stderr


def test_an_agent_that_dies_meanwhile_is_status_5(program: Program, agent: ScriptedAgent) -> None:
    running = subprocess.Popen([program.path, "-c", "sleep 100"], env=program.env, stderr=subprocess.PIPE)
    wait_for_run(agent)
    agent.close()
    _, errors = running.communicate(timeout=15)
    assert running.returncode == 5
    assert b"closed the connection" in errors


def wait_for_run(agent: ScriptedAgent) -> None:
    deadline = time.monotonic() + 10
    while not any(client.is_running() for client in agent.clients):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_signals_go_to_the_command(program: Program, agent: ScriptedAgent, number: int, status: int) -> None:
    running = subprocess.Popen([program.path, "-c", "sleep 100"], env=program.env, stdout=subprocess.PIPE)
    wait_for_run(agent)
    running.send_signal(number)
    running.communicate(timeout=15)
    assert running.returncode == status


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_who_asks_twice_is_not_held_up_by_an_agent_that_hangs(
    program: Program, agent: ScriptedAgent, number: int, status: int
) -> None:
    agent.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(agent.path))
        listener.listen()
        listener.settimeout(15)
        running = subprocess.Popen([program.path, "-c", "sleep 100"], env=program.env)
        connection, _ = listener.accept()
        connection.settimeout(15)
        assert b"sleep 100" in connection.recv(65536)
        running.send_signal(number)
        assert b'"signal"' in connection.recv(65536)
        assert running.poll() is None
        running.send_signal(number)
        assert running.wait(15) == status
        connection.close()


def test_an_ignored_hangup_stays_ignored(program: Program, agent: ScriptedAgent) -> None:
    running = subprocess.Popen(
        ["nohup", program.path, "-c", "sleep 0.5"], env=program.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for_run(agent)
    running.send_signal(signal.SIGHUP)
    running.communicate(timeout=15)
    assert running.returncode == 0
    assert "signal" not in agent.ops()


def test_closed_descriptors_become_dev_null(program: Program, agent: ScriptedAgent) -> None:
    code = f"import os; os.close(0); os.close(2); os.execv({program.path!r}, ['pactsh', '-c', 'cat'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=program.env, stdout=subprocess.PIPE, check=False, timeout=15
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert agent.ops() == ["run"]


def test_version_and_help(program: Program) -> None:
    assert program.run("--version").stdout.decode() == f"pactsh {pactsh.__version__}\n"
    assert program.run("--help").stdout.startswith(b"usage: pactsh ")


@pytest.mark.parametrize("args", [["-x"], ["--what"], ["-c"], ["-c", "true", "more"], ["file", "more"], ["-lx"]])
def test_wrong_arguments_are_status_1(program: Program, agent: ScriptedAgent, args: list[str]) -> None:
    done = program.run(*args)
    assert done.returncode == 1
    assert done.stderr.startswith(b"pact: usage: ")
    assert agent.frames == []


def test_arguments() -> None:
    arguments = parse_arguments(["-pactsh"])
    assert (arguments.login, arguments.line, arguments.file) == (True, None, None)
    arguments = parse_arguments(["pactsh", "-lc", "-x"])
    assert (arguments.login, arguments.line) == (True, "-x")
    arguments = parse_arguments(["pactsh", "-e", "--", "-odd"])
    assert (arguments.stop_at_failure, arguments.file, arguments.login) == (True, "-odd", False)
    assert parse_arguments(["pactsh", "--login", "-"]).file is None
    assert not parse_arguments(["-c"]).login  # what python -c puts there
    with pytest.raises(UsageProblem):
        parse_arguments(["pactsh", "-c"])


@pytest.mark.parametrize(
    ("argv0", "args", "kind"), [("-pactsh", [], "login"), ("x", ["-l"], "login"), ("x", [], "interactive")]
)
def test_login(program: Program, agent: ScriptedAgent, argv0: str, args: list[str], kind: str) -> None:
    import pty

    source = Path(program.path).read_text(encoding="utf-8").split("\n", 1)[1]
    code = f"import sys; sys.argv = {[argv0, *args]!r}\n{source}"
    master, slave = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-I", "-c", code], env=program.env, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    os.write(master, b"exit 3\n")
    assert running.wait(15) == 3
    os.close(master)
    assert agent.frames[0]["kind"] == kind

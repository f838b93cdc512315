"""`pact-agent` as the service manager knows it: arguments, statuses, sockets, readiness, the end in order."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pact_agent.daemon import inherited_sockets

from pactsh import __version__
from pactsh.errors import UsageError
from tests.pact_agent.localnode import BIN, LocalNode, body_of
from tests.pact_agent.services.processes import is_there

MakeNode = Callable[..., LocalNode]
PROGRAM = str(BIN / "pact-agent")


def agent(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *args], capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], **env}
    )


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(option: str) -> None:
    done = agent(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: pact-agent [--config FILE]")


def test_version() -> None:
    assert agent("--version").stdout == f"pact-agent {__version__}\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--verbose",), "unknown option --verbose"),
        (("agent.toml",), "unknown option agent.toml"),
        (("--config",), "--config needs a file"),
        (("--config=",), "--config needs a file"),
        (("--config", "/nonexistent/a.toml"), "/nonexistent/a.toml: No such file or directory"),
        (("--config=/nonexistent/b.toml",), "/nonexistent/b.toml: No such file or directory"),
    ],
)
def test_wrong_arguments_are_status_1(args: tuple[str, ...], says: str) -> None:
    done = agent(*args)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pact-agent: {says}\n")


def test_the_environment_names_the_configuration_and_the_argument_overrules_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"{name} = 1\n")
    given = str(tmp_path / "one")
    assert f"{tmp_path}/one: " in agent(PACT_AGENT_CONFIG=given).stderr
    assert f"{tmp_path}/two: " in agent("--config", str(tmp_path / "two"), PACT_AGENT_CONFIG=given).stderr


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = tmp_path / "agent.toml"
    config.write_text('node = "n"\nvcluster = "v"\nstate_dir = "file/state"\nrun_dir = "run"\n')
    done = agent("--config", str(config))
    assert done.returncode == 1
    assert f"{tmp_path}/file" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_agents_do_not_share_a_directory(make_node: MakeNode) -> None:
    node = make_node()
    done = agent("--config", str(node.directory / "agent.toml"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert node.line("uname -s").stdout == "Linux\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order(make_node: MakeNode, number: int) -> None:
    """Sessions end, then the agent does; the manager is told, no socket is left, all of it is on record."""
    node = make_node()
    with node.connect() as wire, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        (node.directory / "notify").unlink()
        manager.bind(str(node.directory / "notify"))
        manager.settimeout(30)
        wire.send({"op": "session", "kind": "interactive", "term": "dumb"})
        wire.until("session")
        assert node.stop(number) == 0
        assert manager.recv(64) == b"STOPPING=1"
    assert not node.socket.exists()
    assert [d.type for d in node.entries()] == ["agent.start", "session.start", "session.end", "agent.stop"]
    start, stop = node.entries("agent.start", "agent.stop")
    assert body_of(start)["version"] == body_of(stop)["version"] == __version__
    assert start.author.principal == "agent:node042"


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd runs this machine")
@pytest.mark.parametrize("stops", [False, True])
def test_services_outlive_it_unless_it_is_to_stop_them(make_node: MakeNode, stops: bool) -> None:
    node = make_node(f'[services]\ndirectory = "services"\nstop_with_agent = {"true" if stops else "false"}\n')
    services = node.directory / "services"
    services.mkdir()
    user = pwd.getpwuid(os.geteuid()).pw_name
    (services / "a.toml").write_text(f'command = ["/bin/sleep", "1000"]\nuser = "{user}"\n')

    def ask(method: str) -> dict[str, Any]:
        with node.connect() as wire:
            wire.send({"op": "call", "method": method, "params": {"service": "a"}})
            return dict(wire.until("item")["value"])

    assert node.line("pact service start a").returncode == 0
    pid = ask("service_status")["services"][0]["pid"]
    assert node.stop() == 0
    assert is_there(pid) == (not stops)
    node.start()
    assert (ask("service_status")["services"][0]["pid"] == pid) == (not stops)
    assert ask("service_stop")["service"]["state"] == "stopped"
    assert not is_there(pid)


def test_without_a_manager_it_runs_all_the_same(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node()
    assert node.stop() == 0
    with subprocess.Popen([PROGRAM, "--config", str(node.directory / "agent.toml")], stderr=subprocess.PIPE) as again:
        assert again.stderr is not None
        lines = iter(again.stderr.readline, b"")
        assert any(b"ready on node node042" in line for line in lines)
        assert node.line("uname -s").stdout == "Linux\n"
        again.terminate()
    assert again.returncode == 0


# As systemd starts it: sockets from number 3 on, meant for the process that LISTEN_PID names.
ACTIVATE = """
import os, socket, sys
ours = socket.socket(socket.AF_UNIX)
ours.bind(sys.argv[1])
ours.listen()
os.dup2(ours.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] else str(os.getpid())}
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextmanager
def activated(node: LocalNode, path: Path, pid: str = "") -> Iterator[None]:
    command = [sys.executable, "-c", ACTIVATE, str(path), pid, PROGRAM, "--config", str(node.directory / "agent.toml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert any(b"ready on node" in line for line in iter(process.stderr.readline, b""))
            yield
        finally:
            process.terminate()
    assert process.returncode == 0


def test_a_socket_of_the_manager_is_taken_over(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node()
    node.stop()
    with activated(node, tmp_path / "s"):
        node.socket = tmp_path / "s"
        assert node.line("echo through").stdout == "through\n"
        assert not (node.directory / "run" / "agent.sock").exists()
    assert (tmp_path / "s").exists()  # the manager's to remove


def test_sockets_meant_for_another_process_are_left_alone(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node()
    node.stop()
    with activated(node, tmp_path / "s", "1"):
        assert node.line("echo own").stdout == "own\n"


def test_a_count_of_sockets_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "many")
    with pytest.raises(UsageError, match="LISTEN_FDS: expected a number, got 'many'"):
        inherited_sockets()

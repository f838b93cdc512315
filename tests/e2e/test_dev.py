"""`pact dev` on the real programs: it comes up, keeps to itself, and goes without a trace."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from pactsh.dev.processes import Process, is_alive

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


class System:
    """A dev system in a directory, and the programs that speak to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def pact(self, *args: str, status: int | None = 0, **rest: Any) -> subprocess.CompletedProcess[str]:
        command = [str(BIN / "pact"), "dev", *args, "--dir", str(self.directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **rest)
        if status is not None:
            assert done.returncode == status, (done, self.logs())
        return done

    def logs(self) -> str:
        return "\n".join(p.read_text(errors="replace")[-2000:] for p in self.directory.rglob("*.log"))

    def state(self) -> dict[str, Any]:
        state = json.loads((self.directory / "state.json").read_text())
        assert isinstance(state, dict)
        return state

    def processes(self) -> dict[str, Process]:
        found = {name: Process(**p) for name, p in self.state()["processes"].items()}
        assert found, "a system that is up has processes"
        return found

    def environment(self, *args: str) -> dict[str, str]:
        lines = self.pact("env", *args).stdout.splitlines()
        pairs = [line.removeprefix("export ").partition("=") for line in lines]
        own = {"XDG_STATE_HOME": str(self.directory / "client")}  # certificates are of one system
        return {**os.environ, **own, **{name: shlex.split(value)[0] for name, _, value in pairs}}

    def line(self, text: str, node: str = "node042") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "pactsh"), "-c", text],
            env=self.environment("--node", node),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "dev")
    yield system
    system.pact("down", status=None)


def test_up_and_down(system: System) -> None:
    done = system.pact("up", "--detach")
    assert done.stdout == "pact dev: ready\n"
    assert stat.S_IMODE(system.directory.stat().st_mode) == 0o700
    before = system.processes()
    assert {"supervisor", "journal", "node node042", "agent node042"} <= set(before)
    assert all(is_alive(p) for p in before.values())
    assert system.line("uname -n").stdout == "node042\n"
    port = system.state()["ssh"]["node042"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as ssh:
        assert ssh.recv(4) == b"SSH-"
    assert system.pact("down").stdout == "pact dev: stopped\n"
    assert [name for name, p in before.items() if is_alive(p)] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    assert system.pact("down").stdout == "pact dev: nothing was running\n"


def test_env_makes_pact_speak_to_it(system: System) -> None:
    system.pact("up", "--detach")
    log = [str(BIN / "pact"), "log", "-n", "50"]
    found = subprocess.run(log, env=system.environment(), capture_output=True, text=True, timeout=60, check=True)
    assert "agent started" in found.stdout
    assert "node042 enrolled" in found.stdout
    assert "no node node999 here" in system.pact("env", "--node", "node999", status=1).stderr


def test_tokens_are_for_whom_they_name(system: System) -> None:
    system.pact("up", "--detach")
    token = system.pact("token", "--principal", "bob@example.org", "--role", "pact-viewer-ml-training").stdout.strip()
    env = {**system.environment(), "PACT_TOKEN": token}
    who = [str(BIN / "pact"), "whoami"]
    done = subprocess.run(who, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("bob@example.org (pact-viewer-ml-training)")
    assert "unknown role" in system.pact("token", "--principal", "b", "--role", "root", status=1).stderr


def test_nothing_is_up(system: System) -> None:
    for command in (("env",), ("token", "--principal", "a", "--role", "pact-platform-admin")):
        assert "nothing runs in" in system.pact(*command, status=1).stderr


def test_a_second_system_in_the_same_directory_is_refused(system: System) -> None:
    system.pact("up", "--detach")
    assert "already running" in system.pact("up", "--detach", status=4).stderr
    assert system.line("uname -n").stdout == "node042\n"


@pytest.mark.parametrize("verb", ["up", "shell"])
def test_a_directory_that_others_may_enter_is_refused(system: System, verb: str) -> None:
    system.directory.mkdir(mode=0o755)
    done = system.pact(verb, status=1)
    assert done.stdout == ""
    assert done.stderr.splitlines()[-2:] == [
        f"pact: dev: {system.directory}: open to others",
        f"hint: chmod 700 {system.directory}",
    ]
    assert list(system.directory.iterdir()) == []
    system.directory.chmod(0o700)


def test_two_systems_side_by_side(system: System, tmp_path: Path) -> None:
    other = System(tmp_path / "other")
    try:
        system.pact("up", "--detach", "--node", "node042", "--node", "node043")
        other.pact("up", "--detach", "--node", "node042", "--vcluster", "sensitive-compute")
        assert system.line("uname -n", "node043").stdout == "node043\n"
        assert other.line("uname -n").stdout == "node042\n"
        assert system.environment()["PACT_ENDPOINT"] != other.environment()["PACT_ENDPOINT"]
    finally:
        other.pact("down")
    assert system.line("uname -n").stdout == "node042\n"


@pytest.mark.parametrize("then", ["down", "up"])
def test_a_killed_supervisor_is_cleaned_up_after(system: System, then: str) -> None:
    system.pact("up", "--detach")
    before = system.processes()
    os.kill(before["supervisor"].pid, signal.SIGKILL)
    if then == "down":
        assert system.pact("down").stdout in {"pact dev: stopped\n", "pact dev: nothing was running\n"}
    else:
        assert system.pact("up", "--detach").stdout == "pact dev: ready\n"
        assert system.line("uname -n").stdout == "node042\n"
    assert [name for name, p in before.items() if is_alive(p)] == []


def test_what_was_recorded_is_still_there_the_next_time(system: System) -> None:
    system.pact("up", "--detach")
    assert system.line("uname -n").returncode == 0
    system.pact("down")
    system.pact("up", "--detach")
    env = system.environment()
    log = [str(BIN / "pact"), "log", "-n", "50"]
    done = subprocess.run(log, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "uname -n" in done.stdout


def test_in_the_foreground_it_tells_of_deaths_and_ends_by_an_interrupt(system: System) -> None:
    command = ["dev", "up", "--dir", str(system.directory)]
    child = pexpect.spawn(str(BIN / "pact"), command, encoding="utf-8", timeout=60)
    child.expect_exact("pact dev: ready\r\n")
    before = system.processes()
    os.kill(before["agent node042"].pid, signal.SIGKILL)
    child.expect_exact("pact dev: node042: pact-agent ended (SIGKILL), starting it again")
    os.kill(before["journal"].pid, signal.SIGKILL)
    child.expect_exact("pact dev: pact-journal ended (SIGKILL), starting it again")
    assert is_alive(before["supervisor"])
    child.sendintr()
    child.expect_exact("pact dev: stopped")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert [name for name, p in before.items() if is_alive(p)] == []


def test_killing_what_started_it_ends_it(system: System) -> None:
    command = ["dev", "up", "--dir", str(system.directory)]
    child = pexpect.spawn(str(BIN / "pact"), command, encoding="utf-8", timeout=60)
    child.expect_exact("pact dev: ready\r\n")
    fds = [os.pidfd_open(p.pid) for p in system.processes().values()]
    child.kill(signal.SIGKILL)
    wait_for_end(fds)


def wait_for_end(fds: list[int]) -> None:
    import select

    left = set(fds)
    while left:
        ready, _, _ = select.select(list(left), [], [], 60)
        assert ready, "something still runs"
        left -= set(ready)
    for fd in fds:
        os.close(fd)


def test_a_shell_for_a_script(system: System) -> None:
    done = system.pact("shell", input="uname -n\nexit\n")
    assert done.stdout == "node042\n"
    assert not (system.directory / "state.json").exists() or system.state()["processes"] == {}


def test_a_shell_for_a_person(system: System) -> None:
    command = ["dev", "shell", "--dir", str(system.directory)]
    child = pexpect.spawn(str(BIN / "pact"), command, encoding="utf-8", timeout=60, env={**os.environ, "TERM": "dumb"})
    child.expect_exact("pact:node042> ")
    before = system.processes()
    child.sendline("uname -n")
    child.expect_exact("node042\r\n")
    child.expect_exact("pact:node042> ")
    child.sendline("/bin/bash")
    child.expect_exact("refused")
    child.expect_exact("pact:node042> ")
    child.sendline("exit 3")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert [name for name, p in before.items() if is_alive(p)] == []


def test_a_shell_on_a_running_system_leaves_it_running(system: System) -> None:
    system.pact("up", "--detach")
    assert system.pact("shell", input="uname -n\nexit\n").stdout == "node042\n"
    assert system.line("uname -n").stdout == "node042\n"


def test_where_no_namespace_is_allowed_it_says_so_and_starts_all_the_same(system: System) -> None:
    if os.geteuid() != 0:
        pytest.skip("taking everything away from itself takes root: run the tests as root")
    # A user namespace in which no other may be made, and in it root without a single capability.
    bare = "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -all --inh-caps -all "
    here = f"{shlex.quote(str(BIN))}/pact dev"
    steps = (
        f"{here} up --detach && eval $({here} env --node node042) && {BIN}/pactsh -c 'uname -s' && {BIN}/pact status"
    )
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", bare + f"sh -c {shlex.quote(steps)}; true"],
        env={**os.environ, "XDG_RUNTIME_DIR": str(system.directory.parent)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    system.directory = system.directory.parent / "pact" / "dev"
    for kind in ("user", "mount", "hostname", "ipc", "network", "process"):
        assert f"pact dev: node042: no {kind} namespace (" in done.stderr
        assert f"Missing:     {kind} namespace (" in done.stdout
    assert done.stdout.startswith("pact dev: ready\nLinux\n")


# -- an ordinary user


def reachable_python() -> str | None:
    """An interpreter like ours that user nobody may run."""
    ours = os.path.realpath(sys.executable)
    for path in (ours, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        # Started again by itself: the first start still has what setpriv had.
        again = "import subprocess, sys; sys.exit(subprocess.call([sys.argv[1], '-c', '']))"
        check = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", path, "-c", again, path]
        if subprocess.run(check, capture_output=True, check=False, cwd="/").returncode == 0:
            return path
    return None


@pytest.fixture
def installed_for_all() -> Iterator[Path]:
    """Our programs, installed where an ordinary user may run them; a directory that user owns beside."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root: run as root; as an ordinary user the other tests show the same")
    python = reachable_python()
    if python is None:
        pytest.skip("no interpreter here that an ordinary user may run: apt-get install python3")
    directory = Path(f"/var/tmp/pact-test-{os.getpid()}")
    directory.mkdir(mode=0o755)
    try:
        make_installation(directory, python)
        yield directory
    finally:
        shutil.rmtree(directory)


def make_installation(directory: Path, python: str) -> None:
    code = directory / "code"
    shutil.copytree(ROOT / "pactsh", code / "pactsh", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "agent" / "pact_agent", code / "pact_agent", ignore=shutil.ignore_patterns("__pycache__"))
    libraries = shutil.copytree(
        sysconfig.get_path("purelib"), directory / "libraries", ignore=shutil.ignore_patterns("__pycache__", "*.pth")
    )
    subprocess.run([python, "-m", "venv", "--without-pip", str(directory / "venv")], check=True)
    (site,) = (directory / "venv" / "lib").glob("python*/site-packages")
    (site / "all.pth").write_text(f"{code}\n{libraries}\n")
    for name, module in (
        ("pact", "pactsh.cli.main"),
        ("pactsh", "pactsh.shell.entry"),
        ("pact-agent", "pact_agent.daemon"),
        ("pact-journal", "pactsh.journal.server"),
    ):
        script = directory / "venv" / "bin" / name
        script.write_text(f"#!{directory}/venv/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)
    home = directory / "home"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)


def test_an_ordinary_user_gets_a_node_too(installed_for_all: Path) -> None:
    home = installed_for_all / "home"
    done = subprocess.run(
        [
            *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
            *(str(installed_for_all / "venv" / "bin" / "pact"), "dev", "shell"),
        ],
        input="uname -n\nid -u\nexit\n",
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done
    if "no hostname namespace" in done.stderr:
        pytest.skip(f"this machine does not allow it: {done.stderr}")
    assert done.stdout == "node042\n0\n"

"""`pactsh` as a user's login shell: su, the system's sshd, a console login. Makes a user and removes it again."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

import pactsh
from pactsh.shell.launcher import launcher_text
from tests.pact_agent.localnode import IS_ROOT, LocalNode

PROMPT = "pact:node042> "
SYSTEM_PYTHON = "/usr/bin/python3"
SOURCE = Path(pactsh.__file__).parent.parent


def reachable(path: str) -> bool:
    """Whether any user can get there."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in Path(path).resolve().parents)


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.serial,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not IS_ROOT, reason="makes users: run the tests as root"),
    pytest.mark.skipif(os.path.exists("/run/pact"), reason="an agent of this machine's own has /run/pact: stop it"),
    pytest.mark.skipif(not os.path.exists(SYSTEM_PYTHON), reason="needs /usr/bin/python3: apt-get install python3"),
    pytest.mark.skipif(
        not reachable(str(SOURCE / "pactsh")), reason="the checkout is where other users can't go: put it elsewhere"
    ),
]


@dataclass
class Login:
    """A user whose shell is pactsh, one who is nobody to pact, and the node's agent."""

    user: str
    stranger: str
    shell: str
    node: LocalNode

    def su(self, *args: str, user: str | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["su", *args[:1], user or self.user, *args[1:]], input=stdin, capture_output=True, text=True, timeout=60
        )


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    place = tmp_path_factory.mktemp("login")
    for path in (place, *place.parents):
        if str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    shell = place / "pactsh"
    packages = tuple(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    shell.write_text(launcher_text(SYSTEM_PYTHON, str(SOURCE), packages))
    shell.chmod(0o755)
    users = [f"pact{secrets.token_hex(3)}" for _ in range(2)]
    shells = Path("/etc/shells").read_text()
    # The agent's socket is where a login shell looks for it.
    extra = (
        f'shell_user = "nobody"\n[limits]\nspool_bytes = 4194304\n'
        f'[local_users.{users[0]}]\nprincipal = "carol@example.org"\nroles = ["pact-ops-ml-training"]\n'
    )
    node = LocalNode(place / "n", extra)
    config = node.directory / "agent.toml"
    config.write_text(config.read_text().replace('run_dir = "run"', 'run_dir = "/run/pact"'))
    try:
        with open("/etc/shells", "a", encoding="utf-8") as file:
            file.write(f"{shell}\n")
        for user in users:
            subprocess.run(
                ["useradd", "--create-home", "--password", "*", "--shell", str(shell), user], check=True, timeout=30
            )
        yield Login(users[0], users[1], str(shell), node.start())
    finally:
        node.close()
        shutil.rmtree("/run/pact", ignore_errors=True)
        Path("/etc/shells").write_text(shells)
        for user in users:
            subprocess.run(["userdel", "--remove", user], stderr=subprocess.DEVNULL, timeout=30)


def test_su_gives_the_shell(login: Login) -> None:
    done = login.su("-", stdin="whoami\nexit 4\n")
    assert (done.stdout, done.returncode) == ("carol@example.org\n", 4), done.stderr


def test_su_on_a_terminal_gives_the_prompt(login: Login) -> None:
    child = pexpect.spawn("su", ["-", login.user], encoding="utf-8", timeout=30, env=os.environ | {"TERM": "dumb"})
    child.expect_exact(PROMPT)
    child.sendline("uname -s")
    child.expect_exact("Linux")
    child.expect_exact(PROMPT)
    child.sendline("exit 3")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


@pytest.mark.parametrize(
    ("line", "stdout", "status"), [("uname -s", "Linux\n", 0), ("rm x", "", 6), ("/bin/sh", "", 6), ("false", "", 1)]
)
def test_su_c_runs_one_line(login: Login, line: str, stdout: str, status: int) -> None:
    done = login.su("-", "-c", line)
    assert (done.stdout, done.returncode) == (stdout, status)


def test_the_callers_environment_brings_no_code_along(login: Login, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('code')\n")
    (tmp_path / "json.py").write_text("print('code')\n")
    tmp_path.chmod(0o755)
    done = subprocess.run(
        ["su", login.user, "-c", "uname -s"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "json.py"), "PATH": os.environ["PATH"]},
    )
    assert (done.stdout, done.returncode) == ("Linux\n", 0), done.stderr


def test_a_user_unknown_to_pact_gets_status_2(login: Login) -> None:
    for args in (("-",), ("-", "-c", "uname")):
        done = login.su(*args, user=login.stranger, stdin="uname\n")
        assert (done.stdout, done.returncode) == ("", 2)
        assert "nobody to pact" in done.stderr


def test_a_console_login_gives_the_prompt(login: Login) -> None:
    if shutil.which("login") is None:
        pytest.skip("login is not installed: apt-get install login")
    child = pexpect.spawn("login", ["-f", login.user], encoding="utf-8", timeout=30, env=os.environ | {"TERM": "dumb"})
    child.expect_exact(PROMPT)
    child.sendline("echo $USER")
    child.expect_exact("carol@example.org")
    child.expect_exact(PROMPT)
    child.sendline("exit")
    child.expect(pexpect.EOF)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def sshd(login: Login, tmp_path: Path) -> Iterator[list[str]]:
    """The system's sshd on a loopback port; yields the ssh command that reaches it as the user."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    port = free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    keys = Path(f"/home/{login.user}/keys")
    keys.write_text((tmp_path / "user.pub").read_text())
    Path("/run/sshd").mkdir(exist_ok=True)
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": keys,
        "PidFile": "none",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "UsePAM": "no",
        "AllowUsers": login.user,
    }
    args = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    server = subprocess.Popen([program, "-D", "-e", "-f", "/dev/null", *args], stderr=subprocess.DEVNULL)
    command = [
        "ssh",
        "-F",
        "/dev/null",
        "-p",
        str(port),
        "-i",
        str(tmp_path / "user"),
        "-o",
        "StrictHostKeyChecking=no",
    ]
    command += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"{login.user}@127.0.0.1"]
    try:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, "sshd did not start"
            time.sleep(0.05)
        yield command
    finally:
        server.kill()
        server.wait()


def test_the_systems_sshd_gives_the_shell(sshd: list[str]) -> None:
    line = subprocess.run([*sshd, "uname -s; rm x"], capture_output=True, text=True, timeout=60)
    assert (line.stdout, line.returncode) == ("", 6), "one refused part refuses the line"
    run = subprocess.run([*sshd, "uname -s"], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.returncode) == ("Linux\n", 0), run.stderr
    env = os.environ | {"TERM": "dumb"}
    child = pexpect.spawn(sshd[0], ["-tt", *sshd[1:]], encoding="utf-8", timeout=30, env=env)
    child.expect_exact(PROMPT)
    child.sendline("whoami")
    child.expect_exact("carol@example.org")
    child.expect_exact(PROMPT)
    child.sendline("exit 5")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5

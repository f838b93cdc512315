"""Bad input on a whole running system: a clear error, something on record, and everybody else goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import pytest

from pactsh.auth.ca import Authority
from pactsh.dev.layout import Layout
from pactsh.model.identity import Identity
from tests.e2e.outside import Outside
from tests.e2e.test_remote import ssh_config
from tests.pact_agent.localnode import BIN, IS_ROOT, Wire
from tests.pact_agent.sshnode import new_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
MANY_LINES = "seq 1 100000000"


class System(Outside):
    """A whole system, seen from outside and from the node's own console."""

    def __init__(self, directory: Path, home: Path) -> None:
        super().__init__(directory, home)
        self.socket = Layout(directory).node("node042") / "run" / "agent.sock"

    def pactsh(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """`pactsh` on the node's console."""
        env = {"PACT_AGENT_SOCKET": str(self.socket), "PATH": os.environ["PATH"]}
        return subprocess.run([str(BIN / "pactsh"), *args], input=stdin, capture_output=True, timeout=60, env=env)

    def goes_on(self) -> None:
        """Both ways in still serve, at once."""
        began = time.monotonic()
        assert self.pactsh("-c", "uname -n").stdout == b"node042\n"
        assert self.pact("exec", "node042", "--", "uname", "-n").stdout == "node042\n"
        assert time.monotonic() - began < 20

    def wire(self) -> Wire:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        sock.connect(str(self.socket))
        return Wire(sock)

    def on_record(self, kind: str, words: str) -> str:
        """Wait until the journal has an entry of this type that contains `words`; returns it as text."""

        def found() -> str:
            texts = (json.dumps(e) for e in self.entries("--type", kind))
            return next((t for t in texts if words in t), "")

        return until(found)


def until(check: Callable[[], str], limit_s: float = 30) -> str:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if said := check():
            return said
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    place, home = tmp_path_factory.mktemp("d"), tmp_path_factory.mktemp("h")
    up = [str(BIN / "pact"), "dev", "up", "--detach", "--dir", str(place / "s")]
    subprocess.run(up, check=True, timeout=120, stdout=subprocess.DEVNULL)
    try:
        yield System(place / "s", home)
    finally:
        subprocess.run([str(BIN / "pact"), "dev", "down", "--dir", str(place / "s")], check=True, timeout=60)


@pytest.fixture
def config(system: System, tmp_path: Path) -> str:
    return ssh_config(system, tmp_path)


def stock_ssh(config: str, *words: bytes | str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh", "-F", config, "-T", "node042", *words], input=stdin, capture_output=True, timeout=60)


# -- lines

LINES = [
    (b"echo marker-long " + b"x" * 70_000, "64 KiB", "marker-long"),
    (b"echo marker-nul\0b", "control", "marker-nul"),
    (b"echo marker-esc \x1b[2J", "control", "marker-esc"),
    (b"echo marker-bytes \xff\xfe", "UTF-8", "marker-bytes"),
]


@pytest.mark.parametrize(("line", "says", "marker"), LINES, ids=["long", "nul", "escape", "bytes"])
@pytest.mark.parametrize("way", ["console", "ssh-shell"])
def test_a_line_that_is_none_is_refused_and_the_next_one_runs(
    system: System, config: str, way: str, line: bytes, says: str, marker: str
) -> None:
    script = line + b"\nuname -n\n"
    done = system.pactsh(stdin=script) if way == "console" else stock_ssh(config, stdin=script)
    assert done.stdout == b"node042\n", done.stderr[:500]
    assert says in done.stderr.decode(errors="replace")[-2000:]
    assert done.returncode == 0
    assert says in system.on_record("refusal", marker)


@pytest.mark.parametrize(("line", "says", "marker"), LINES[2:], ids=["escape", "bytes"])
def test_a_command_of_the_stock_client_that_is_no_line(
    system: System, config: str, line: bytes, says: str, marker: str
) -> None:
    done = stock_ssh(config, line)
    assert (done.stdout, done.returncode) == (b"", 6 if says == "control" else 1), done
    assert says in done.stderr.decode(errors="replace")
    assert says in system.on_record("refusal", marker)
    system.goes_on()


# -- the local socket


def test_a_torn_frame_and_garbage_end_that_connection_alone(system: System) -> None:
    with system.wire() as wire:
        wire.sock.sendall(b"\0\0\1\0{")
        wire.sock.shutdown(socket.SHUT_WR)
        assert "frame" in str(wire.until("error")["message"])
    with system.wire() as wire:
        wire.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert wire.until("error")["kind"] == "usage"
        assert wire.receive() is None
    assert "local socket" in system.on_record("connection.refused", "frame")
    system.goes_on()


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become another user: run the tests as root")
def test_a_stranger_is_told_and_recorded(system: System) -> None:
    for path in (system.socket, *system.socket.parents):
        if path.stat().st_uid == 0 and str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    probe = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.settimeout(20); sys.stdout.write(s.recv(4096)[4:].decode())"
    )
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", probe]
    done = subprocess.run([*argv, str(system.socket)], capture_output=True, text=True, timeout=60)
    told = json.loads(done.stdout)
    assert (told["code"], "nobody to pact" in told["message"]) == (2, True)
    assert "uid=65534" in system.on_record("connection.refused", "nobody to pact")
    system.goes_on()


# -- clients that stop reading


def test_a_client_that_stops_reading_holds_up_nobody_and_what_it_runs_ends_with_it(system: System, config: str) -> None:
    argvs = [
        [str(BIN / "pact"), "exec", "--max-output", "1000000000", "node042", "--", *MANY_LINES.split()],
        ["ssh", "-F", config, "-T", "node042", MANY_LINES],
    ]
    for argv in argvs:
        client = subprocess.Popen(argv, stdout=subprocess.PIPE, env=system.env)
        assert client.stdout is not None
        assert client.stdout.read(4) == b"1\n2\n"
        client.send_signal(signal.SIGSTOP)
        system.goes_on()
        client.kill()
        client.wait(30)
        client.stdout.close()
        until(lambda: "" if b"100000000" in system.pactsh("-c", "ps -C seq -o args").stdout else "gone")
    ids = {
        str(e["body"]["id"]): e["body"]  # type: ignore[index]
        for e in system.entries("--type", "intent")
        if MANY_LINES in json.dumps(e)
    }
    for number in ids:
        system.on_record("outcome", number)


# -- garbage on the ports


def ports(system: System) -> dict[str, int]:
    shown = system.pact("status", "node042", "--output", "json")
    assert shown.returncode == 0, shown.stderr
    cached = next(iter(system.home.glob(".local/state/pact/ssh/*/nodes.json")))
    host, port, _ = json.loads(cached.read_text())["nodes"]["node042"]
    assert host == "127.0.0.1"
    return {"ssh": port, "grpc": int(system.env["PACT_ENDPOINT"].rpartition(":")[2])}


def test_garbage_on_the_ports_is_on_record_and_harms_nobody(system: System) -> None:
    system.goes_on()
    held = []
    for port in ports(system).values():
        for garbage in (b"GET / HTTP/1.1\r\n\r\n" * 500, os.urandom(65536), b"\0" * 10, b""):
            connection = socket.create_connection(("127.0.0.1", port), 10)
            held.append(connection)  # kept open: nobody may wait for it
            try:
                connection.sendall(garbage)
            except ConnectionError:
                continue
    system.goes_on()
    for connection in held:
        connection.close()
    system.on_record("connection.refused", "garbage")
    log = (Layout(system.directory).journal / "journal.log").read_text()
    assert "andshake" in log


# -- certificates


@pytest.mark.parametrize("which", ["foreign", "expired"])
def test_a_certificate_that_does_not_count_is_refused_and_on_record(
    system: System, config: str, tmp_path: Path, which: str
) -> None:
    key = new_key(tmp_path / which)
    admin = Identity("mallory@dev", ("pact-platform-admin",), "human", "token")
    if which == "foreign":
        authority, now = Authority.create(tmp_path / "ca"), datetime.now(UTC)
    else:
        authority = Authority.load(Layout(system.directory).journal / "ca")
        now = datetime.now(UTC) - timedelta(hours=5)
    signed = authority.sign_ssh_user(key.public, admin, lifetime_s=3600, serial=9, now=now)
    key.path.with_name(f"{which}-cert.pub").write_text(signed + "\n")
    text = Path(config).read_text()
    text = re.sub(r"(?m)^(\s*IdentityFile) .*$", rf"\1 {key.path}", text)
    text = re.sub(r"(?m)^(\s*CertificateFile) .*$", rf"\1 {key.path}-cert.pub", text)
    Path(config).write_text(text)
    done = stock_ssh(config, "uname -n")
    assert (done.stdout, done.returncode) == (b"", 255)
    reason = {"foreign": "authority that this node does not trust", "expired": "expired"}[which]
    assert reason in done.stderr.decode()
    system.on_record("connection.refused", "login")
    system.goes_on()


def test_a_forged_token_is_status_2(system: System) -> None:
    head, body, signature = system.env["PACT_TOKEN"].split(".")
    forged = ".".join((head, body, signature[:-6] + ("A" * 6 if signature[-6:] != "A" * 6 else "B" * 6)))
    done = system.pact("log", env={"PACT_TOKEN": forged})
    assert (done.returncode, done.stdout) == (2, "")
    assert forged not in done.stderr


# -- the agent goes away under a session


def test_a_lost_agent_gives_the_terminal_back(system: System) -> None:
    shell = pexpect.spawn(str(BIN / "pact"), ["shell", "node042"], env=system.env, encoding="utf-8", timeout=60)
    shell.expect_exact("pact:node042>")
    shell.send("top\r")
    shell.expect_exact("load average")
    beside = system.start("exec", "node042", "--", "vmstat", "1", "60")
    assert beside.stdout is not None
    assert "procs" in beside.stdout.readline()
    config = Layout(system.directory).node("node042") / "agent.toml"
    found = subprocess.run(
        ["pgrep", "-f", f"pact-agent --config {config}"], capture_output=True, text=True, check=True, timeout=30
    )
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    shell.expect_exact("\x1b[?2004l\x1b[?1l\x1b>\x1b[?25h\x1b[0m\r\n\x1b[J")
    # The command that ran beside it is told too.
    _, errors = beside.communicate(timeout=60)
    assert (beside.returncode, "the connection was lost" in errors) == (5, True), errors
    shell.expect_exact("pact: node042: the connection was lost")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 5
    until(lambda: str(system.pactsh("-c", "uname -n").stdout, "ascii"))  # the supervisor starts it again
    until(lambda: system.pact("exec", "node042", "--", "uname", "-n").stdout)

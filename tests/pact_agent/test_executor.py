"""Lines on a real agent: what runs, what is refused, and what is on record before anything runs."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pact_agent.localnode import IS_ROOT, WHO, LocalNode, body_of

MakeNode = Callable[..., LocalNode]


@pytest.mark.parametrize(
    ("line", "stdout", "status"),
    [
        ("uname -s", "Linux\n", 0),
        ("echo 'a  b' \"$USER\"", f"a  b {WHO}\n", 0),
        ("echo one | cat | wc -l", "1\n", 0),
        ("false; echo $?", "1\n", 0),
        ("true; echo $?", "0\n", 0),
        ("false && echo no || echo yes", "yes\n", 0),
        ("true || echo no; echo end", "end\n", 0),
        ("cd /var/log; pwd", "/var/log\n", 0),
        ("cd /var; cd log; pwd; cd -", "/var/log\n/var\n", 0),
        ("cd /usr; ls -d bi*", "bin\n", 0),
        ("pwd | cat", "/\n", 0),
        ("cd /usr | cat; pwd", "/\n", 0),
        ("whoami", f"{WHO}\n", 0),
        ("echo $HOSTNAME", f"{socket.gethostname()}\n", 0),
        ("echo $PACT_NODE $PACT_VCLUSTER $HOME", "node042 ml-training /\n", 0),
        ("cat < /etc/passwd | head -1 | cut -d: -f1", "root\n", 0),
        ("echo out >/dev/null", "", 0),
        ("ls /nonexistent 2>/dev/null", "", 2),
        ("", "", 0),
        ("# only a comment", "", 0),
        ("exit 7", "", 7),
        ("exit 7; echo no", "", 7),
    ],
)
def test_lines_run_as_bash_would(node: LocalNode, line: str, stdout: str, status: int) -> None:
    done = node.line(line)
    assert (done.stdout, done.returncode) == (stdout, status), done.stderr


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("rm -rf /tmp/x", 6, "not on the whitelist"),
        ("cat /etc/hostname > /tmp/x", 6, "pact: refused"),
        ("echo $(id)", 6, "pact: refused"),
        ("/bin/bash", 6, "pact: refused"),
        ("ls &", 6, "pact: refused"),
        ("FOO=1 ls", 6, "pact: refused"),
        ('echo "abc', 1, "pact:"),
        ("| ls", 1, "pact:"),
        ("ls; rm x", 6, "not on the whitelist"),
        ("ls | sh", 6, "not on the whitelist"),
        ("cat /etc/shadow", 6, "secret"),
        ("cat < /etc/shadow", 6, "secret"),
        ("cat < /etc/shadow < /etc/hostname", 6, "secret"),
        ("cd /etc; cat shadow", 6, "secret"),
        ("cd /etc && cat <shadow", 6, "secret"),
        ("cd /; cd etc; cat ./shadow", 6, "secret"),
        ("cd /dev; head -c1 watchdog", 6, "devices"),
        ("cd /etc; watch -q1 cat shadow", 6, "secret"),
    ],
)
def test_refused_lines_run_nothing_and_say_why(node: LocalNode, line: str, status: int, says: str) -> None:
    done = node.line(line)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert "hint:" in done.stderr or status == 6


def test_stdout_and_stderr_stay_apart_and_stdin_is_passed(node: LocalNode) -> None:
    done = node.line("cat; ls /nonexistent", stdin="given\n")
    assert done.stdout == "given\n"
    assert "/nonexistent" in done.stderr
    assert done.returncode == 2


def test_a_signal_shows_in_the_status(node: LocalNode) -> None:
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        null = os.open(os.devnull, os.O_RDWR)
        wire.send({"op": "run", "line": "sleep 100", "fds": 3}, (null, null, null))
        os.close(null)
        wire.until("started")
        wire.send({"op": "signal", "name": "INT"})
        assert wire.until("exit")["status"] == 130


def test_an_interrupt_ends_the_whole_line(node: LocalNode) -> None:
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        read, write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        wire.send({"op": "run", "line": "sleep 100; echo later", "fds": 3}, (null, write, write))
        os.close(null)
        os.close(write)
        wire.until("started")
        wire.send({"op": "signal", "name": "INT"})
        assert wire.until("exit")["status"] == 130
        with os.fdopen(read, "rb") as output:
            assert output.read() == b""


def test_every_line_is_on_record_with_what_was_really_run(make_node: MakeNode) -> None:
    node = make_node()
    node.line("false; echo $? | cat")
    node.line("rm -rf /tmp/x")
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        session = wire.until("session")["id"]
        wire.run("pwd")
        wire.send({"op": "bye", "status": 0})
        assert wire.receive() is None
    node.stop()
    intent, refused, started, pwd, ended = (
        node.entries("intent")[0],
        node.entries("refusal")[0],
        node.entries("session.start")[0],
        node.entries("intent")[1],
        node.entries("session.end")[0],
    )
    assert intent.author.principal == WHO
    assert intent.author.roles == ("pact-platform-admin",)
    body = body_of(intent)
    assert body["line"] == "false; echo $? | cat"
    assert (body["class"], body["decision"]["verdict"]) == ("read", "allow")
    assert [s["argv"] for s in body["stages"]] == [["false"], ["echo", "0"], ["cat"]]
    amended = body_of(node.entries("amend")[0])["stages"]
    assert [s["argv"] for s in amended] == [["echo", "1"], ["cat"]]
    outcome = body_of(node.entries("outcome")[0])
    assert (outcome["id"], outcome["status"]) == (body["id"], 0)
    assert outcome["duration_ms"] >= 0
    assert body_of(refused)["status"] == 6
    assert "rm" in body_of(refused)["reason"]
    assert started.session == pwd.session == ended.session == session
    assert body_of(ended)["lines"] == 1


def test_intent_is_synced_before_the_command_can_do_anything(make_node: MakeNode) -> None:
    """The agent is killed while the command runs: its intent must have survived, its outcome can't have."""
    node = make_node()
    with node.connect() as wire:
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        null = os.open(os.devnull, os.O_RDWR)
        wire.send({"op": "run", "line": "sleep 77", "fds": 3}, (null, null, null))
        os.close(null)
        wire.until("started")
        node.stop(9)
    assert [body_of(d)["line"] for d in node.entries("intent")] == ["sleep 77"]
    assert node.entries("outcome") == []


def test_a_command_dies_with_its_agent(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node()
    with node.connect() as wire:
        read, write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        wire.send({"op": "run", "line": "sleep 98.7", "fds": 3}, (null, write, null))
        os.close(null)
        os.close(write)
        wire.until("started")
        node.stop(9)
        # The read end reports the end of file when the last holder of the pipe, sleep itself, has died.
        with os.fdopen(read, "rb") as output:
            assert output.read() == b""


def test_a_command_dies_with_its_connection(node: LocalNode) -> None:
    wire = node.connect()
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    wire.send({"op": "run", "line": "sleep 98.6", "fds": 3}, (null, write, null))
    os.close(null)
    os.close(write)
    wire.until("started")
    wire.sock.close()
    with os.fdopen(read, "rb") as output:
        assert output.read() == b""


def test_a_viewer_reads_and_changes_nothing(make_node: MakeNode) -> None:
    node = make_node(roles='"pact-viewer-ml-training"')
    assert node.line("uname -s").returncode == 0
    changed = node.line("sysctl -w net.core.somaxconn=4096")
    assert changed.returncode == 2
    assert "may only read" in changed.stderr


@pytest.mark.parametrize("roles", ["", '"pact-ops-other"', '"made-up"'])
def test_without_a_role_here_nothing_runs(make_node: MakeNode, roles: str) -> None:
    done = make_node(roles=roles).line("uname")
    assert (done.returncode, done.stdout) == (2, "")
    assert "role" in done.stderr


def test_an_uninstalled_program_is_said_and_recorded(make_node: MakeNode) -> None:
    node = make_node()
    done = node.line("nvidia-smi -L")
    if done.returncode == 0:
        pytest.skip("this machine has nvidia-smi; nothing to see without one that is missing")
    assert done.returncode == 127
    assert "not installed" in done.stderr
    node.stop()
    assert body_of(node.entries("outcome")[0])["status"] == 127


def broken(directory: Path, module: str, name: str) -> dict[str, str]:
    """The environment of an agent in which `name` of `module` stumbles once the executor calls it."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "import importlib, sys\n"
        "class Break:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'pact_agent.deciding':\n"
        "            def fail(*_): raise ValueError('stumbled')\n"
        f"            place = importlib.import_module({module!r})\n"
        f"            *owner, attribute = {name.split('.')!r}\n"
        "            setattr(getattr(place, *owner) if owner else place, attribute, fail)\n"
        "sys.meta_path.insert(0, Break())\n"
    )
    return {"PYTHONPATH": str(directory)}


@pytest.mark.parametrize(
    ("module", "name"), [("pact_agent.prepare", "prepare_line"), ("pactsh.policy.decision", "decide")]
)
def test_a_fault_of_our_own_leaves_an_entry_too(make_node: MakeNode, tmp_path: Path, module: str, name: str) -> None:
    """A directory that lies about itself, a parser that stumbles: nothing typed goes unrecorded."""
    node = make_node(environment=broken(tmp_path / "code", module, name))
    done = node.line("echo hello")
    assert (done.returncode, done.stdout, "fault of pact" in done.stderr) == (1, "", True)
    node.stop()
    assert [body_of(e)["code"] for e in node.entries("refusal", "intent")] == ["internal"]


def test_one_that_comes_after_the_intent_is_told_and_leaves_an_outcome(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node(environment=broken(tmp_path / "code", "pact_agent.pipeline", "Pipelines.run"))
    done = node.pactsh(stdin="echo one\necho two\n")
    assert (done.returncode, done.stdout, done.stderr.count("fault of pact")) == (1, "", 2)
    node.stop()
    outcomes = [body_of(e) for e in node.entries("outcome")]
    assert [(o["status"], o["signal"], o["reason"]) for o in outcomes] == [(1, None, "fault: ValueError")] * 2


def test_one_in_what_looks_for_changes_is_no_end_of_the_session(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node(environment=broken(tmp_path / "code", "pact_agent.lifecycle", "Lifecycle.look"))
    done = node.pactsh(stdin="bypass true\nkill -0 999999\necho two\n")
    assert done.stdout == "two\n"
    assert "stumbled" in node.log()
    node.stop()
    assert len(node.entries("intent")) == len(node.entries("outcome"))


def test_a_line_too_long_to_record_is_refused_on_record(make_node: MakeNode, tmp_path: Path) -> None:
    """A few globs make more words than an entry holds: it does not run, and it does not vanish either."""
    node = make_node()
    for number in range(1000):
        (tmp_path / f"{number}{'n' * 200}").touch()
    line = "echo" + f" {tmp_path}/*" * 6
    done = node.line(line)
    assert (done.returncode, done.stdout) == (1, "")
    node.stop()
    (refusal,) = node.entries("refusal")
    assert (body_of(refusal)["code"], body_of(refusal)["line"]) == ("not-recorded", line)
    assert node.entries("intent", "outcome") == []


@pytest.mark.parametrize(
    "line", ["pact log --token s3cret", "pact log --t s3cret", "pact --token=s3cret status; echo s3cret"]
)
def test_a_token_on_the_line_is_refused_and_not_recorded(make_node: MakeNode, line: str) -> None:
    node = make_node()
    assert node.line(line).returncode == 6
    node.stop()
    refused = body_of(node.entries("refusal")[0])
    assert refused["code"] == "secret-argument"
    assert refused["line"].endswith("[not recorded]")
    assert "s3cret" not in str(node.entries())


@pytest.mark.parametrize(
    "line",
    [
        "pact log --token s3cret |",
        "rm x; pact log --token=s3cret",
        "rm x; pact log --t s3cret",
        "pact log --token s3cret > f",
    ],
)
def test_nor_is_one_in_a_line_refused_for_something_else(make_node: MakeNode, line: str) -> None:
    node = make_node()
    assert node.line(line).returncode in {1, 6}
    node.stop()
    assert body_of(node.entries("refusal")[0])["line"].endswith("[not recorded]")
    assert "s3cret" not in str(node.entries())


@pytest.mark.skipif(not IS_ROOT, reason="mounting takes root: run the tests as root")
def test_a_mount_point_that_is_another_place_is_refused(make_node: MakeNode) -> None:
    """The name is harmless; where it leads is not."""
    node = make_node()
    with tempfile.TemporaryDirectory(prefix="pact-test-", dir="/mnt") as place, node.connect() as wire:
        (Path(place) / "scratch").symlink_to("/etc")
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        for line in (f"mount -t nfs filer:/x {place}/scratch", f"umount {place}/scratch"):
            frame, output = wire.run(line)
            assert (frame["op"], frame["code"], output) == ("refused", "stray-mount-point", b""), line


@pytest.mark.parametrize(
    "how", ["setsid sleep {0} </dev/null >/dev/null 2>&1 &", "(setsid sleep {0} >/dev/null 2>&1 &) &"]
)
def test_what_a_line_leaves_running_ends_with_it(node: LocalNode, how: str) -> None:
    """A bypass may start anything; another session, no terminal and another parent do not keep it alive."""
    seconds = str(300_000 + os.getpid())
    done = node.line(f"bypass sh -c '{how.format(seconds)} sleep 0.2; pgrep -c -f \"^sleep {seconds}\"'")
    assert done.stdout.strip() == "1", "it ran"
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.exists()]
    assert f"sleep\0{seconds}\0".encode() not in commands

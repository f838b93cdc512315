"""A node's first process, for real, with a plain program in place of the agent."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pactsh.dev.part import code_directories, environment
from pactsh.dev.processes import identify

REPORT = """
import json, os, socket, signal, sys
def read(path):
    try:
        with open(path) as file: return file.read()
    except OSError as error: return type(error).__name__
def write(path):
    try:
        with open(path, "w") as file: file.write("7\\n")
    except OSError as error: return type(error).__name__
    return ""
listener = socket.socket(fileno=3)
node, system, outside = sys.argv[1:4]
facts = {
    "hostname": socket.gethostname(),
    "hostname_file": read("/etc/hostname"),
    "pid": os.getpid(),
    "listen_pid": os.environ["LISTEN_PID"],
    "port": listener.getsockname()[1],
    "interfaces": [name for _, name in socket.if_nameindex()],
    "system": sorted(os.listdir(system)),
    "own": read(node + "/own"),
    "secret": read(system + "/secret"),
    "written": [write(outside + "/from-inside"), write("/tmp/from-inside"), write("/proc/sys/vm/swappiness")],
    "swappiness": read("/proc/sys/vm/swappiness"),
    "sysfs": write("/sys/kernel/profiling"),
    "tty": os.ttyname(os.openpty()[1]),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
}
with open(node + "/facts.new", "w") as file: json.dump(facts, file)
os.rename(node + "/facts.new", node + "/facts")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
"""


class Node:
    """A started node: its process here, its events, its directory."""

    def __init__(self, directory: Path, prefix: list[str]) -> None:
        self.system = directory / "dev"
        self.directory = self.system / "nodes" / "node042"
        self.outside = directory / "outside"
        for path in (self.directory / "run", self.system / "shared", self.outside):
            path.mkdir(parents=True)
        (self.system / "secret").write_text("the key of the authority")
        (self.directory / "own").write_text("mine")
        spec = {
            "name": "node042",
            "system": str(self.system),
            "node": str(self.directory),
            "shared": [str(self.system / "shared")],
            "code": code_directories(),
            "argv": [sys.executable, "-I", "-c", REPORT, *map(str, (self.directory, self.system, self.outside))],
            "env": environment(),
            "log": str(self.directory / "agent.log"),
        }
        (self.directory / "node.json").write_text(json.dumps(spec))
        self.events, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.events.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.events.settimeout(20)
        self.listener = socket.create_server(("127.0.0.1", 0))
        fds = (far.fileno(), self.listener.fileno())
        command = [*prefix, sys.executable, "-m", "pactsh.dev.node", str(self.directory / "node.json"), *map(str, fds)]
        self.process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL)
        far.close()

    def event(self, kind: str) -> tuple[int, dict[str, object]]:
        data, ancillary, _, _ = self.events.recvmsg(65536, 64)
        body = json.loads(data)
        assert body["ev"] == kind, (body, (self.directory / "agent.log").read_text())
        return struct.unpack("3i", ancillary[0][2])[0], body

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.events.close()
        self.listener.close()


# Without the capability that namespaces take, root is treated as an ordinary user is: it gets a user
# namespace of its own, and mounts are locked to each other.
ORDINARY = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-all"]


@pytest.fixture(params=[pytest.param([], id="as-we-are"), pytest.param(ORDINARY, id="without-admin")])
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    if request.param and os.geteuid() != 0:
        pytest.skip("taking a capability away takes root: run the tests as root")
    node = Node(tmp_path, request.param)
    yield node
    node.close()


def facts_of(node: Node) -> dict[str, object]:
    """What the program in the node found, once it has written it all."""
    path = node.directory / "facts"
    assert identify(node.process.pid) is not None
    for _ in range(2000):
        if path.exists():
            facts = json.loads(path.read_text())
            path.unlink()
            assert isinstance(facts, dict)
            return facts
        select_a_moment()
    raise AssertionError((node.directory / "agent.log").read_text())


def select_a_moment() -> None:
    signal.sigtimedwait((), 0.01)


def swappiness() -> str:
    with open("/proc/sys/vm/swappiness", encoding="ascii") as file:
        return file.read()


def test_a_node_is_a_machine_of_its_own(node: Node) -> None:
    before = swappiness()
    # Reading the kernel's messages is for the machine's own root, whatever the namespace.
    told = node.event("prepared")[1]["missing"]
    assert isinstance(told, list)
    missing = [m for m in told if not m.startswith("kernel messages")]
    if missing:
        pytest.skip(f"this machine does not allow: {missing}")
    node.events.send(b"go")
    node.event("started")
    facts = facts_of(node)
    assert facts["hostname"] == "node042"
    assert facts["hostname_file"] == "node042\n"
    assert facts["processes"] == [1, facts["pid"]]
    assert facts["listen_pid"] == str(facts["pid"])
    assert facts["port"] == node.listener.getsockname()[1]
    assert facts["interfaces"] == ["lo"]
    assert str(facts["tty"]).startswith("/dev/pts/")
    assert facts["own"] == "mine"
    assert facts["system"] == ["nodes", "shared"]
    assert facts["secret"] == "FileNotFoundError"
    # What is written there stays there: files, and the one kernel's settings.
    assert facts["swappiness"] == "7\n"
    assert swappiness() == before
    assert facts["sysfs"] != ""
    assert list(node.outside.iterdir()) == []
    assert not os.path.exists("/tmp/from-inside")


def test_it_ends_with_its_agent_when_told_to(node: Node) -> None:
    init, _ = node.event("prepared")
    node.events.send(b"go")
    agent, _ = node.event("started")
    facts_of(node)
    process = identify(agent)
    assert process is not None
    node.process.terminate()
    assert node.process.wait(20) == 0
    assert identify(agent) != process
    assert init not in {agent, node.process.pid}


def test_an_agent_that_was_ready_and_dies_is_started_again_in_the_same_node(node: Node) -> None:
    init, _ = node.event("prepared")
    node.events.send(b"go")
    first, _ = node.event("started")
    facts_of(node)
    node.events.send(b"keep")
    os.kill(first, signal.SIGKILL)
    died = node.event("died")
    assert died == (init, {"ev": "died", "status": 137, "again": True})
    second, _ = node.event("started")
    assert second != first
    assert facts_of(node)["hostname"] == "node042"


def test_an_agent_that_never_was_ready_is_not_started_again(node: Node) -> None:
    node.event("prepared")
    node.events.send(b"go")
    agent, _ = node.event("started")
    os.kill(agent, signal.SIGKILL)
    assert node.event("died")[1] == {"ev": "died", "status": 137, "again": False}
    assert node.process.wait(20) == 137


def test_nothing_of_it_outlives_its_first_process(node: Node) -> None:
    node.event("prepared")
    node.events.send(b"go")
    agent, _ = node.event("started")
    facts_of(node)
    fd = os.pidfd_open(agent)
    node.process.kill()
    node.process.wait()
    # Readable when the process has ended: pidfd_open(2).
    assert select.select([fd], [], [], 20)[0] == [fd]
    os.close(fd)


def test_without_leave_it_ends_when_the_supervisor_goes(node: Node) -> None:
    node.event("prepared")
    node.events.close()
    assert node.process.wait(20) == 0

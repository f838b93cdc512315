"""A node that is reached over one link: whoever takes it down is cut off, and the node comes back by itself."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pact_agent.localnode import IS_ROOT, body_of
from tests.pact_agent.sshnode import SshNode

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not IS_ROOT, reason="network namespaces are root's: run the tests as root"),
]
LIMIT_S = 150.0
NODE, ADMIN = "10.66.0.1", "10.66.0.2"
ENFORCING = {"vcluster": "ml-training", "enforcement_mode": "enforce", "base_commit_window_seconds": 60}


class Site:
    """The node in one network namespace, the administrator in another, a cable between them."""

    def __init__(self, directory: Path, ends: ExitStack) -> None:
        self.node_at, self.admin_at = (ends.enter_context(_Namespace()) for _ in range(2))
        self._ip(f"link add eth0 netns {self.node_at} type veth peer name eth0 netns {self.admin_at}")
        for at, address in ((self.node_at, NODE), (self.admin_at, ADMIN)):
            self._ip(f"address add {address}/24 dev eth0", at)
            self._ip("link set eth0 up", at)
        self.ssh_node = SshNode(directory)
        settings = self.ssh_node.directory / "node" / "agent.toml"
        settings.write_text(settings.read_text().replace('listen = "127.0.0.1"', f'listen = "{NODE}"'))
        kept = self.ssh_node.directory / "node" / "state" / "config"
        kept.mkdir(parents=True)
        (kept / "policy.json").write_text(json.dumps(ENFORCING))
        self.ssh_node.node.program = ("nsenter", f"--net=/proc/{self.node_at}/ns/net")
        self.ssh_node.start()
        ends.callback(self.ssh_node.node.close)

    @staticmethod
    def _ip(line: str, at: int | None = None) -> None:
        inside = () if at is None else ("nsenter", f"--net=/proc/{at}/ns/net")
        subprocess.run([*inside, "ip", *line.split()], check=True, timeout=20)

    def ssh(self, *line: str, script: str = "", limit_s: float = 60) -> subprocess.CompletedProcess[str]:
        """One connection from the administrator's machine; status 255 where there is none."""
        words = ["-o", "ConnectTimeout=2", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3"]
        argv = ["ssh", *words, *self.ssh_node.options(), NODE, *line]
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.admin_at}/ns/net", *argv],
            input=script, capture_output=True, text=True, timeout=limit_s, check=False,
        )  # fmt: skip


class _Namespace:
    """A process in a network namespace of its own."""

    def __enter__(self) -> int:
        self._process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        assert self._process.stdout.read(1) == b"\n"
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as ends:
        yield Site(tmp_path_factory.mktemp("site"), ends)


def test_a_change_of_the_network_is_committed_by_whoever_comes_through_after_it(site: Site) -> None:
    script = "ip link set eth0 mtu 1400\npact commit --no-wait -m 'a tunnel'\n"
    done = site.ssh(script=script)
    assert done.returncode == 3
    assert "network:link:eth0: a change of the network is committed from a connection opened after it" in done.stderr
    assert "connect anew" in done.stderr
    assert "link:eth0 declared=state=up mtu=1500" in site.ssh("pact", "diff").stdout
    done = site.ssh("pact", "commit", "--no-wait", "-m", "'a tunnel'")
    assert (done.returncode, done.stdout.split(" (")[0]) == (0, "Committed on node042"), done.stderr
    assert site.ssh("pact", "diff").stdout == "(no drift)\n"


def test_a_node_whose_link_was_taken_down_comes_back_by_itself(site: Site) -> None:
    assert site.ssh("true").returncode == 0
    cut = site.ssh("ip", "link", "set", "eth0", "down")
    assert cut.returncode == 255, "the connection is lost"
    assert site.ssh("true").returncode == 255
    ends = time.monotonic() + LIMIT_S
    while site.ssh("true").returncode != 0:
        assert time.monotonic() < ends, "the node did not come back"
    assert site.ssh("pact", "diff").stdout == "(no drift)\n"
    site.ssh_node.node.stop()
    entries = site.ssh_node.node.entries("drift.detected", "rollback")
    (found,) = [body_of(e)["changes"] for e in entries if e.type == "drift.detected" and "state=down" in str(e.body)]
    assert [(item["change"]["key"], item["by"]) for item in found] == [("link:eth0", "alice@example.org")]
    (*_, body) = (body_of(e) for e in entries if e.type == "rollback")
    assert (body["reason"], [c["key"] for c in body["undone"]], body["failed"]) == ("expired", ["link:eth0"], [])

"""The whole loop on a Debian 12 system with its own systemd: seen, committed, put back by the next start, gone back."""

from __future__ import annotations

import functools
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.booted import Booted, booted_system
from tests.pact_agent.localnode import BIN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
LIMIT_S = 60.0
ROOT = Path(__file__).parents[2]
SETTINGS = """node = "node042"
vcluster = "ml-training"
[local_users.0]
principal = "alice@example.org"
roles = ["pact-platform-admin"]
"""
AGENT = f"""[Service]
Type=notify
ExecStart={BIN}/pact-agent --config /etc/pact/agent.toml
[Install]
WantedBy=multi-user.target
"""
DAEMON = "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


class Node:
    """The agent in a booted system, and an administrator who logs in anew for each line."""

    def __init__(self, system: Booted) -> None:
        self.system = system

    def line(self, line: str) -> str:
        """What it prints, errors too."""
        words = ("sh", "-c", 'exec "$@" 2>&1', "sh", f"{BIN}/pactsh", "-c", line)
        return self.system.run("setsid", "--wait", *words, check=False)

    def diff(self) -> str:
        return self.line("pact diff")

    def shows(self, pattern: str) -> bool:
        return re.search(pattern, self.diff()) is not None

    def wait(self, check: Callable[[], bool]) -> None:
        ends = time.monotonic() + LIMIT_S
        while not check():
            assert time.monotonic() < ends, self.diff()


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    code = {str(ROOT), sys.prefix, sys.base_prefix}
    with booted_system(binds=sorted(code)) as system:
        system.run("ip", "link", "set", "lo", "up")
        system.run("ip", "link", "add", "br0", "type", "bridge")
        system.run("ip", "link", "set", "br0", "up")
        system.write("/etc/pact/agent.toml", SETTINGS)
        system.write("/etc/systemd/system/pact-agent.service", AGENT)
        system.write("/etc/systemd/system/t-daemon.service", DAEMON)
        system.write("/etc/t.conf", "a = 1\n")
        policy = {"vcluster": "ml-training", "enforcement_mode": "enforce"}
        system.write("/var/lib/pact/config/policy.json", json.dumps(policy))
        system.run("systemctl", "daemon-reload")
        system.run("systemctl", "enable", "--now", "t-daemon.service")
        system.run("systemctl", "start", "pact-agent.service")
        node = Node(system)
        node.wait(lambda: node.diff() == "(no drift)\n")
        yield node


def value(node: Node, what: str) -> str:
    """What somebody in there finds."""
    shown: dict[str, Callable[[], str]] = {
        "kernel": lambda: node.system.run("sysctl", "-n", "net.core.somaxconn"),
        "mounts": lambda: node.system.run("findmnt", "-n", "-o", "SOURCE", "/srv", check=False),
        "files": (node.system.root / "etc/t.conf").read_text,
        "network": lambda: str("10.99.0.1/24" in node.system.run("ip", "address", "show", "dev", "br0")),
        "services": lambda: node.system.run("systemctl", "is-active", "t-daemon.service", check=False),
    }
    return shown[what]().strip()


def change(node: Node, what: str) -> None:
    """By a line of the shell, or behind its back where the shell has no line for it."""
    if what == "kernel":
        assert "999" in node.line("sysctl -w net.core.somaxconn=999")
    elif what == "mounts":
        node.system.run("mount", "-t", "tmpfs", "-o", "size=64k", "t-mount", "/srv")
    elif what == "files":
        node.system.run("sh", "-c", "echo 'a = 2' > /etc/t.conf")
    elif what == "network":
        node.line("ip address add 10.99.0.1/24 dev br0")
    else:
        node.line("systemctl stop t-daemon.service")


BY_ALICE = r" \(alice@example\.org, "
DIMENSIONS = {
    "kernel": r"kernel: net\.core\.somaxconn declared=4096 actual=999" + BY_ALICE,
    "mounts": r"mounts: /srv declared=\(none\) actual=type=tmpfs source=t-mount ",
    "files": r"files: /etc/t\.conf declared=file mode=0644 ",
    "network": r"network: address:br0:10\.99\.0\.1/24 declared=\(none\) actual=scope=global" + BY_ALICE,
    "services": r"services: t-daemon\.service declared=state=running \S+ actual=state=stopped \S+" + BY_ALICE,
}


def test_from_a_change_to_its_commit_and_back_in_every_dimension(node: Node) -> None:
    before = {what: value(node, what) for what in DIMENSIONS}
    for what, line in DIMENSIONS.items():
        change(node, what)
        node.wait(functools.partial(node.shows, line))
    after = {what: value(node, what) for what in DIMENSIONS}
    assert all(before[what] != after[what] for what in DIMENSIONS), after
    assert "Committed on node042 (5 changes)" in node.line("pact commit --no-wait -m 'all of it'")
    assert node.diff() == "(no drift)\n"
    assert len(node.line("pact diff --committed").splitlines()) == 5

    node.system.run("systemctl", "stop", "pact-agent.service")
    node.system.run("sysctl", "-w", "net.core.somaxconn=4096")
    node.system.run("umount", "/srv")
    node.system.run("sh", "-c", "echo 'a = 1' > /etc/t.conf")
    node.system.run("ip", "address", "delete", "10.99.0.1/24", "dev", "br0")
    node.system.run("systemctl", "start", "t-daemon.service")
    assert {what: value(node, what) for what in DIMENSIONS} == before
    node.system.run("systemctl", "start", "pact-agent.service")
    assert {what: value(node, what) for what in DIMENSIONS} == after, "the next agent puts it back"

    done = node.line("pact rollback 1")
    assert "(5 changes undone)" in done
    assert {what: value(node, what) for what in DIMENSIONS} == before
    assert node.line("pact diff --committed") == "(no committed node deltas)\n"


def test_what_nobody_commits_is_undone_when_asked(node: Node) -> None:
    before = {what: value(node, what) for what in DIMENSIONS}
    for what, line in DIMENSIONS.items():
        change(node, what)
        node.wait(functools.partial(node.shows, line))
    assert re.search(r"Commit window: \d:\d\d left", node.diff())
    assert "Rolled back node042 (5 changes undone)\n" in node.line("pact rollback")
    assert {what: value(node, what) for what in DIMENSIONS} == before
    assert node.diff() == "(no drift)\n"


def test_a_service_that_fails_and_one_that_is_disabled_are_seen_and_put_back(node: Node) -> None:
    node.system.run("systemctl", "disable", "t-daemon.service")
    node.wait(lambda: "services: t-daemon.service" in node.diff())
    assert "(unattributed, " in node.diff()
    node.system.run("systemctl", "kill", "-s", "SEGV", "t-daemon.service")
    node.wait(lambda: "actual=state=failed enabled=disabled" in node.diff())
    assert "(2 changes undone)" in node.line("pact rollback"), "the unit, and the link below /etc that enables it"
    assert node.system.run("systemctl", "is-enabled", "t-daemon.service").strip() == "enabled"
    assert value(node, "services") == "active"


def test_diag_shows_the_journal_and_each_service(node: Node) -> None:
    talk = "[Service]\nType=oneshot\nExecStart=printf 't-mark one\\nt-mark \\033[2J two\\n'\n"
    node.system.write("/run/systemd/system/t-talk.service", talk)
    node.system.run("systemctl", "daemon-reload")
    node.system.run("systemctl", "start", "t-talk.service")
    node.system.run("sh", "-c", "printf '<3>t-mark by hand\\n' | systemd-cat -t t-hand")

    def marks(words: str) -> list[str]:
        return [
            line.partition("t-mark ")[2] for line in node.line(f"pact diag {words}").splitlines() if "t-mark" in line
        ]

    said = ["one", "\\x1b[2J two", "by hand"]
    node.wait(lambda: marks("--grep t-mark") == said)
    sections = [line for line in node.line("pact diag --lines 1").splitlines() if line.startswith("---")]
    assert sections == ["--- kernel ---", "--- journal ---"]
    assert marks("--grep t-mark --lines 1") == said[-1:]
    assert marks("--service t-talk") == marks("--source service --grep t-mark") == said[:2]
    assert marks("--grep t-mark --since 1h") == said
    assert marks("--grep t-mark --since 2999-01-01") == []
    assert "(no lines)" in node.line("pact diag --service t-daemon --grep nonesuch")
    assert "pact: diag: t-none: no such service on this node" in node.line("pact diag --service t-none 2>&1")


def test_services_are_seen_restarted_and_stopped_by_name(node: Node) -> None:
    shown = node.line("pact service status")
    assert re.search(r"^t-daemon\.service +running +\d+ ", shown, re.MULTILINE), shown
    assert re.search(r"Supervisor: systemd, \d+ services running", node.line("pact status"))
    before = node.line("pact service status t-daemon")
    assert re.fullmatch(
        r"Restarted t-daemon\.service on node042 \(pid \d+\)\n", node.line("pact service restart t-daemon")
    )
    assert node.line("pact service status t-daemon") != before
    assert "t-daemon" not in node.diff(), "a restart changes nothing that lasts"
    assert node.line("pact service stop t-daemon") == "Stopped t-daemon.service on node042\n"
    assert re.search(DIMENSIONS["services"], node.diff())
    assert "Stopped t-daemon.service." in node.line("pact service logs t-daemon")
    assert re.search(r"\d changes? undone", node.line("pact rollback"))
    assert value(node, "services") == "active"


def test_a_service_that_can_not_be_started_says_why(node: Node) -> None:
    node.system.write("/etc/systemd/system/t-bad.service", "[Service]\nExecStart=sh -c 'echo no such disk; exit 3'\n")
    node.system.run("systemctl", "daemon-reload")
    said = node.line("pact service start t-bad")
    assert "pact: service: t-bad.service: start ended with exit-code (status 3)\n" in said
    assert "no such disk" in said, "the last of its own words"
    assert "hint: did you mean t-daemon.service?" in node.line("pact service stop t-deamon")
    assert "pact-agent.service is what would do that" in node.line("pact service restart pact-agent")
    node.system.run("rm", "/etc/systemd/system/t-bad.service")
    node.system.run("systemctl", "daemon-reload")
    node.system.run("systemctl", "reset-failed")


def test_a_log_that_is_followed_ends_with_who_reads_it(node: Node) -> None:
    reads = f"{BIN}/pact service logs -f t-daemon > /tmp/followed & until grep -q Started /tmp/followed"
    node.system.run("sh", "-c", f"{reads}; do sleep 0.1; done; kill $!")
    node.wait(lambda: not node.system.run("pgrep", "-x", "journalctl", check=False))

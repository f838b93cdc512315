"""What is declared for a vCluster: applied whole on its nodes, promoted from one of them, put back where one can't."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.outside import Outside, outside_of
from tests.e2e.test_drift import enforce, run, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NODES = ("node042", "node043")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    for outside in outside_of(tmp_path_factory, *NODES):
        enforce(outside, 900)
        yield outside


def spec(tmp_path: Path, text: str) -> str:
    path = tmp_path / "spec.toml"
    path.write_text(text)
    return str(path)


def value(outside: Outside, node: str, key: str) -> str:
    return outside.pact("exec", node, "--", "sysctl", "-n", key).stdout.strip()


def test_a_spec_is_applied_on_every_node_of_its_vcluster(outside: Outside, tmp_path: Path) -> None:
    path = spec(
        tmp_path,
        '[vcluster.ml-training.sysctl]\n"net.core.somaxconn" = "1999"\n"net.ipv4.tcp_rmem" = "4096 131072 6291456"\n'
        '[vcluster.ml-training.files."/etc/pact-e2e.conf"]\ncontent = "a = 1\\n"\nmode = "0640"\nowner = "0:0"\n',
    )
    planned = outside.pact("apply", path, "--dry-run")
    assert "+ kernel:net.core.somaxconn: 1999\n" in planned.stdout
    assert "Nothing was changed: the overlay of ml-training stays at version 0\n" in planned.stdout
    assert all(value(outside, node, "net.core.somaxconn") != "1999" for node in NODES)
    done = outside.pact("apply", path, "-m", "for the new switch")
    assert done.stdout == "Applied to vcluster ml-training (3 changes). Overlay updated.\n", done.stderr
    for node in NODES:
        assert value(outside, node, "net.core.somaxconn") == "1999"
        assert outside.pact("exec", node, "--", "cat", "/etc/pact-e2e.conf").stdout == "a = 1\n"
        assert "-rw-r-----" in outside.pact("exec", node, "--", "ls", "-l", "/etc/pact-e2e.conf").stdout
        assert outside.pact("diff", node).stdout == "(no drift)\n"
    (entry,) = outside.entries("--type", "overlay.updated")
    assert (entry["scope"], entry["message"]) == ("vcluster:ml-training", "version 1: for the new switch")
    assert "no difference" in outside.pact("apply", path).stdout
    outside.pact("exec", "node042", "--", "sysctl", "-w", "net.core.somaxconn=7")
    assert "kernel: net.core.somaxconn declared=1999 actual=7 " in outside.pact("diff", "node042").stdout
    assert outside.pact("rollback", "--node", "node042").returncode == 0
    assert value(outside, "node042", "net.core.somaxconn") == "1999"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[vcluster.ml-training.sysctl]\n"net.core.somaxconn" = 5\n', ("line 2", "net.core.somaxconn")),
        ('[vcluster.ml-training.mounts."/x"]\ntype = "proc"\nsource = "p"\n', ("line 2", "type")),
        ('[vcluster.ml-training.files."/etc/../x"]\nmode = "0600"\n', ("line 1", "/etc/../x")),
        ("[vcluster.ml-training.modules]\nx = 1\n", ("line 1", "modules")),
        ("[vcluster.ml-training\n", ("line 1",)),
        ("", ("vcluster",)),
    ],
)
def test_a_spec_that_is_wrong_changes_nothing(
    outside: Outside, tmp_path: Path, text: str, says: tuple[str, ...]
) -> None:
    before = len(outside.entries("--type", "overlay.updated"))
    done = outside.pact("apply", spec(tmp_path, text))
    assert done.returncode == 1
    assert all(word in done.stderr for word in ("spec.toml", *says)), done.stderr
    assert len(outside.entries("--type", "overlay.updated")) == before


def test_a_value_that_a_node_refuses_is_put_back_there_and_said(outside: Outside, tmp_path: Path) -> None:
    before = {node: value(outside, node, "net.ipv4.tcp_keepalive_probes") for node in NODES}
    text = '[vcluster.ml-training.sysctl]\n"net.ipv4.tcp_keepalive_probes" = "3"\n"net.ipv4.ip_default_ttl" = "9999"\n'
    done = outside.pact("apply", spec(tmp_path, text))
    assert done.returncode == 1
    for node in NODES:
        assert f"[WARN] {node}: not applied, and put back: kernel:net.ipv4.ip_default_ttl: " in done.stdout
        assert value(outside, node, "net.ipv4.tcp_keepalive_probes") == before[node]
        assert outside.pact("diff", node).stdout == "(no drift)\n"
    shown = outside.pact("status", "--vcluster", "ml-training").stdout
    assert "[WARN] node[042-043]: the overlay, version 2, could not be applied: kernel:net.ipv4.ip_default_ttl" in shown
    better = spec(tmp_path, text.replace("9999", "66"))
    assert outside.pact("apply", better).returncode == 0
    assert value(outside, "node043", "net.ipv4.ip_default_ttl") == "66"
    assert "[WARN]" not in outside.pact("status", "--vcluster", "ml-training").stdout


def test_what_was_committed_on_a_node_becomes_the_vclusters(outside: Outside, tmp_path: Path) -> None:
    run(outside, "sysctl", "-w", "net.ipv4.tcp_fin_timeout=31")
    for words in (
        ("mount", "-t", "tmpfs", "-o", "size=64k", "pact-e2e", "/srv"),
        ("cp", "/etc/debian_version", "/etc/pact-e2e-2.conf"),
        ("ip", "link", "add", "br7", "type", "bridge"),
    ):
        done = outside.pact("exec", "--bypass", "node042", "--", *words)
        assert done.returncode == 0, done.stderr
    done = outside.pact("commit", "-m", "all of it", "--node", "node042")
    assert done.returncode == 0, done.stderr
    number = done.stdout.split("seq:")[1].split()[0]
    shown = outside.pact("status", "--vcluster", "ml-training").stdout
    assert "[WARN] node042: 4 changes committed on it alone" in shown
    promoted = outside.pact("promote", "node042")
    assert promoted.stdout.startswith(
        "# Generated overlay fragment for vcluster: ml-training\n# From 1 committed node deltas on node042\n"
    ), promoted.stderr
    done = outside.pact("apply", spec(tmp_path, promoted.stdout))
    assert done.stdout == (
        "Applied to vcluster ml-training (4 changes). Overlay updated.\n"
        f"Node deltas on node042 superseded (seq:{number} now redundant).\n"
    )
    assert outside.pact("diff", "--committed", "node042").stdout == "(no committed node deltas)\n"
    for node in NODES:
        assert outside.pact("diff", node).stdout == "(no drift)\n"
    assert value(outside, "node043", "net.ipv4.tcp_fin_timeout") == "31"
    listed = json.loads(outside.pact("exec", "node043", "--", "findmnt", "-J", "/srv").stdout)
    assert listed["filesystems"][0]["source"] == "pact-e2e"
    assert (
        outside.pact("exec", "node043", "--", "cat", "/etc/pact-e2e-2.conf").stdout
        == Path("/etc/debian_version").read_text()
    )
    assert "br7" in outside.pact("exec", "node043", "--", "ip", "link", "show").stdout


def test_another_nodes_value_is_settled_first(outside: Outside, tmp_path: Path) -> None:
    key = "net.ipv4.tcp_retries1"
    for node, wanted in (("node042", "4"), ("node043", "5")):
        outside.pact("exec", node, "--", "sysctl", "-w", f"{key}={wanted}")
        assert outside.pact("commit", "-m", f"try {wanted}", "--node", node).returncode == 0
    stopped = outside.pact("promote", "node042")
    assert (stopped.returncode, stopped.stdout) == (4, "")
    assert f"node043 has kernel:{key} = 5 (admin@dev, seq:" in stopped.stderr
    assert "--overwrite node043 or --keep node043" in stopped.stderr
    kept = outside.pact("promote", "node042", "--keep", "node043")
    assert outside.pact("apply", spec(tmp_path, kept.stdout)).returncode == 0
    assert (value(outside, "node042", key), value(outside, "node043", key)) == ("4", "5")
    assert key in outside.pact("diff", "--committed", "node043").stdout
    outside.pact("exec", "node042", "--", "sysctl", "-w", f"{key}=6")
    assert outside.pact("commit", "-m", "try 6", "--node", "node042").returncode == 0
    taken = outside.pact("promote", "node042", "--overwrite", "node043")
    done = outside.pact("apply", spec(tmp_path, taken.stdout))
    assert "Node deltas on node043 superseded" in done.stdout
    assert (value(outside, "node042", key), value(outside, "node043", key)) == ("6", "6")
    assert outside.pact("diff", "--committed", "node043").stdout == "(no committed node deltas)\n"


def test_a_node_without_commits_and_one_that_is_unknown_say_so(outside: Outside) -> None:
    done = outside.pact("promote", "node999")
    assert (done.returncode, "node999" in done.stderr) == (1, True)
    done = outside.pact("promote", "node042")
    assert (done.returncode, "nothing is committed on node042" in done.stderr) == (1, True)
    done = outside.pact("rollback", "999999", "--node", "node042")
    assert done.returncode == 1


def test_who_may_not_change_what_is_declared_is_refused(outside: Outside, tmp_path: Path) -> None:
    words = (
        "dev",
        "token",
        "--dir",
        str(outside.directory),
        "--principal",
        "vera@org",
        "--role",
        "pact-viewer-ml-training",
    )
    token = outside.pact(*words).stdout.strip()
    path = spec(tmp_path, '[vcluster.ml-training.sysctl]\n"net.core.somaxconn" = "1"\n')
    done = outside.pact("apply", path, env={"PACT_TOKEN": token})
    assert (done.returncode, "vera@org may not change what is declared" in done.stderr) == (2, True)
    wait(lambda: value(outside, "node042", "net.core.somaxconn") == "1999")


def test_an_agent_that_lost_its_files_takes_what_was_committed_from_the_journal(outside: Outside) -> None:
    """As a diskless node's does at each boot."""
    outside.pact("exec", "node042", "--", "sysctl", "-w", "net.ipv4.tcp_retries2=14")
    assert outside.pact("commit", "-m", "keep me", "--node", "node042").returncode == 0
    committed = outside.pact("diff", "--committed", "node042").stdout
    outside.pact("exec", "node042", "--", "sysctl", "-w", "net.ipv4.tcp_retries2=15")  # what the next boot has
    processes = json.loads((outside.directory / "state.json").read_text())["processes"]
    agent = processes["agent node042"]["pid"]
    for path in (outside.directory / "nodes" / "node042" / "state" / "config").iterdir():
        path.unlink()
    os.kill(agent, signal.SIGKILL)
    wait(lambda: value(outside, "node042", "net.ipv4.tcp_retries2") == "14")
    shown = outside.pact("diff", "--committed", "node042").stdout
    assert shown.split(" (")[0] == committed.split(" (")[0] == "kernel: net.ipv4.tcp_retries2 = 14"
    assert shown.split("seq:")[1].split(",")[0] == committed.split("seq:")[1].split(",")[0]
    assert outside.pact("diff", "node042").stdout == "(no drift)\n"
    assert value(outside, "node042", "net.core.somaxconn") == "1999", "and the overlay"

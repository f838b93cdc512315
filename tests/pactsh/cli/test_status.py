"""`pact status` on a real agent, and of nodes that the journal knows."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from pactsh.cli.render import Out
from pactsh.cli.status import FleetStatus, JournalLink, NodeStatus, Spool, badness, render
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact


def on(node: LocalNode) -> dict[str, str]:
    return {"PACT_AGENT_SOCKET": str(node.socket)}


def test_on_a_node(tmp_path: Path, node: LocalNode) -> None:
    done = run_pact(tmp_path, "status", env=on(node))
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == "Node: node042  State: OBSERVE_ONLY  Supervisor: not part of this version"
    facts = dict(re.split(r":\s+", line, maxsplit=1) for line in lines[1:])
    assert facts["vCluster"] == "ml-training"
    assert facts["Drift"] == "0"
    assert facts["Journal"].startswith("UNREACHABLE since ")
    assert facts["Spool"].startswith("normal, ")
    assert facts["Sessions"] == "0"
    assert run_pact(tmp_path, "status", "node042", env=on(node)).stdout == done.stdout


def test_json_on_a_node(tmp_path: Path, node: LocalNode) -> None:
    told = json.loads(run_pact(tmp_path, "status", env=on(node) | {"PACT_OUTPUT": "json"}).stdout)
    assert (told["node"], told["state"], told["drift"], told["supervisor"]) == ("node042", "OBSERVE_ONLY", 0, None)
    assert told["journal"]["connected"] is False


def test_log_on_a_node_without_a_journal_is_status_5(tmp_path: Path, node: LocalNode) -> None:
    for args in (["log"], ["log", "--verify"]):
        done = run_pact(tmp_path, *args, env=on(node))
        assert (done.returncode, done.stdout) == (5, "")
        assert done.stderr.startswith("pact: no journal is configured on this node\n")


def test_whoami_on_a_node(tmp_path: Path, node: LocalNode) -> None:
    done = run_pact(tmp_path, "whoami", env=on(node))
    assert done.stdout == ("alice@example.org (pact-platform-admin)\nhuman, by uid, verified by node node042\n")


def test_from_elsewhere_the_journal_tells(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "status", "node042", env=seeded.env())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].startswith("Node: node042  State: ")
    table = run_pact(tmp_path, "status", "--vcluster", "ml-training", env=seeded.env())
    assert table.stdout.splitlines()[0].split() == [
        "NODE",
        "VCLUSTER",
        "STATE",
        "DRIFT",
        "PRESENCE",
        "VERSION",
        "LAST",
        "SEEN",
    ]
    assert table.stdout.splitlines()[1].startswith("node042  ml-training  ")


def test_an_unknown_node_is_status_1(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "status", "node999", env=seeded.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert "node999" in done.stderr


def test_node_and_vcluster_together_are_an_error(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "status", "node042", "--vcluster", "v")
    assert (done.returncode, done.stderr) == (1, "pact: status: give a NODE or --vcluster, not both\n")


GOOD = NodeStatus("good", "v", "COMMITTED", present=True)
GONE = NodeStatus("gone", "v", "COMMITTED", present=False)
EMERGENCY = NodeStatus("emergency", "v", "EMERGENCY", emergency=True, present=True)
DEGRADED = NodeStatus("degraded", "v", "COMMITTED", degraded=True, present=True)
FULL = NodeStatus("full", "v", "COMMITTED", spool=Spool("read-only", 9), present=True)
DRIFTED = NodeStatus("drifted", "v", "DRIFT_DETECTED", drift=2, present=True)


def test_worst_first() -> None:
    nodes = [GOOD, DRIFTED, FULL, DEGRADED, EMERGENCY, GONE]
    assert sorted(nodes, key=badness) == nodes[::-1]
    assert min([NodeStatus("b", "v", ""), NodeStatus("a", "v", "")], key=badness).node == "a"


def shown(result: NodeStatus | FleetStatus) -> str:
    stream = io.StringIO()
    render(result, Out(stream, colour=False))
    return stream.getvalue()


def test_what_an_agent_knows_is_all_shown() -> None:
    status = NodeStatus(
        "node042",
        "v",
        "COMMITTED",
        supervisor="5 services running",
        drift=0,
        degraded=True,
        journal=JournalLink(False, "2026-01-31T12:00:00Z"),
        spool=Spool("read-only", 12),
        sessions=2,
        containment="landlock 4",
        missing=("no network namespace\x1b[m",),
        version="1.2",
    )
    text = shown(status)
    assert text.splitlines()[0] == "Node: node042  State: COMMITTED  Supervisor: 5 services running"
    for line in ("Drift:       0", "Spool:       read-only, 12 entries waiting", "Degraded:    yes", "Sessions:    2"):
        assert f"\n{line}" in text
    assert "Missing:     no network namespace\\x1b[m\n" in text


def test_an_open_window_is_counted_down() -> None:
    lines = shown(NodeStatus("node042", "v", "DRIFTED", drift=2, window_s=231.9)).splitlines()
    assert "Window:      3:51 left, then what is not committed is rolled back" in lines


def test_an_emergency_is_in_the_first_line() -> None:
    assert "State: EMERGENCY" in shown(EMERGENCY).splitlines()[0]


@pytest.mark.parametrize("nodes", [(), (GONE, GOOD)])
def test_a_fleet(nodes: tuple[NodeStatus, ...]) -> None:
    text = shown(FleetStatus("v", nodes))
    assert text == "(no nodes)\n" if not nodes else "ABSENT" in text

"""`pact status` on a real agent, and of nodes that the journal knows."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
from pathlib import Path

import pexpect
import pyte
import pytest

from pactsh.auth.ca import Authority
from pactsh.cli.nodestatus import FleetStatus, JournalLink, NodeStatus, Spool, fleet
from pactsh.cli.render import Out
from pactsh.cli.status import Screen, _render_screen, render
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import RunningJournal, session_drafts
from tests.pactsh.cli.program import PACT, clean_environment, run_pact


def on(node: LocalNode) -> dict[str, str]:
    return {"PACT_AGENT_SOCKET": str(node.socket)}


def test_on_a_node(tmp_path: Path, node: LocalNode) -> None:
    done = run_pact(tmp_path, "status", env=on(node))
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == "Node: node042  State: OBSERVE_ONLY  Supervisor: no services"
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
    header = "NODE VCLUSTER STATE DRIFT WINDOW PRESENCE VERSION LAST SEEN"
    assert table.stdout.splitlines()[0].split() == header.split()
    assert table.stdout.splitlines()[1].startswith("node042  ml-training  ")


def test_an_unknown_node_is_status_1(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "status", "node999", env=seeded.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert "node999" in done.stderr


def test_node_and_vcluster_together_are_an_error(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "status", "node042", "--vcluster", "v")
    assert (done.returncode, done.stderr) == (1, "pact: status: give a NODE or --vcluster, not both\n")


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
        capabilities="4x A100 (healthy), 128 CPUs, 512.0 GiB memory",
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
    for line in (
        "Drift:       0",
        "Spool:       read-only, 12 entries waiting",
        "Degraded:    yes",
        "Sessions:    2",
        "Has:         4x A100",
    ):
        assert f"\n{line}" in text
    assert "Missing:     no network namespace\\x1b[m\n" in text


def test_an_open_window_is_counted_down() -> None:
    lines = shown(NodeStatus("node042", "v", "DRIFTED", drift=2, window_s=231.9)).splitlines()
    assert "Window:      3:51 left, then what is not committed is rolled back" in lines


def test_an_emergency_is_in_the_first_line() -> None:
    status = NodeStatus("node042", "v", "DRIFTED", emergency=True)
    assert "State: EMERGENCY" in shown(status).splitlines()[0]


def many(count: int) -> FleetStatus:
    nodes = [NodeStatus(f"n{i:02}", "v", "COMMITTED", drift=0, present=i > 1, unreadable=True) for i in range(count)]
    return fleet("v", nodes, 0.0)


def test_a_fleet_ends_with_what_to_look_after_and_a_count() -> None:
    lines = shown(many(4)).splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["NODE", "n00", "n01", "n02", "n03"]
    assert lines[5].startswith("[WARN] n[00-03]: its report can't be read")
    assert lines[6:] == ["4 nodes: 4 COMMITTED; 2 absent"]
    assert shown(FleetStatus("v", ())) == "(no nodes)\n"


def test_colour_is_for_rows_that_need_a_look() -> None:
    stream = io.StringIO()
    nodes = [
        NodeStatus("good", "v", "COMMITTED", present=True),
        NodeStatus("ill", "v", "DRIFTED", emergency=True, present=True),
    ]
    render(fleet("v", nodes, 0.0), Out(stream, colour=True))
    _header, ill, good, _count = stream.getvalue().splitlines()
    assert ill.startswith("\x1b[31;1mill ")
    assert good.startswith("good ")


@pytest.mark.parametrize("height", [4, 8, 20, 104, 105, None])
def test_a_screen_holds_the_worst_and_says_how_many_more(height: int | None) -> None:
    stream = io.StringIO()
    _render_screen(Screen(many(100), "12:00:00", "no journal"), Out(stream, colour=False), height)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "12:00:00  as it was then: no journal  100 nodes: 100 COMMITTED; 2 absent"
    rows = [line for line in lines if line.startswith("n")]
    assert rows[0].startswith("n00 ")
    if height is None or height > 103:
        assert len(rows) == 100
    else:
        assert len(lines) <= max(height, 5)
        assert lines[-1] == f"… {100 - len(rows)} more"


def test_a_nodeset_names_several_nodes(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "status", "node[041-043]", env=seeded.env())
    assert done.stdout.splitlines()[1].startswith("node042  ml-training  ")
    assert done.stdout.splitlines()[2] == "[WARN] node[041,043]: no such node"
    assert done.returncode == 1  # not all that were named are there
    assert run_pact(tmp_path, "status", "@ml-training", env=seeded.env()).stdout.splitlines()[-1].startswith("1 node: ")


BAD = {
    "none of them": ("node[900-999]", "status: node[900-999]: no such node"),
    "no such vCluster": ("@nowhere", "nodes: @nowhere: no such vCluster, or no nodes in it"),
    "not a nodeset": ("node[1", "nodes: 'node[1': "),
}


@pytest.mark.parametrize("case", BAD)
def test_a_nodeset_that_names_nobody_is_status_1(tmp_path: Path, seeded: RunningJournal, case: str) -> None:
    text, expected = BAD[case]
    done = run_pact(tmp_path, "status", text, env=seeded.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pact: {expected}")


def test_a_vcluster_without_nodes_is_status_1(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "status", "--vcluster", "ml-trainign", env=seeded.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pact: status: ml-trainign: no such vCluster, or no nodes in it\nhint: ")


def test_a_journal_of_another_authority_is_told_in_our_words_alone(tmp_path: Path, seeded: RunningJournal) -> None:
    stranger = tmp_path / "ca.pem"
    stranger.write_bytes(Authority.create(tmp_path / "stranger").ca_pem)
    done = run_pact(tmp_path, "status", "node042", env=seeded.env() | {"PACT_CA": str(stranger)})
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["pact", "hint"]


def watching(tmp_path: Path, *args: str, env: dict[str, str]) -> subprocess.Popen[str]:
    command = [str(PACT), "status", *args]
    return subprocess.Popen(command, stdout=-1, stderr=-1, env=clean_environment(tmp_path, env), text=True)


def test_watch_on_a_pipe_prints_one_page_below_the_other(tmp_path: Path, seeded: RunningJournal) -> None:
    with watching(tmp_path, "--watch", "0.5", "--vcluster", "ml-training", env=seeded.env()) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(8)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert [line.split()[:2] for line in lines[1:4]] == [["NODE", "VCLUSTER"], ["node042", "ml-training"], []]
    assert lines[0][8:].startswith("  1 node: ")
    assert lines[5].startswith("NODE ")
    assert "\x1b" not in "".join(lines)


def test_watch_as_json_is_a_document_a_line(tmp_path: Path, node: LocalNode) -> None:
    with watching(tmp_path, "--watch", "0.5", "--output", "json", env=on(node)) as process:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert [status["node"] for status in told] == ["node042"] * 2


@pytest.mark.parametrize(("args", "status"), [(["--watch", "0"], 1), (["--watch", "-3"], 1), (["--watch=soon"], 1)])
def test_a_bad_interval_is_an_error(tmp_path: Path, args: list[str], status: int) -> None:
    done = run_pact(tmp_path, "status", *args)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("pact: status: --watch: expected a number from 0.5 to 86400, got ")


def test_watch_on_a_terminal_draws_in_place_goes_on_without_a_journal_and_follows_the_size(
    tmp_path: Path, journal: RunningJournal
) -> None:
    journal.append(*session_drafts())
    screen = pyte.Screen(100, 10)
    terminal = pyte.Stream(screen)
    env = clean_environment(tmp_path, journal.env() | {"TERM": "xterm", "PACT_TIMEOUT": "2"})
    args = ["status", "@ml-training", "--watch", "0.5"]
    child = pexpect.spawn(str(PACT), args, env=env, dimensions=(10, 100), encoding="utf-8", timeout=60)

    def until(pattern: str) -> list[str]:
        child.expect(pattern)
        terminal.feed(f"{child.before}{child.after}")
        return [line.rstrip() for line in screen.display]

    until("node042 [^\n]*\n")
    drawn = until("node042 [^\n]*\n")
    assert drawn[0][8:].startswith("  1 node: ")
    assert [line.split()[0] for line in drawn[1:4] if line] == ["NODE", "node042"]
    journal.stop()
    drawn = until("as it was then: [^\n]*\n[^\n]*\n[^\n]*\n")
    assert "can't be reached" in drawn[0]
    assert drawn[2].startswith("node042 ")
    child.setwinsize(3, 100)  # only the head and one line more
    until("\x1b\\[H[^\n]*\n[^\n]*\n\x1b\\[J")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130

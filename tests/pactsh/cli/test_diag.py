"""`pact diag` on a real agent, and how logs read, of one node and of several."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pactsh.cli.asknodes import Error, Failed
from pactsh.cli.diag import LogLine, NodeLogs, OneOfSeveral, SourceLogs, render
from pactsh.cli.render import Out
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.program import run_pact


def shown(result: NodeLogs | Failed) -> list[str]:
    stream = io.StringIO()
    render(result, Out(stream, colour=False))
    return stream.getvalue().splitlines()


SOURCES = (
    SourceLogs("kernel", 2, truncated=True, limit="lines"),
    SourceLogs("journal", 0, truncated=False),
    SourceLogs("/var/log/x", 0, truncated=True, limit="time", error="x took too long"),
    SourceLogs("service:a", 1, truncated=True, limit="size"),
)
LINES = (LogLine("kernel", "one"), LogLine("kernel", "two \x1b[2J"), LogLine("service:a", "three"))
TEXT = [
    "--- kernel ---",
    "(truncated: older lines are left out, --lines shows more)",
    "one",
    "two \\x1b[2J",
    "--- journal ---",
    "(no lines)",
    "--- /var/log/x ---",
    "(not read: x took too long)",
    "(truncated: it was not searched to its beginning in time)",
    "--- service:a ---",
    "(truncated: older lines are left out, that is too much text)",
    "three",
]


def test_one_node_has_a_section_for_each_log() -> None:
    assert shown(NodeLogs("node042", True, SOURCES, LINES)) == TEXT
    assert shown(NodeLogs("node042", False, (), ())) == ["(no logs)"]


def test_of_several_each_line_has_its_node() -> None:
    assert shown(OneOfSeveral("node042", True, SOURCES, LINES)) == [f"[node042] {line}" for line in TEXT]
    failed = Failed("node043", Error(5, "timeout", "can't be reached"))
    assert (shown(failed), failed.exit_status) == ([], 5)


def test_on_a_node(tmp_path: Path, node: LocalNode) -> None:
    env = {"PACT_AGENT_SOCKET": str(node.socket)}
    done = run_pact(tmp_path, "diag", "--source", "system", "--lines", "1", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("--- kernel ---\n")
    same = run_pact(tmp_path, "diag", "node042", "--since", "2h", "--grep", "(a+)+$", "--output", "json", env=env)
    told = json.loads(same.stdout)
    assert (told["node"], set(told)) == ("node042", {"node", "truncated", "sources", "lines"})
    assert set(told["sources"][0]) == {"source", "lines", "truncated", "limit", "error"}
    assert node.line("pact diag --lines 1").stdout.startswith("--- kernel ---\n")


NEVER_CLOSED = "diag: --grep: at character 2: this parenthesis is never closed"
REPEATED = "diag: --grep: at character 3: a repetition of a repetition"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--lines", "10001"), "diag: --lines: expected a whole number from 1 to 10000, got 10001\n"),
        (("--lines", "0"), "diag: --lines: expected a whole number from 1 to 10000, got 0\n"),
        (("--source", "kernel"), "diag: invalid value for '--source': 'kernel' is not one of"),
        (("--since", "whenever"), "--since: no time: 'whenever'\nhint: "),
        (("--service", "../x"), "diag: service: no name of a service: '../x'\n"),
        (("--service", "x", "--source", "system"), "diag: --source system is without the services"),
        (("--service", "nonesuch"), "diag: nonesuch: no such service on this node\n"),
        (("--grep", "a(b|c"), f"{NEVER_CLOSED}\npact:   a(b|c\npact:    ^\nhint: "),
        (("--grep", "日本*+"), f"{REPEATED}\npact:   日本*+\npact:       ^^\nhint: "),
        (("--grep", "x" * 1001), "diag: --grep: at character 1001: longer than 1000 characters\n"),
        (("--grep", "a\nb"), "diag: --grep: at character 2: a character that can't be seen"),
        (("node042", "--vcluster", "ml"), "diag: give NODES or --vcluster, not both"),
        (("node[1-",), "nodes: 'node[1-': missing bracket"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where(tmp_path: Path, node: LocalNode, words: tuple[str, ...], why: str) -> None:
    done = run_pact(tmp_path, "diag", *words, env={"PACT_AGENT_SOCKET": str(node.socket)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pact: {why}")


def test_a_wrong_pattern_as_json(tmp_path: Path, node: LocalNode) -> None:
    words = ("diag", "--grep", "a)", "--output", "json")
    done = run_pact(tmp_path, *words, env={"PACT_AGENT_SOCKET": str(node.socket)})
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"], error["kind"], error["more"]) == (1, 1, "usage", ["  a)", "   ^"])


def test_away_from_a_node_one_is_named(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "diag")
    assert (done.returncode, done.stderr) == (1, "pact: diag: not on a node: name one\n")

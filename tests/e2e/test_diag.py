"""`pact diag` from outside: logs of several nodes, what a policy adds, and a node that does not answer."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.outside import Outside, outside_of
from tests.pact_agent.localnode import IS_ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
NODES = ("node042", "node043")
ML = "ml-training"
LIMIT_S = 30.0


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    yield from outside_of(tmp_path_factory, *NODES)


@pytest.fixture
def log() -> Iterator[Path]:
    """A log that the nodes see: they have their /var/log from this machine."""
    if not IS_ROOT:
        pytest.skip("only root makes a log in /var/log")
    path = Path(f"/var/log/pact-test-{secrets.token_hex(6)}.log")
    path.write_bytes(b"first\nOOM in job 7\ngr\xfcn \x1b[2J\nOOM in job 8\n")
    try:
        yield path
    finally:
        path.unlink()


def told(outside: Outside, *words: str) -> dict[str, dict[str, object]]:
    """What each node answers."""
    done = outside.pact("diag", *words, "--output", "json")
    return {item["node"]: item for item in map(json.loads, done.stdout.splitlines())}


def set_policy(outside: Outside, value: str) -> int:
    return outside.pact("group", "set-policy", ML, "--set", f"diag_paths={value}").returncode


def test_one_node_and_several(outside: Outside) -> None:
    one = outside.pact("diag", "node042", "--lines", "1")
    assert (one.returncode, one.stderr) == (0, "")
    assert one.stdout.startswith("--- kernel ---\n")
    for words in (("node[042-043]",), NODES, ("--vcluster", ML), ("node*!node044",)):
        several = outside.pact("diag", *words, "--lines", "1")
        assert (several.returncode, several.stderr) == (0, "")
        lines = several.stdout.splitlines()
        assert {line.partition(" ")[0] for line in lines} == {"[node042]", "[node043]"}
    assert set(told(outside, f"@{ML}", "--grep", "x")) == {*NODES}


def test_a_policys_files_are_searched_on_the_nodes(outside: Outside, log: Path) -> None:
    assert set_policy(outside, json.dumps([str(log)])) == 0
    ends = time.monotonic() + LIMIT_S
    while any(len(item["sources"]) < 2 for item in told(outside, *NODES, "--lines", "1").values()):  # type: ignore[arg-type]  # a list
        assert time.monotonic() < ends
    lines = [f"[{node}] {text}" for node in NODES for text in ("OOM in job 7", "OOM in job 8")]
    shown = outside.pact("diag", *NODES, "--grep", "^OOM").stdout.splitlines()
    assert sorted(line for line in shown if "OOM" in line) == lines
    newest = outside.pact("diag", "node042", "--lines", "2", "--source", "system").stdout
    assert newest.endswith(
        f"--- {log} ---\n(truncated: older lines are left out, --lines shows more)\ngr\\xfcn \\x1b[2J\nOOM in job 8\n"
    )
    os.utime(log, (0, 0))
    shown = outside.pact("diag", "node042", "--since", "1h").stdout.splitlines()
    assert shown[-2:] == [f"--- {log} ---", "(no lines)"]
    assert set_policy(outside, '["/etc/shadow"]') == 1


def test_who_may_see_no_state_sees_no_logs(outside: Outside) -> None:
    words = ("dev", "token", "--dir", str(outside.directory), "--principal", "eve@org", "--role", "pact-viewer-other")
    done = outside.pact("diag", *NODES, env={"PACT_TOKEN": outside.pact(*words).stdout.strip()})
    assert (done.returncode, done.stdout) == (1, "")
    # Of nodes that somebody may not see the journal says that there are none.
    assert sorted(done.stderr.splitlines())[:2] == [f"[WARN] {node}: no node '{node}'" for node in NODES]


def test_wrong_patterns_ask_nobody_and_wrong_services_everybody(outside: Outside) -> None:
    done = outside.pact("diag", *NODES, "--grep", "a(")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pact: diag: --grep: at character 2: ")
    done = outside.pact("diag", *NODES, "--service", "nonesuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(done.stderr.splitlines())[:2] == [f"[WARN] {node}: nonesuch: no such service on this node" for node in NODES]  # fmt: skip  # noqa: E501


def test_a_node_that_does_not_answer_is_warned_of_and_the_rest_is_there(outside: Outside) -> None:
    """Last in this file: one of the nodes is not the same again."""
    agent = json.loads((outside.directory / "state.json").read_text())["processes"]["agent node043"]["pid"]
    os.kill(agent, signal.SIGSTOP)
    try:
        done = outside.pact("--timeout", "3", "diag", *NODES, "--lines", "1")
        unknown = outside.pact("diag", "node042,node044", "--lines", "1")
    finally:
        os.kill(agent, signal.SIGCONT)
    assert done.returncode == 5
    assert done.stderr == "[WARN] node043: unreachable\npact: diag: 1 of 2 nodes answered\n"
    assert done.stdout.startswith("[node042] --- kernel ---\n")
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (1, "[WARN] node044: no node 'node044'")

"""`pact service` as it is typed: tables, JSON, and what is said where it can't be done."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pactsh.cli.render import Out
from pactsh.cli.service import Changed, Services, badness, render_change, render_status
from pactsh.model.service import Service
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.program import run_pact

SERVICES = (
    Service("chrony", "running", pid=812, uptime_s=7300.0, restarts=0),
    Service("a", "stopped"),
    Service("slurmd", "failed", restarts=5, why="exit-code (status 1)"),
)


def shown(result: Services, *, colour: bool = False) -> str:
    stream = io.StringIO()
    render_status(result, Out(stream, colour=colour))
    return stream.getvalue()


def test_the_table_has_failed_ones_first_and_says_why() -> None:
    ordered = tuple(sorted(SERVICES, key=badness))
    assert shown(Services("node042", "systemd", ordered)).splitlines() == [
        "SERVICE  STATE    PID  UPTIME  RESTARTS",
        "slurmd   failed   -    -       5",
        "a        stopped  -    -       -",
        "chrony   running  812  2 h     0",
        "slurmd: exit-code (status 1)",
    ]
    assert shown(Services("node042", "systemd", ())) == "(no services)\n"


def test_states_have_colours_and_columns_stay_in_line() -> None:
    text = shown(Services("node042", "systemd", SERVICES), colour=True)
    assert "\x1b[32mrunning\x1b[0m  812" in text
    assert "\x1b[31mfailed\x1b[0m   -" in text


def test_what_a_service_calls_itself_moves_no_cursor() -> None:
    assert "\x1b[2J" not in shown(Services("n", "x", (Service("a\x1b[2J", "failed", why="\x1b[2J"),)), colour=True)


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (Changed("n1", "systemd", "restart", Service("a", "running", pid=3)), ["Restarted a on n1 (pid 3)"]),
        (Changed("n1", "x", "stop", Service("a", "stopped")), ["Stopped a on n1"]),
        (Changed("n1", "x", "start", Service("a", "exited")), ["Started a on n1, now exited"]),
        (
            Changed("n1", "x", "stop", Service("a", "stopped"), ("b", "c"), ("mind the gap",)),
            ["Stopped a on n1", "  and with it: b, c", "[WARN] mind the gap"],
        ),
    ],
)
def test_a_change_is_told_in_a_line(result: Changed, lines: list[str]) -> None:
    stream = io.StringIO()
    render_change(result, Out(stream, colour=False))
    assert stream.getvalue().splitlines() == lines


@pytest.mark.parametrize("words", [("status",), ("restart", "chrony"), ("logs", "chrony")])
def test_elsewhere_a_node_has_to_be_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run_pact(tmp_path, "service", *words)
    assert (done.returncode, done.stderr) == (1, "pact: service: not on a node: name one\n")


@pytest.mark.parametrize("words", [("start",), ("logs", "chrony", "-n", "10001"), ("status", "--node", "NODE_1")])
def test_usage_errors_are_1(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run_pact(tmp_path, "service", *words).returncode == 1


def test_a_node_without_any_says_so_in_text_and_json(tmp_path: Path, node: LocalNode) -> None:
    env = {"PACT_AGENT_SOCKET": str(node.socket)}
    done = run_pact(tmp_path, "service", "status", env=env)
    assert done.returncode == 1
    assert done.stderr.startswith("pact: service: this node has neither systemd nor services of pact's own\nhint: ")
    done = run_pact(tmp_path, "--output", "json", "service", "restart", "chrony", env=env)
    assert (done.returncode, json.loads(done.stderr)["error"]["kind"]) == (1, "not-found")

"""`kill` of what keeps the records: refused by number, by thread, and by name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pact_agent.vital import vital_target

from pactsh.policy.decision import StageDecision
from tests.pact_agent.localnode import LocalNode, body_of

MakeNode = Callable[..., LocalNode]


def _children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kill(*words: str) -> tuple[StageDecision, ...]:
    return (StageDecision(("kill", *words), "kill", False, "change", "services", None),)


def test_the_agent_its_threads_and_its_spawner_are_not_signalled(make_node: MakeNode) -> None:
    node = make_node()
    threads = [int(t.name) for t in Path(f"/proc/{node.pid}/task").iterdir()]
    assert len(threads) > 1, "grpc and the spool have threads"
    for pid in (*threads, *_children(node.pid)):
        for line in (f"kill -9 {pid}", f"kill {pid}", f"kill -s 15 {pid}", f"true; cd /usr; kill -9 {pid}"):
            done = node.line(line)
            assert (done.returncode, "keeps this node's records" in done.stderr) == (6, True), line
    assert node.line("echo alive").stdout == "alive\n"
    node.stop()
    assert {body_of(e)["code"] for e in node.entries("refusal")} == {"vital-process"}


def test_other_processes_are_signalled(make_node: MakeNode) -> None:
    node = make_node()
    with subprocess.Popen(["/usr/bin/sleep", "60"]) as other:
        assert node.line(f"kill -9 {other.pid}").returncode == 0
        assert other.wait(10) == -9


@pytest.mark.parametrize(
    ("name", "uid", "vital"),
    [
        ("auditd", 0, True),
        ("systemd-journal", 0, True),
        ("pact-journal", 999, True),
        ("auditd", 1000, False),
        ("x", 0, False),
    ],
)
def test_recorders_are_known_by_name_unless_a_person_runs_them(
    tmp_path: Path, name: str, uid: int, vital: bool
) -> None:
    for number in (70, 71):  # a process and its second thread
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "status").write_text(f"Name:\t{name}\nTgid:\t70\nUid:\t{uid}\t{uid}\n")
    for word in ("70", "71"):
        assert (vital_target(_kill("-TERM", word), frozenset(), tmp_path) == int(word)) is vital


def test_numbers_that_name_no_process_and_values_are_no_targets(tmp_path: Path) -> None:
    assert vital_target(_kill("-s", "9", "12"), frozenset({9}), tmp_path) is None
    assert vital_target(_kill("--", "9"), frozenset({9}), tmp_path) == 9
    assert vital_target((), frozenset({os.getpid()})) is None

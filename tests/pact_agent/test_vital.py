"""`kill` and `pkill` of what keeps the records: refused by number, by thread, by name, and by whom they belong to."""

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


def _pkill(*words: str) -> tuple[StageDecision, ...]:
    return (StageDecision(("pkill", *words), "pkill", False, "change", "services", None),)


def _place_of(pid: int) -> tuple[int, int, int]:
    """Parent, process group and session of a process."""
    parent, group, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:4]
    return int(parent), int(group), int(session)


def _process(proc: Path, pid: int, name: str, place: tuple[int, int, int], uid: int = 0) -> None:
    """A process as proc(5) shows it; `place` is its parent, process group and session."""
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "status").write_text(f"Name:\t{name}\nTgid:\t{pid}\nUid:\t{uid}\t{uid}\n")
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) S {' '.join(map(str, place))} 0 -1\n")


def test_the_agent_its_threads_and_its_spawner_are_not_signalled(make_node: MakeNode) -> None:
    node = make_node()
    threads = [int(t.name) for t in Path(f"/proc/{node.pid}/task").iterdir()]
    assert len(threads) > 1, "grpc and the spool have threads"
    for pid in (*threads, *_children(node.pid)):
        for line in (f"kill -9 {pid}", f"kill {pid}", f"kill -s 15 {pid}", f"true; cd /usr; kill -9 {pid}"):
            done = node.line(line)
            if done.returncode == 1 and not Path(f"/proc/{pid}").exists():
                break  # a thread that was there for one thing, and has ended
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


def test_pkill_reaches_neither_the_agent_nor_its_spawner(make_node: MakeNode) -> None:
    node = make_node()
    spawner = _children(node.pid)[0]
    group, session = _place_of(node.pid)[1:]
    for chosen in (f"-P {node.pid}", f"-P {spawner}", f"-P 77,{spawner}", f"-g {group}", f"--session={session}"):
        line = f"pkill -9 {chosen} -x nobody-has-this"  # should it not be refused, nothing of the tests ends
        done = node.line(line)
        assert (done.returncode, "keeps this node's records" in done.stderr) == (6, True), line
    assert node.line("echo alive").stdout == "alive\n"
    node.stop()
    assert {body_of(e)["code"] for e in node.entries("refusal")} == {"vital-process"}


def test_pkill_ends_the_group_it_is_given(make_node: MakeNode) -> None:
    node = make_node()
    with subprocess.Popen(["/usr/bin/sleep", "60"], start_new_session=True) as other:
        assert node.line(f"pkill -9 -g {other.pid}").returncode == 0
        assert other.wait(10) == -9


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (("-P", "50"), 60),
        (("-P", "40,50"), 60),
        (("--parent=50",), 60),
        (("-g", "61"), 60),
        (("--pgroup", "61"), 60),
        (("-s", "62"), 60),
        (("-9", "-s", "62", "-u", "alice", "python"), 60),  # narrowed, and refused all the same
        (("-P", "3", "-g", "61"), 60),
        (("-P", "50", "-P", "3"), 60),
        (("-P", "60"), 60),  # its children
        (("-g", "71"), 70),
        (("-s", "72"), 70),
        (("-P", "60", "-s", "72"), 60),
        (("-P", "70"), None),  # the children of a recorder
        (("-P", "2"), 70),
        (("-g", "50"), None),
        (("-s", "60,61,70"), None),
        (("-g", "81"), None),  # a person's process of that name
        (("-P", "3", "-O", "62", "61"), None),  # an age and a pattern
    ],
)
def test_numbers_of_parents_groups_and_sessions_stand_for_processes(
    tmp_path: Path, words: tuple[str, ...], target: int | None
) -> None:
    _process(tmp_path, 60, "python) 1 1", (50, 61, 62))
    _process(tmp_path, 70, "auditd", (2, 71, 72))
    _process(tmp_path, 80, "auditd", (2, 81, 82), uid=1000)
    (tmp_path / "90").mkdir()  # ended meanwhile
    (tmp_path / "self").mkdir()
    assert vital_target(_pkill(*words), frozenset({60}), tmp_path) == target


def test_a_kill_beside_a_pkill_is_seen(tmp_path: Path) -> None:
    _process(tmp_path, 70, "auditd", (2, 71, 72))
    assert vital_target((*_pkill("-g", "5"), *_kill("70")), frozenset(), tmp_path) == 70
    assert vital_target((*_kill("5"), *_pkill("-g", "71")), frozenset(), tmp_path) == 70

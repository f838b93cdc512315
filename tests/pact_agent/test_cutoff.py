"""Changes of the network are committed from a connection opened after them, or from the console."""

from __future__ import annotations

import math
import os
import subprocess
import time
from pathlib import Path

import pytest
from pact_agent.cutoff import CONSOLE, CutOff, reached_by

from pactsh.errors import PolicyError
from pactsh.model.delta import Change, Drifted

DOWN = Drifted(Change("network", "link:eth0", "state=up", "state=down"), "alice@org", "")
SETTING = Drifted(Change("kernel", "vm.swappiness", "60", "10"), "alice@org", "")


def test_only_who_came_after_the_change_or_sits_at_the_console_commits_it() -> None:
    cut_off = CutOff()
    cut_off.note([DOWN, SETTING], 100.0)
    cut_off.note([DOWN, SETTING], 200.0)  # seen again: it is not younger for that
    for reached in (-math.inf, 0.0, 100.0):
        with pytest.raises(PolicyError, match="network:link:eth0"):
            cut_off.check([SETTING, DOWN], reached)
        cut_off.check([SETTING], reached)
    cut_off.check([SETTING, DOWN], 100.1)
    cut_off.check([DOWN], CONSOLE)


def test_changed_again_it_is_a_new_change() -> None:
    cut_off = CutOff()
    cut_off.note([DOWN], 100.0)
    up = Drifted(Change("network", "link:eth0", "state=up", "state=up mtu=9000"), "alice@org", "")
    cut_off.note([up], 200.0)
    with pytest.raises(PolicyError):
        cut_off.check([up], 150.0)
    cut_off.note([DOWN], 300.0)
    with pytest.raises(PolicyError):
        cut_off.check([DOWN], 250.0)


def test_what_was_never_seen_is_committed_by_nobody_but_the_console() -> None:
    """As after the agent's own end, until it has looked."""
    with pytest.raises(PolicyError):
        CutOff().check([DOWN], 1e9)
    CutOff().check([DOWN], CONSOLE)


class Proc:
    """Processes as proc(5) shows them."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def add(self, pid: int, parent: int, age_s: float, login: int = 0xFFFFFFFF, terminal: int = 0) -> None:
        started = (time.clock_gettime(time.CLOCK_BOOTTIME) - age_s) * os.sysconf("SC_CLK_TCK")
        (self.place / str(pid)).mkdir()
        fields = f"{pid} (a) b) S {parent} {pid} {pid} {terminal}{' 0' * 14} {int(started)}"
        (self.place / str(pid) / "stat").write_text(fields)
        (self.place / str(pid) / "sessionid").write_text(str(login))

    def age_of(self, pid: int) -> float:
        now = time.monotonic()
        return now - reached_by(pid, now, str(self.place))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    made = Proc(tmp_path)
    made.add(1, 0, 9000)
    made.add(100, 1, 8000)  # the SSH server
    return made


def test_a_login_is_as_old_as_what_let_the_person_in(proc: Proc) -> None:
    """Neither a new session (setsid), nor a new terminal, nor a shell in a shell makes it younger."""
    proc.add(200, 100, 500, login=7)
    proc.add(201, 200, 499, login=7)
    proc.add(202, 201, 1, login=7, terminal=os.makedev(136, 3))
    assert proc.age_of(202) == pytest.approx(500, abs=1)
    proc.add(300, 100, 5, login=8)
    proc.add(301, 300, 1, login=8)
    assert proc.age_of(301) == pytest.approx(5, abs=1)


def test_without_audit_sessions_it_is_as_old_as_all_above_it(proc: Proc) -> None:
    proc.add(10, 0, 70)  # entered from outside: its parent is in no process of this node
    proc.add(11, 10, 3)
    assert proc.age_of(11) == pytest.approx(70, abs=1)
    proc.add(200, 100, 5)
    assert proc.age_of(200) == math.inf, "the server's age says nothing"


def test_what_has_left_its_parents_commits_nothing(proc: Proc) -> None:
    for pid, login in ((400, 7), (401, 0xFFFFFFFF)):
        proc.add(pid, 1, 1, login=login)
        assert proc.age_of(pid) == math.inf
    assert proc.age_of(999) == math.inf


def test_a_real_session_is_no_younger_than_the_process_that_began_it() -> None:
    with subprocess.Popen(["setsid", "--wait", "sleep", "60"]) as child:
        try:
            assert reached_by(child.pid, time.monotonic()) <= reached_by(os.getpid(), time.monotonic()) + 0.1
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("terminal", "console"),
    [
        (os.makedev(4, 1), True),
        (os.makedev(4, 64), True),  # ttyS0
        (os.makedev(229, 0), True),  # hvc0
        (os.makedev(204, 64), True),  # ttyAMA0
        (os.makedev(136, 1), False),  # a pseudo-terminal
        (os.makedev(4, 0), False),
        (0, False),
    ],
)
def test_consoles_are_known_by_their_device(proc: Proc, terminal: int, console: bool) -> None:
    proc.add(70, 0, 1, terminal=terminal)
    assert (reached_by(70, 1.0, str(proc.place)) == CONSOLE) is console

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


def test_a_login_is_as_old_as_its_session(tmp_path: Path) -> None:
    before = time.monotonic()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as leader:
        try:
            reached = reached_by(leader.pid, time.monotonic())
        finally:
            leader.kill()
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert before - 2 * tick <= reached <= time.monotonic()
    assert reached_by(leader.pid, 1.0) == -math.inf
    assert reached_by(1, 1.0, str(tmp_path)) == -math.inf


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
def test_consoles_are_known_by_their_device(tmp_path: Path, terminal: int, console: bool) -> None:
    (tmp_path / "70").mkdir()
    fields = f"70 (a) b) S 1 70 70 {terminal} {' 0' * 14} 5"
    (tmp_path / "70" / "stat").write_text(fields)
    assert (reached_by(70, 1.0, str(tmp_path)) == CONSOLE) is console

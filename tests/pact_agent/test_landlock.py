"""Rule sets: what they allow stays, the rest goes, for the process and its children."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
from pact_agent import landlock

AGENT = str(Path(landlock.__file__).parents[1])
# landlock_create_ruleset(2) with LANDLOCK_CREATE_RULESET_VERSION: its number is the same on all machines.
ABI = ctypes.CDLL(None).syscall(444, None, 0, 1)
pytestmark = pytest.mark.skipif(
    ABI < 1, reason="this kernel has no Landlock: run on 5.13 or later, with landlock in its lsm="
)


def bound(rules: str, attempts: str, *, setting: str = "connect=False, signals=False") -> list[str]:
    """What came of attempts (expressions, one a line) in a process bound by `rules`."""
    script = f"""
import os, socket, sys
sys.path.insert(0, {AGENT!r})
from pact_agent import kernel, landlock
from pact_agent.landlock import *
rules = Ruleset(landlock.abi(), {setting})
{rules}
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
rules.restrict()
for attempt in sys.argv[1:]:
    try:
        eval(attempt)
        print("done")
    except OSError as error:
        print(error.strerror)
"""
    command = [sys.executable, "-c", script, *attempts.strip().splitlines()]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()


def test_the_kernel_says_which_it_knows() -> None:
    assert landlock.abi() == ABI


def test_reading_is_possible_where_it_was_allowed(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("x")
    (tmp_path / "in" / "way").symlink_to("../out/f")
    told = bound(
        f"assert rules.allow({str(tmp_path / 'in')!r}, READ)\nassert not rules.allow('/nonexistent', READ)",
        f"""
open({str(tmp_path / "in" / "f")!r})
os.listdir({str(tmp_path / "in")!r})
open({str(tmp_path / "out" / "f")!r})
os.listdir({str(tmp_path / "out")!r})
open({str(tmp_path / "in" / "way")!r})
open({str(tmp_path / "in" / "f")!r}, "a")
os.unlink({str(tmp_path / "in" / "f")!r})
os.mkdir({str(tmp_path / "in" / "d")!r})
os.execv("/bin/true", ["true"])
""",
    )
    assert told[:2] == ["done", "done"]
    assert told[2:] == ["Permission denied"] * 7


def test_a_file_can_be_allowed_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    told = bound(
        f"rules.allow({str(tmp_path / 'a')!r}, READ | WRITE_FILE | TRUNCATE)",  # directories' rights are left out
        f"""
open({str(tmp_path / "a")!r}, "w").write("y")
open({str(tmp_path / "b")!r})
""",
    )
    assert told == ["done", "Permission denied"]
    assert (tmp_path / "a").read_text() == "y"


@pytest.mark.skipif(ABI < 4, reason="Landlock knows TCP from ABI 4 on: run on 6.7 or later")
def test_tcp_is_closed_but_for_what_was_left_open() -> None:
    attempts = """
socket.socket().bind(("127.0.0.1", 0))
socket.socket().connect(("127.0.0.1", 1))
"""
    assert bound("", attempts) == ["Permission denied", "Permission denied"]
    opened = bound("", attempts, setting="connect=True, signals=False")
    assert opened == ["Permission denied", "Connection refused"]


@pytest.mark.skipif(ABI < 6, reason="Landlock knows signals from ABI 6 on: run on 6.12 or later")
def test_signals_reach_nobody_outside_unless_left_open() -> None:
    assert bound("", "os.kill(os.getppid(), 0)") == ["Operation not permitted"]
    assert bound("", "os.kill(os.getppid(), 0)", setting="connect=False, signals=True") == ["done"]


def test_what_may_be_written_is_reached_through_no_link(tmp_path: Path) -> None:
    """Who may make links there would otherwise say where a command writes."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "f").write_text("x")
    (tmp_path / "way").symlink_to("real")
    (tmp_path / "end").symlink_to("real/deep/f")
    told = bound(
        f"""
assert not rules.allow({str(tmp_path / "way" / "deep")!r}, READ | WRITE_FILE, links=False)
assert not rules.allow({str(tmp_path / "end")!r}, READ | WRITE_FILE, links=False)
assert not rules.allow({str(tmp_path / "none")!r}, READ | WRITE_FILE, links=False)
""",
        f"open({str(tmp_path / 'real' / 'deep' / 'f')!r}, 'r+')",
    )
    assert told == ["Permission denied"]
    told = bound(
        f"assert rules.allow({str(tmp_path / 'real' / 'deep')!r}, READ | WRITE_FILE, links=False)",
        f"open({str(tmp_path / 'real' / 'deep' / 'f')!r}, 'r+')",
    )
    assert told == ["done"]


def test_no_link_leads_to_devices(tmp_path: Path) -> None:
    (tmp_path / "dev").symlink_to("/dev")
    (tmp_path / "null").symlink_to("/dev/null")
    told = bound(
        f"""
assert not rules.allow({str(tmp_path / "dev")!r}, READ)
assert not rules.allow({str(tmp_path / "null")!r}, READ)
assert rules.allow("/dev/zero", READ)
""",
        "open('/dev/null')\nopen('/dev/zero')",
    )
    assert told == ["Permission denied", "done"]

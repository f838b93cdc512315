"""The shell's builtins: what they print, their status, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pact_agent.builtins import Effect, Scene, run_builtin
from pact_agent.session import Session

from pactsh.catalog import load_catalog
from tests.pact_agent.recording import ALICE

CATALOG = load_catalog()


def run(
    *argv: str, cwd: str = "/", status: int = 0, history: Sequence[str] = (), secrets: tuple[str, ...] = ()
) -> Effect:
    session = Session("s", ALICE, kind="interactive", source="uid", peer="pts/0", began=0)
    session.cwd, session.last_status, session.history = cwd, status, list(history)
    return run_builtin(argv, Scene(session, CATALOG, secrets, "/usr"))


def test_cd_and_what_stands_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    (tmp_path / "link").symlink_to("d")
    here = str(tmp_path)
    assert run("cd", "d", cwd=here) == Effect(cwd=f"{here}/d")
    assert run("cd", "link", cwd=here).cwd == f"{here}/link"  # logically, as `cd -L`
    assert run("cd", cwd=here).cwd == "/"
    assert run("cd", "-", cwd=here) == Effect(text="/usr\n", cwd="/usr")
    assert run("cd", "f", cwd=here) == Effect(error=f"cd: {here}/f: Not a directory", status=1)
    assert run("cd", "none", cwd=here) == Effect(error=f"cd: {here}/none: No such file or directory", status=1)
    assert run("cd", "a", "b", cwd=here) == Effect(error="cd: too many arguments", status=1)
    for way in ("d", "link"):
        refused = run("cd", way, cwd=here, secrets=(f"{here}/d",))
        assert refused == Effect(error=f"cd: {here}/{way}: Permission denied", status=1)


@pytest.mark.parametrize("name", ["exit", "logout"])
@pytest.mark.parametrize(
    ("words", "status"),
    [((), 7), (("0",), 0), (("3",), 3), (("255",), 255), (("256",), 0), (("1000",), 232)],
)
def test_the_end_and_its_status(name: str, words: tuple[str, ...], status: int) -> None:
    assert run(name, *words, status=7) == Effect(status=status, end=status)


@pytest.mark.parametrize("words", [("x",), ("-1",), ("1", "2"), ("",), ("1.5",), ("٣",), ("0x10",)])
def test_an_odd_status_ends_nothing(words: tuple[str, ...]) -> None:
    effect = run("exit", *words)
    assert effect.end is None
    assert effect.status == 1
    assert effect.error == "exit: expected one number, 0 to 255"


def test_help_knows_what_is_whitelisted() -> None:
    everything = run("help").text
    assert "uname" in everything
    assert "systemctl" in everything
    one = run("help", "uname")
    assert (one.status, one.error) == (0, "")
    assert "uname" in one.text
    assert run("help", "rm") == Effect(error="help: rm is not on the whitelist", status=1)
    mixed = run("help", "uname", "rm", "ls")
    assert mixed.text == one.text
    assert "rm" in mixed.error


def test_small_ones() -> None:
    assert run("pwd", cwd="/var/log") == Effect(text="/var/log\n")
    assert run("whoami") == Effect(text="alice@org\n")
    assert run("clear").text.startswith("\x1b[H\x1b[2J")
    assert run("history", history=["ls", "cat 'a  b'"]).text == "    1  ls\n    2  cat 'a  b'\n"

"""A person is revoked on a whole system: what is open ends, nothing of theirs counts, and they may sign in again."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pexpect
import pytest

from tests.e2e.outside import Outside, outside_of
from tests.pact_agent.localnode import BIN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
LIMIT_S = 60
ALICE = "alice@org"
REVOKED = f"{ALICE} was revoked by "


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    yield from outside_of(tmp_path_factory, "node042")


def alice(outside: Outside) -> dict[str, str]:
    words = ("--principal", ALICE, "--role", "pact-platform-admin", "--dir", str(outside.directory))
    return {"PACT_TOKEN": outside.pact("dev", "token", *words).stdout.strip()}


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def running(outside: Outside, marker: str) -> bool:
    return marker in outside.pact("exec", "node042", "--", "ps", "-eo", "args").stdout


def test_an_open_shell_ends_and_nothing_of_theirs_counts(outside: Outside) -> None:
    old = alice(outside)
    env = outside.env | old | {"TERM": "dumb"}
    shell = pexpect.spawn(str(BIN / "pact"), ["shell", "node042"], env=env, encoding="utf-8", timeout=LIMIT_S)
    shell.expect_exact("pact:node042> ")
    shell.sendline("sleep 4400")
    until(lambda: running(outside, "sleep 4400"))
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    watch = subprocess.Popen([str(BIN / "pact"), "watch", "--from", "1"], env=env, text=True, **pipes)
    assert watch.stdout is not None
    assert watch.stdout.readline()
    line = subprocess.Popen([str(BIN / "pact"), "exec", "node042", "--", "sleep", "4401"], env=env, text=True, **pipes)
    until(lambda: running(outside, "sleep 4401"))

    done = outside.pact("revoke", "person", ALICE, "-m", "laptop stolen")
    assert done.returncode == 0, done.stderr
    shell.expect_exact(REVOKED)
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus not in (0, None)
    _, said = watch.communicate(timeout=LIMIT_S)
    assert (watch.returncode, REVOKED in said) == (2, True), said
    _, said = line.communicate(timeout=LIMIT_S)
    assert line.returncode not in (0, None)
    assert REVOKED in said
    until(lambda: not running(outside, "sleep 4400") and not running(outside, "sleep 4401"))
    (ended,) = until(lambda: outside.entries("--type", "session.end", "--author", ALICE))
    assert str(ended["body"]["reason"]).startswith(REVOKED)
    refused = outside.pact("exec", "node042", "--", "true", env=old)
    assert (refused.returncode, REVOKED in refused.stderr) == (2, True), refused.stderr

    new = until(lambda: works(outside, alice(outside)))
    assert outside.pact("exec", "node042", "--", "uname", "-n", env=new).stdout == "node042\n"
    (row,) = json.loads(outside.pact("revoke", "list", "--output", "json").stdout)
    assert (row["subject"], row["message"]) == (ALICE, "laptop stolen")


def works(outside: Outside, env: dict[str, str]) -> dict[str, str] | None:
    """The same again once it counts: signing in within the second of the revocation is refused as well."""
    return env if outside.pact("whoami", env=env).returncode == 0 else None


def test_an_old_token_opens_no_journal_that_began_anew(outside: Outside) -> None:
    old = alice(outside)
    assert outside.pact("exec", "node042", "--", "true", env=old).returncode == 0
    assert outside.pact("revoke", "person", ALICE, "-m", "again").returncode == 0
    state = json.loads((outside.directory / "state.json").read_text())
    pid = next(p["pid"] for name, p in state["processes"].items() if name == "journal")
    subprocess.run(["kill", "-9", str(pid)], check=True)
    until(lambda: outside.pact("status", "node042").returncode == 0)
    for words in (("exec", "node042", "--", "true"), ("log",), ("ssh-config",)):
        refused = outside.pact(*words, env=old)
        assert refused.returncode == 2, refused.stderr
        assert REVOKED in refused.stderr

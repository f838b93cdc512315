"""Recorded sessions on a whole system: made, listed, played from elsewhere, and held against the journal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.e2e.outside import Outside, outside_of
from tests.pact_agent.casts import left, until
from tests.pact_agent.localnode import BIN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    for made in outside_of(tmp_path_factory, "node042"):
        # The removed command shows when the node has heard of it all.
        done = made.pact("group", "set-policy", "ml-training", "--set", "record=true", "--set", 'commands.remove=["w"]')
        assert "record: false -> true" in done.stdout, done.stderr
        until(partial(_refuses_w, made))
        yield made


def _refuses_w(outside: Outside) -> bool:
    return outside.pact("exec", "node042", "--", "w").returncode == 6


def shell(outside: Outside, *args: str, env: dict[str, str] | None = None) -> pexpect.spawn[str]:
    environment = outside.env | {"TERM": "dumb"} | (env or {})
    return pexpect.spawn(str(BIN / "pact"), ["shell", *args, "node042"], env=environment, encoding="utf-8", timeout=60)


def sessions(outside: Outside, *args: str) -> list[dict[str, Any]]:
    done = outside.pact("session", "list", "--output", "json", *args)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["sessions"]
    return found


def role(outside: Outside, principal: str, name: str) -> dict[str, str]:
    made = outside.pact("dev", "token", "--principal", principal, "--role", name, "--dir", str(outside.directory))
    return {"PACT_TOKEN": made.stdout.strip()}


@pytest.fixture(scope="module")
def recorded(outside: Outside) -> dict[str, Any]:
    """A session that is over, as the journal has it."""
    child = shell(outside)
    child.expect_exact("This session is recorded.\r\n")
    child.expect_exact("pact:node042> ")
    (live,) = sessions(outside, "--live")
    assert (live["state"], live["recorded"], live["node"]) == ("live", True, "node042")
    child.sendline("printf 'caf\\303\\251 \\033]0;owned\\007\\n'")
    child.expect_exact("café")
    child.expect_exact("pact:node042> ")
    child.sendline("exit 3")
    assert left(child) == 3

    def ended() -> dict[str, Any] | None:
        return next((s for s in sessions(outside) if s["id"] == live["id"] and s["sha256"]), None)

    found: dict[str, Any] = until(ended)
    return found


def kept(outside: Outside, session: str) -> Path:
    (path,) = outside.directory.glob(f"nodes/node042/state/recordings/{session}.cast")
    return path


def test_it_is_played_and_exported_and_its_hash_is_the_journals(outside: Outside, recorded: dict[str, Any]) -> None:
    assert (recorded["state"], recorded["recorded"], recorded["kind"]) == ("ended", True, "interactive")
    entries = {e["session"]: e for e in outside.entries("--type", "session.end")}
    seq = entries[recorded["id"]]["seq"]
    done = outside.pact("session", "play", "--dump", recorded["id"])
    assert (done.returncode, done.stderr) == (0, f"pact: hash matches seq:{seq}\n")
    assert "café \n" in done.stdout
    exported = outside.pact("session", "export", recorded["id"])
    assert exported.returncode == 0
    data = exported.stdout.encode()
    assert data == kept(outside, recorded["id"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == recorded["sha256"]
    events = outside.pact("session", "play", "--output", "json", "--node", "node042", recorded["id"]).stdout
    assert any("owned" in json.loads(line)["data"] for line in events.splitlines())
    seen = outside.entries("--type", "recording.played")
    assert [e["body"]["of"] for e in seen if isinstance(e["body"], dict)] == [recorded["principal"]] * len(seen)
    assert len(seen) == 3


def test_others_recordings_are_for_those_who_operate_there(outside: Outside, recorded: dict[str, Any]) -> None:
    before = len(outside.entries("--type", "recording.played"))
    for principal, name, says in (
        ("vic@org", "pact-viewer-ml-training", "vic@org may not see recordings of others' sessions"),
        ("eve@org", "pact-ops-other", "not among the last"),
    ):
        env = role(outside, principal, name)
        done = outside.pact("session", "play", "--dump", recorded["id"], env=env)
        assert done.returncode == (2 if "vic" in principal else 1)
        assert says in done.stderr
        assert done.stdout == ""
    assert len(outside.entries("--type", "recording.played")) == before
    ops = outside.pact("session", "play", "--dump", recorded["id"], env=role(outside, "oz@org", "pact-ops-ml-training"))
    assert (ops.returncode, "café" in ops.stdout) == (0, True)
    played = outside.entries("--type", "recording.played")[0]
    assert isinstance(played["author"], dict)
    assert played["author"]["principal"] == "oz@org"


def test_one_that_was_changed_on_the_node_is_told(outside: Outside, recorded: dict[str, Any]) -> None:
    path = kept(outside, recorded["id"])
    before = path.read_bytes()
    path.write_bytes(before.replace("café".encode(), b"tea "))
    try:
        for args in (["play", "--dump"], ["export"]):
            done = outside.pact("session", *args, recorded["id"])
            assert (done.returncode, done.stdout) == (1, "")
            assert "this is not what was recorded: seq:" in done.stderr
        forced = outside.pact("session", "play", "--dump", "--force", recorded["id"])
        assert (forced.returncode, "tea" in forced.stdout) == (0, True)
        assert "this is not what was recorded" in forced.stderr
    finally:
        path.write_bytes(before)


def test_a_copy_of_ones_own(outside: Outside, tmp_path: Path) -> None:
    path = tmp_path / "mine.cast"
    child = shell(outside, "--record", str(path))
    child.expect_exact("pact:node042> ")
    child.setwinsize(30, 100)
    child.sendline("uname -n; exit")
    assert left(child) == 0
    done = outside.pact("session", "play", "--dump", str(path))
    assert done.returncode == 0
    assert "node042\n" in done.stdout
    assert '"r","100x30"' in path.read_text()
    again = shell(outside, "--record", str(path))
    again.expect("mine.cast: File exists")
    assert left(again) == 1
    piped = outside.pact("shell", "--record", str(tmp_path / "x"), "node042", stdin="uname\n")
    assert (piped.returncode, piped.stdout) == (1, "")
    assert not (tmp_path / "x").exists()


def test_at_the_prompt_of_the_node_itself(outside: Outside, recorded: dict[str, Any]) -> None:
    exports = outside.pact("dev", "env", "--dir", str(outside.directory), "--node", "node042").stdout
    socket = next(line for line in exports.splitlines() if "PACT_AGENT_SOCKET=" in line).split("=", 1)[1].strip("'\"")
    env = {"PACT_AGENT_SOCKET": socket, "TERM": "dumb", "PATH": outside.env["PATH"]}
    child: pexpect.spawn[str] = pexpect.spawn(str(BIN / "pactsh"), env=env, encoding="utf-8", timeout=60)
    child.expect_exact("This session is recorded.\r\n")
    child.expect_exact("pact:node042> ")
    child.sendline(f"pact session play --dump {recorded['id']}")
    child.expect("hash matches seq:[0-9]+")
    child.expect_exact("café")
    child.expect_exact("pact:node042> ")
    child.sendline(f"pact session export {recorded['id']}")
    child.expect_exact("this would write the file to the terminal")
    child.expect_exact("pact:node042> ")
    child.sendline("exit 0")
    assert left(child) == 0

"""A policy changes while people work: removal, addition, bypass, learning, on a whole system."""

from __future__ import annotations

import asyncio
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from pactsh.journal.ledger import now_text
from pactsh.journal.sqlite import SqliteStore
from pactsh.model.entry import Author, Draft, JsonObject
from tests.e2e.outside import Outside, outside_of
from tests.e2e.site import Site, site
from tests.pact_agent.localnode import BIN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ML = "ml-training"
LIMIT_S = 30.0


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    yield from outside_of(tmp_path_factory, "node042")


def run(outside: Outside, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return outside.pact("exec", "node042", "--", *argv, env=env)


def set_policy(outside: Outside, *args: str) -> None:
    done = outside.pact("group", "set-policy", ML, *args)
    told = [line for line in done.stderr.splitlines() if not line.startswith("pact: the first policy of ")]
    assert (done.returncode, told) == (0, [])
    assert "is now version" in done.stdout


def until(check: Callable[[], bool]) -> float:
    """Ask until it holds; the seconds it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < LIMIT_S
    return time.monotonic() - began


def as_viewer(outside: Outside) -> dict[str, str]:
    words = ["dev", "token", "--dir", str(outside.directory), "--principal", "vera@org", "--role", f"pact-viewer-{ML}"]
    token = outside.pact(*words).stdout.strip()
    assert token, "there is a viewer"
    return {"PACT_TOKEN": token}


def test_an_open_session_obeys_a_change_at_once(outside: Outside) -> None:
    session = pexpect.spawn(
        str(BIN / "pact"), ["shell", "node042"], env=outside.env | {"TERM": "dumb"}, encoding="utf-8", timeout=60
    )
    session.expect_exact("pact:node042> ")
    session.sendline("dmesg --version")
    session.expect("dmesg from")
    set_policy(outside, "--set", 'commands.remove=["dmesg"]')

    def is_refused() -> bool:
        session.expect_exact("pact:node042> ")
        session.sendline("dmesg --version")
        return session.expect(["dmesg from", "dmesg was taken off the whitelist of vCluster ml-training"]) == 1

    assert until(is_refused) < 5
    session.sendline("exit")
    session.expect(pexpect.EOF)
    session.close()
    refused = [e["body"] for e in outside.entries("--type", "refusal")]
    assert "removed-command" in {body["code"] for body in refused if isinstance(body, dict)}
    set_policy(outside, "--set", "commands.remove=[]")
    until(lambda: run(outside, "dmesg", "--version").returncode == 0)


def test_an_added_command_runs_and_is_contained(outside: Outside, tmp_path: Path) -> None:
    """Its operand is no `file` here, so that only the kernel is between it and the secret."""
    assert run(outside, "base64", "/etc/hostname").returncode == 6
    path = tmp_path / "p.toml"
    path.write_text(
        '[[commands.add]]\nname = "base64"\nsummary = "encode"\ngroup = "text"\npaths = ["/usr/bin/base64"]\n'
        'operands = [{ kind = "string", count = "?" }]\n'
    )
    set_policy(outside, "--file", str(path))
    until(lambda: run(outside, "base64", "/usr/bin/base64").returncode == 0)
    secret = run(outside, "base64", "/etc/shadow")
    assert (secret.stdout, secret.returncode) == ("", 1)
    assert "Permission denied" in secret.stderr
    assert run(outside, "base64", "-d").returncode == 6
    assert run(outside, "base64", "/usr/bin/base64", **as_viewer(outside)).returncode == 0


def test_a_bypass_is_for_platform_admins_through_exec_and_marked(outside: Outside) -> None:
    refused = run(outside, "factor", "15")
    assert refused.returncode == 6
    assert "pact exec --bypass runs it outside the whitelist" in refused.stderr
    done = outside.pact("exec", "--bypass", "node042", "--", "factor", "15")
    assert (done.stdout, done.returncode) == ("15: 3 5\n", 0), done.stderr
    fed = outside.pact("exec", "--bypass", "node042", "--", "factor", stdin="21\n")
    assert fed.stdout == "21: 3 7\n"
    lines = [line for line in outside.pact("log", "-n", "50").stdout.splitlines() if "BYPASS  bypass factor 15" in line]
    assert len(lines) == 1
    (body,) = [e["body"] for e in outside.entries("--type", "intent") if "factor 15" in str(e["body"])]
    assert isinstance(body, dict)
    assert (body["bypass"], body["decision"]["code"], body["class"]) == (True, "bypass", "change")
    viewer = outside.pact("exec", "--bypass", "node042", "--", "factor", "15", env=as_viewer(outside))
    assert (viewer.stdout, viewer.returncode) == ("", 2)
    assert "only pact-platform-admin may" in viewer.stderr
    shell = outside.pact("shell", "node042", stdin="bypass factor 15\n")
    assert (shell.stdout, shell.returncode) == ("", 6)
    assert outside.pact("exec", "--bypass", "node042", "--", "/usr/bin/factor", "15").returncode == 6
    set_policy(outside, "--set", "bypass_allowed=false")
    until(lambda: outside.pact("exec", "--bypass", "node042", "--", "factor", "15").returncode == 3)
    set_policy(outside, "--set", "bypass_allowed=true")
    until(lambda: outside.pact("exec", "--bypass", "node042", "--", "factor", "15").returncode == 0)


def test_what_is_learned_can_be_pasted_and_then_runs(outside: Outside, tmp_path: Path) -> None:
    set_policy(outside, "--set", "whitelist_mode=learning")

    def is_proposed() -> bool:
        assert run(outside, "factor", "--exponents", "8").returncode == 6
        return 'name = "factor"' in outside.pact("group", "show", ML, "--proposals").stdout

    until(is_proposed)
    path = tmp_path / "p.toml"
    path.write_text(outside.pact("group", "show", ML).stdout + outside.pact("group", "show", ML, "--proposals").stdout)
    set_policy(outside, "--file", str(path))
    until(lambda: run(outside, "factor", "12").stdout == "12: 2 2 3\n")
    refused = run(outside, "factor", "--unseen")
    assert refused.returncode == 6


def test_a_node_shows_the_policy_of_its_vcluster(outside: Outside) -> None:
    words = ["dev", "env", "--dir", str(outside.directory), "--node", "node042"]
    exports = outside.pact(*words).stdout.splitlines()
    env = {k: v.strip("'\"") for k, _, v in (line.removeprefix("export ").partition("=") for line in exports)}
    assert "PACT_AGENT_SOCKET" in env
    there = outside.pact("group", "show", ML, env=env)
    assert (there.returncode, there.stderr) == (0, "")
    assert tomllib.loads(there.stdout) == tomllib.loads(outside.pact("group", "show", ML).stdout)
    row = outside.pact("group", "list", env=env).stdout.splitlines()[1].split()
    assert row[:2] == [ML, "-"]


async def forge_policy(where: Site) -> None:
    """Put a policy into the journal's database behind its back, as whoever owns its host could."""
    entry: JsonObject = {"name": "bash", "summary": "x", "group": "system", "paths": ["/usr/bin/bash", "/bin/bash"]}
    document: JsonObject = {
        "vcluster": ML,
        "version": 1,
        "containment": "best-effort",
        "commands": {"add": [entry | {"options": [{"names": "-c", "value": "string"}]}], "remove": ["dmesg"]},
    }
    draft = Draft(
        client="user:eve@org:x",
        number=1,
        time=now_text(),
        type="policy.updated",
        scope=f"vcluster:{ML}",
        author=Author("eve@org", ("pact-platform-admin",)),
        body={"policy": document},
    )
    (database,) = where.layout.journal.rglob("*.db")
    store = await SqliteStore.open(database, clock=now_text)
    try:
        await store.append(draft)
    finally:
        await store.close()


async def lied_to(directory: Path) -> None:
    async with site(directory) as where:
        await where.kill_journal()
        await forge_policy(where)
        await where.start_journal()
        assert where.agent is not None
        agent = where.agent
        async with asyncio.timeout(LIMIT_S):
            while "left out: commands.add[0]: bash can't be added: it is a shell" not in agent.log():
                await asyncio.sleep(0.1)
        shell = await asyncio.to_thread(agent.line, "bash -c id")
        assert (shell.stdout, shell.returncode) == ("", 6)
        assert "bash is not on the whitelist" in shell.stderr
        taken = await asyncio.to_thread(agent.line, "dmesg --version")
        assert "was taken off the whitelist" in taken.stderr


def test_a_node_takes_nothing_below_the_floor_from_a_journal_that_lies(tmp_path: Path) -> None:
    asyncio.run(lied_to(tmp_path / "s"))

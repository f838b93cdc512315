"""The site's own policy on a whole system: what it refuses, on the node and at the journal, and without the journal."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.outside import Outside, outside_of
from tests.e2e.site import Site, site
from tests.e2e.test_outage import pactsh, toolbar_says_connected, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

MODULE = """package pact.authz
import rego.v1

deny contains "no kernel settings today" if {
	input.command.dimension == "kernel"
}

deny contains sprintf("%s reads no mail on %s", [input.identity.principal, input.scope.node]) if {
	some stage in input.command.stages
	some word in stage.argv
	word == "/var/mail"
}

deny contains "say which ticket" if {
	input.action == "commit"
	not startswith(input.params.message, "OPS-")
}

deny contains "the policy is frozen" if input.action == "policy_update"
deny contains "no extensions" if input.action == "extend"
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rego")
    (directory / "site.rego").write_text(MODULE)
    return directory


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory, modules: Path) -> Iterator[Outside]:
    yield from outside_of(tmp_path_factory, "node042", policy=modules)


def run(outside: Outside, *argv: str) -> subprocess.CompletedProcess[str]:
    return outside.pact("exec", "node042", "--", *argv)


def test_a_line_it_refuses_does_not_run_and_is_on_record(outside: Outside) -> None:
    done = run(outside, "sysctl", "-w", "net.core.somaxconn=999")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no kernel settings today" in done.stderr
    assert "this is the site's policy" in done.stderr
    assert "999" not in run(outside, "sysctl", "net.core.somaxconn").stdout
    log = outside.pact("log", "-n", "1", "--type", "refusal", "--output", "json").stdout
    assert '"rule":"rego"' in log.replace(" ", "")
    done = run(outside, "ls", "/var/mail")
    assert (done.returncode, done.stdout) == (3, "")
    assert "admin@dev reads no mail on node042" in done.stderr


def test_what_it_allows_is_still_bound_by_the_whitelist(outside: Outside) -> None:
    assert run(outside, "echo", "hello").stdout == "hello\n"
    assert run(outside, "vi").returncode == 6


def test_verbs_are_decided_by_what_they_are_to_do(outside: Outside) -> None:
    address = ("10.9.8.7/32", "dev", "lo")
    assert run(outside, "ip", "addr", "add", *address).returncode == 0
    try:
        done = outside.pact("commit", "--node", "node042", "-m", "an address")
        assert done.returncode == 3, done.stdout
        assert "say which ticket" in done.stderr
        done = outside.pact("extend", "5", "--node", "node042")
        assert (done.returncode, "no extensions" in done.stderr) == (3, True)
        done = outside.pact("commit", "--node", "node042", "-m", "OPS-7 an address")
        assert done.returncode == 0, done.stderr
    finally:
        assert run(outside, "ip", "addr", "del", *address).returncode == 0


def test_it_decides_at_the_journal_too(outside: Outside) -> None:
    done = outside.pact("group", "set-policy", "ml-training", "--set", "audit=strict")
    assert done.returncode == 3, done.stdout
    assert "the policy is frozen" in done.stderr


def test_a_change_of_the_modules_is_in_force_soon(outside: Outside, modules: Path) -> None:
    module = modules / "site.rego"
    try:
        more = 'deny contains "echo is loud" if input.command.stages[_].name == "echo"\n'
        (modules / "new").write_text(MODULE + more)
        os.replace(modules / "new", module)

        async def refused() -> bool:
            return (await asyncio.to_thread(run, outside, "echo", "x")).returncode == 3

        asyncio.run(until(refused))
    finally:
        (modules / "new").write_text(MODULE)
        os.replace(modules / "new", module)


def test_without_the_journal_reading_goes_on_and_changes_wait(tmp_path: Path, modules: Path) -> None:
    async def go() -> None:
        async with site(tmp_path, policy=modules) as where:
            await until(lambda: toolbar_says_connected(where))
            assert (await pactsh(where, "ls /var/mail")).returncode == 3
            await where.kill_journal()
            await _disconnected(where)
            assert (await pactsh(where, "echo hello")).stdout == "hello\n"
            assert where.agent is not None
            done = await pactsh(where, "sysctl -w net.core.somaxconn=999")
            assert (done.returncode, "can't be reached: nothing is changed" in done.stderr) == (5, True), done.stderr
            await where.kill_agent()
            await where.start_agent()
            done = await pactsh(where, "sysctl -w net.core.somaxconn=999")
            assert done.returncode == 5, "a new agent knows that there is a policy to ask"
            await where.start_journal()
            await until(lambda: toolbar_says_connected(where))
            done = await pactsh(where, "sysctl -w net.core.somaxconn=999")
            assert (done.returncode, "no kernel settings today" in done.stderr) == (3, True)

    asyncio.run(go())


async def _disconnected(where: Site) -> None:
    async def gone() -> bool:
        return not await toolbar_says_connected(where)

    await until(gone)

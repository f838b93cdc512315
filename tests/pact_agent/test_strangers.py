"""A user whom the node does not know: signs in at the console, at a real OpenID provider, or stays out."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from pactsh.auth.ca import new_agent_request
from pactsh.auth.join import JoinTokens
from pactsh.model.entry import Entry
from pactsh.rpc.client import Journal
from tests.oidc.issuer import Provider, provider, service_token, token_of
from tests.pact_agent.localnode import BIN, LocalNode
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.test_login import trusting

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]  # each sign-in waits for the issuer's rhythm, 5 s
LIMIT_S = 60


@dataclass
class Site:
    """A journal that trusts the provider, and an agent with nobody in `local_users`."""

    op: Provider
    journal: RunningJournal
    node: LocalNode

    def console(self, term: str = "dumb") -> pexpect.spawn[str]:
        """A terminal at which somebody starts pactsh."""
        env = {"PACT_AGENT_SOCKET": str(self.node.socket), "TERM": term, "PATH": "/usr/bin:/bin"}
        return pexpect.spawn(str(BIN / "pactsh"), ["-l"], env=env, encoding="utf-8", timeout=LIMIT_S)

    def entries(self, *types: str) -> list[Entry]:
        """What the node has put on record, once all of it is at the journal."""

        async def ask() -> list[Entry]:
            ca, place = self.journal.ca.read_bytes(), self.node.directory
            cert, key = (place / "cert.pem").read_bytes(), (place / "key.pem").read_bytes()
            async with Journal(self.journal.agents, ca=ca, cert=cert, key=key) as agent:
                return await agent.list(1000, newest_first=False)

        def until(last: str) -> list[Entry]:
            end = time.monotonic() + LIMIT_S
            while True:
                found = asyncio.run(ask())
                if any(entry.type == last for entry in found):
                    return found
                assert time.monotonic() < end
                time.sleep(0.1)

        until("agent.start")  # it has a connection, or it would keep its last entries for the next start
        self.node.stop()
        found = until("agent.stop")
        return [entry for entry in found if entry.type in types or not types]

    def refused(self) -> list[str]:
        """Reasons on record."""
        return [str((entry.body or {})["reason"]) for entry in self.entries("connection.refused")]


@pytest.fixture(scope="module")
def op(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    yield from provider(tmp_path_factory.mktemp("op"))


@pytest.fixture
def site(tmp_path: Path, op: Provider) -> Iterator[Site]:
    with trusting(tmp_path, op) as journal:
        node = LocalNode(tmp_path / "n", "[limits]\nspool_bytes = 4194304\n")
        asyncio.run(enrol(journal, node.directory))
        config = node.directory / "agent.toml"
        known = config.read_text().index("[local_users")
        config.write_text(
            config.read_text()[:known].replace("ml-training", "ml")
            + f'[journal]\nendpoint = "{journal.agents}"\nca = "{journal.ca}"\n'
            'cert = "cert.pem"\nkey = "key.pem"\n'
        )
        try:
            yield Site(op, journal, node.start())
        finally:
            node.close()


async def enrol(journal: RunningJournal, directory: Path) -> None:
    """Give the node its certificate."""
    from pactsh.auth.ca import utc_now

    token = JoinTokens(journal.directory / "join", clock=utc_now).create("node042", "ml")
    key, request = new_agent_request("node042")
    async with Journal(journal.endpoint, ca=journal.ca.read_bytes()) as stranger:
        enrolled = await stranger.enroll_agent("node042", token, request, vcluster="ml")
    (directory / "cert.pem").write_bytes(enrolled.certificate_pem)
    (directory / "key.pem").write_bytes(key)
    (directory / "key.pem").chmod(0o600)


def page_of(child: pexpect.spawn[str]) -> str:
    """The page to open, from the screen."""
    child.expect(r"or open (\S+)")
    assert isinstance(child.match, re.Match)
    return str(child.match[1])


def approve(child: pexpect.spawn[str], op: Provider, name: str) -> None:
    """Sign in on another device with the code on the screen."""
    op.browser().sign_in(page_of(child), name)


def test_at_a_terminal_they_sign_in(site: Site) -> None:
    child = site.console()
    child.expect_exact("This user is nobody to pact on this node: sign in to go on.")
    approve(child, site.op, "alice@org")
    child.expect_exact("Signed in as alice@org")
    child.expect_exact("pact:node042> ")
    child.sendline("pact whoami")
    child.expect(r"alice@org \(pact-ops-ml\)\s+human, by token, verified by node node042")
    child.expect_exact("pact:node042> ")
    child.sendline("exit 3")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    (begun,) = site.entries("session.start")
    body = begun.body or {}
    assert (begun.author.principal, body["source"]) == ("alice@org", "token")
    assert re.fullmatch(r"uid=\d+ pid=\d+", str(body["peer"]))
    assert "eyJ" not in site.node.log() + repr(site.entries()), "how every JWT begins"


def test_who_is_revoked_is_sent_away_and_does_not_come_back_with_that_token(site: Site) -> None:
    child = site.console("xterm")
    approve(child, site.op, "alice@org")
    child.expect_exact("Signed in as alice@org")
    child.expect_exact("pact:node042")
    child.expect_exact("alice@org")  # in the toolbar
    revoke(site, token_of(site.op, "root@org"), "alice@org")
    child.expect_exact("alice@org was revoked by root@org")
    child.expect(pexpect.EOF)
    child.close()
    old = token_of(site.op, "alice@org")
    revoke(site, token_of(site.op, "root@org"), "alice@org")
    with site.node.connect() as wire:
        wire.until("error")
        wire.send({"op": "sign-in"})
        wire.until("issuers")
        wire.send({"op": "token", "token": old})
        assert "alice@org was revoked by root@org" in wire.until("error")["message"]
    (end,) = site.entries("session.end")
    assert str((end.body or {})["reason"]).startswith("alice@org was revoked by root@org")


def revoke(site: Site, token: str, name: str) -> None:
    async def ask() -> None:
        async with Journal(site.journal.endpoint, ca=site.journal.ca.read_bytes(), token=token) as journal:
            await journal.revoke("person", name, "laptop stolen")

    asyncio.run(ask())


def test_who_has_no_role_stays_out(site: Site) -> None:
    child = site.console()
    approve(child, site.op, "eve@org")
    child.expect_exact("eve@org has no role that lets people in here")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
    assert site.refused()[-1] == "sign-in: eve@org has no role that lets people in here"


def test_without_a_terminal_they_are_told_what_to_do(site: Site) -> None:
    for args, stdin in ((("-c", "whoami"), ""), ((), "whoami\n")):
        done = site.node.pactsh(*args, stdin=stdin)
        assert (done.returncode, done.stdout) == (2, "")
        assert "this user is nobody to pact on this node" in done.stderr
        assert "hint: sign in at a terminal, with pactsh; or an administrator adds the user" in done.stderr


@pytest.mark.parametrize("shown", ["garbage", "", "service", "x" * 100_000])
def test_what_is_no_persons_token_opens_nothing(site: Site, shown: str) -> None:
    with site.node.connect() as wire:
        assert wire.until("error")["sign_in"] is True
        wire.send({"op": "sign-in"})
        (offered,) = wire.until("issuers")["issuers"]
        assert (offered["issuer"], offered["client_id"]) == (site.op.issuer, "pact")
        wire.send({"op": "token", "token": service_token(site.op) if shown == "service" else shown})
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        assert wire.until("error")["code"] == 2
        assert wire.receive() is None
    assert site.refused()[-1].startswith("sign-in: ")


def test_nothing_is_done_for_who_has_not_signed_in(site: Site) -> None:
    asked: list[dict[str, object]] = [
        {"op": "session", "kind": "script", "term": "dumb"},
        {"op": "run", "line": "true"},
        {"op": "call", "method": "status", "params": {}},
        {"op": "token", "token": "x"},
    ]
    with site.node.connect() as wire:
        wire.until("error")
        for frame in asked:
            wire.send(frame)
        wire.send({"op": "sign-in"})
        answer = wire.receive()
        assert answer is not None
        assert answer["op"] == "issuers", "the first answer of all"
    assert site.entries("session.start", "intent") == []


def test_few_of_a_user_can_be_about_to_sign_in(site: Site) -> None:
    waiting = [site.node.connect() for _ in range(6)]
    try:
        assert [wire.until("error")["sign_in"] for wire in waiting] == [True] * 4 + [False] * 2
    finally:
        for wire in waiting:
            wire.sock.close()
    end = time.monotonic() + LIMIT_S
    while True:
        with site.node.connect() as wire:
            if wire.until("error")["sign_in"]:
                break
        assert time.monotonic() < end


def test_without_the_journal_nobody_signs_in(site: Site) -> None:
    child = site.console()
    page = page_of(child)
    site.journal.stop()
    signing = threading.Thread(target=site.op.browser().sign_in, args=(page, "alice@org"))
    signing.start()
    child.expect(pexpect.EOF)
    signing.join()
    child.close()
    assert child.exitstatus == 5


def test_who_waits_does_not_hold_up_the_agents_end(site: Site) -> None:
    child = site.console()
    child.expect_exact("or open ")
    assert site.node.stop() == 0
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5

"""Revoked certificates on a node: a real agent, its journal, and stock OpenSSH; and the list by itself."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificateType
from pact_agent.revoked import Revoked

from pactsh.auth import names, sshcert
from pactsh.auth.ca import Authority, new_agent_request
from pactsh.model.entry import Entry
from pactsh.model.identity import Identity
from pactsh.model.revocation import Revocation
from pactsh.rpc.client import Journal
from tests.pact_agent.sshnode import ALICE, Key, SshNode, new_key
from tests.pact_agent.test_sshd import processes_with, until
from tests.pactsh.cli.conftest import NODE, PROGRAM, VCLUSTER, RunningJournal, serving

BOB = Identity("bob@example.org", ("pact-ops-ml-training",), "human", "token")
BY = "was revoked by root@org at "


class Place:
    """A journal, and a node that is enrolled with it and has an SSH server."""

    def __init__(self, directory: Path, journal: RunningJournal) -> None:
        self.journal, self._directory = journal, directory
        key, request = new_agent_request(NODE)
        enrolled = self.ask(lambda j: j.enroll_agent(NODE, self._join_token(), request), token=None)
        directory.mkdir()
        for name, content in (("a.key", key), ("a.pem", enrolled.certificate_pem), ("a.ca", enrolled.trust.ca_pem)):
            (directory / name).write_bytes(content)
        table = f'[journal]\nendpoint = "{journal.agents}"\nca = "{directory}/a.ca"\n'
        table += f'cert = "{directory}/a.pem"\nkey = "{directory}/a.key"\n'
        self.node = SshNode(directory / "n", table, authority=Authority.load(journal.directory / "ca"))

    def _join_token(self) -> str:
        words = [PROGRAM, "join-token", NODE, "--vcluster", VCLUSTER, "--data-dir", str(self.journal.directory)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def ask(self, question: Callable[[Journal], Awaitable[Any]], *, token: str | None = "") -> Any:
        """Ask the journal as root@org, or (None) as nobody."""

        async def run() -> Any:
            proof = self.journal.token("root@org") if token == "" else token
            async with Journal(self.journal.endpoint, ca=self.journal.ca.read_bytes(), token=proof) as journal:
                return await question(journal)

        return asyncio.run(run())

    def revoke(self, subject: str, kind: str = "person") -> int:
        """Revoke, and return the second from which on things count again."""
        return int(self.ask(lambda j: j.revoke(kind, subject, "laptop stolen")).revocation.before)

    def entries(self, kind: str) -> list[Entry]:
        found = self.ask(lambda j: j.list(100, type=kind, newest_first=False))
        assert isinstance(found, list)
        return found

    def connected(self) -> None:
        until(lambda: "uplink: connected" in self.node.node.log())

    def status(self, key: Key | None = None) -> int:
        """That of a command over SSH: 0, or 255 when nobody is let in."""
        return self.node.ssh("true", key=key).returncode

    def heard(self, subject: str) -> None:
        """Wait until the node has been told."""
        until(lambda: re.search(f"pact_agent.revoked: {re.escape(subject)} was revoked", self.node.node.log()))


@contextmanager
def placed(directory: Path) -> Iterator[Place]:
    with serving(directory / "j") as journal:
        place = Place(directory / "p", journal)
        try:
            place.node.start()
            place.connected()
            yield place
        finally:
            place.node.node.close()


def at(before: int) -> datetime:
    """The first moment at which things count again; waits for it."""
    time.sleep(max(0.0, before - time.time()))
    return datetime.now(UTC)


def shell(node: SshNode, key: Key | None = None) -> Any:
    child = pexpect.spawn(
        "ssh", [*node.options(key), "x@127.0.0.1"], timeout=30, env={**os.environ, "TERM": "dumb"}, encoding="utf-8"
    )
    child.expect_exact("pact:node042> ")
    return child


def test_open_connections_end_with_what_runs_on_them(tmp_path: Path) -> None:
    with placed(tmp_path) as place:
        node = place.node
        second = node.person("second")
        bob = node.person("bob", BOB)
        prompt, idle, spared = shell(node), shell(node, second), shell(node, bob)
        prompt.sendline("sleep 31337")
        line = subprocess.Popen(
            ["ssh", *node.options(second), "x@127.0.0.1", "sleep 31338"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        until(lambda: processes_with("sleep\x0031337") and processes_with("sleep\x0031338"))
        before = place.revoke("alice@example.org")
        for child in (prompt, idle):
            child.expect_exact(f"alice@example.org {BY}")
            child.expect(pexpect.EOF)
        _, said = line.communicate(timeout=30)
        assert line.returncode == 255
        assert f"alice@example.org {BY}".encode() in said
        until(lambda: not processes_with("sleep\x0031337") and not processes_with("sleep\x0031338"))
        spared.sendline("uname -s")
        spared.expect_exact("Linux")

        for key in (node.alice, second, node.person("third", now=datetime.fromtimestamp(before - 1, UTC))):
            refused = node.ssh("true", key=key)
            assert refused.returncode == 255
            assert f"alice@example.org {BY}".encode() in refused.stderr
        assert place.status(bob) == 0
        assert place.status(node.person("fourth", now=at(before))) == 0

        until(lambda: len(place.entries("session.end")) == 2)
        ends = [(e.author.principal, str((e.body or {})["reason"])) for e in place.entries("session.end")]
        assert all(who == "alice@example.org" and f"alice@example.org {BY}" in why for who, why in ends), ends
        until(lambda: len(place.entries("outcome")) >= 2)
        signals = [(e.body or {})["signal"] for e in place.entries("outcome") if e.author.principal != BOB.principal]
        assert signals[:2] == [1, 1], "as when a connection is lost"
        kinds = {(e.body or {})["what"] for e in place.entries("connection.refused")}
        assert kinds == {"connection", "login"}


def test_it_holds_with_the_journal_gone_and_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path / "j") as journal:
        place = Place(tmp_path / "p", journal)
        node = place.node
        try:
            node.start()
            place.connected()
            old = node.person("old", now=datetime.now(UTC) - timedelta(minutes=30))
            assert (place.status(), place.status(old)) == (0, 0)
            before = place.revoke("alice@example.org")
            place.heard("alice@example.org")
            node.node.stop(9)
        except BaseException:
            node.node.close()
            raise
    try:  # the journal is gone
        node.start()
        assert (place.status(), place.status(old)) == (255, 255)
        assert place.status(node.person("new", now=at(before))) == 0
        other = Identity("Alice@Example.org", ALICE.roles, "human", "token")
        assert place.status(node.person("spelled", other, now=datetime.fromtimestamp(before - 9, UTC))) == 255
        assert place.status(several(node, ("alice@example.org", "bob@example.org"))) == 255
        assert place.status(several(node, ("bob@example.org", "alice@example.org"))) == 255

        # A list that can't be read counts for everybody.
        node.node.stop()
        (tmp_path / "p" / "n" / "node" / "state" / "config" / "revoked.json").write_text("[{")
        node.start()
        refused = node.ssh("true", key=node.person("bob", BOB))
        assert (refused.returncode, b"can't read what was revoked" in refused.stderr) == (255, True)
    finally:
        node.node.close()


def several(node: SshNode, people: tuple[str, ...]) -> Key:
    """A certificate with more than one person in it, which the journal never signs."""
    key = new_key(node.directory / "several")
    line = sshcert.sign(
        node.authority._user_key,
        sshcert.load_key(key.public),
        kind=SSHCertificateType.USER,
        principals=(*people, "role=pact-platform-admin"),
        key_id=names.ssh_key_id(BOB, 8),
        serial=8,
        now=datetime.now(UTC),
        lifetime_s=600,
    )
    key.path.with_name("several-cert.pub").write_text(line + "\n")
    return key


def test_a_node_that_was_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    with placed(tmp_path) as place:
        place.node.node.stop()
        place.revoke("alice@example.org")
        place.node.start()
        place.heard("alice@example.org")
        assert place.status() == 255


def test_a_revoked_agent_says_so_and_is_back_with_a_new_certificate(tmp_path: Path) -> None:
    with placed(tmp_path) as place:
        place.revoke(NODE, "node")
        log = place.node.node.log
        until(lambda: f"the journal refuses this agent: {NODE} {BY}" in log())
        assert "only a new join token brings it back" in log()
        assert place.ask(lambda j: j.node(NODE)).state == "revoked"
        key, request = new_agent_request(NODE)
        enrolled = place.ask(lambda j: j.enroll_agent(NODE, place._join_token(), request), token=None)
        (tmp_path / "p" / "a.key").write_bytes(key)
        (tmp_path / "p" / "a.pem").write_bytes(enrolled.certificate_pem)
        until(lambda: place.ask(lambda j: j.node(NODE)).present)
        assert place.status() == 0, "people's certificates are not the node's"


# -- the list


def one(subject: str, before: int, kind: str = "person") -> Revocation:
    return Revocation(kind, subject, before, "root@org", "2026-01-31T12:00:00.000000Z", seq=7)


class Changes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_nothing_is_ever_taken_off_the_list(tmp_path: Path) -> None:
    path, changes = tmp_path / "config" / "revoked.json", Changes()
    revoked = Revoked(path, changes)
    revoked.arrived([], True)
    assert (revoked.refusal("alice@org", 0), changes.count, path.exists()) == ("", 0, False)
    revoked.arrived([one("alice@org", 100), one("n1", 100, "node")], True)
    assert revoked.refusal("ALICE@org", 99.0).startswith("alice@org was revoked by root@org at 2026-01-31T12:00:00Z")
    assert (revoked.refusal("alice@org", 100.0), revoked.refusal("n1", 0), changes.count) == ("", "", 1)
    for less in ([], [one("alice@org", 50)], [one("alice@org", 100)]):
        Revoked(path, changes).arrived(less, True)
        assert Revoked(path, changes).refusal("alice@org", 99.0)
    assert changes.count == 1
    again = Revoked(path, changes)
    again.arrived([one("alice@org", 200)], False)
    assert Revoked(path, changes).refusal("alice@org", 199.0)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'[{"kind": "person"}]', b"\xff"])
def test_a_list_that_can_not_be_read_counts_for_everybody_until_the_journal_sends_it(
    tmp_path: Path, content: bytes
) -> None:
    path, changes = tmp_path / "revoked.json", Changes()
    path.write_bytes(content)
    revoked = Revoked(path, changes)
    revoked.arrived([one("alice@org", 100)], False)
    assert revoked.refusal("bob@org", 1e9)
    assert path.read_bytes() == content
    revoked.arrived([], True)
    assert (revoked.refusal("bob@org", 1e9), bool(revoked.refusal("alice@org", 99.0))) == ("", True)
    assert Revoked(path, changes).refusal("alice@org", 99.0)


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "config").write_text("no directory")
    revoked = Revoked(tmp_path / "config" / "revoked.json", Changes())
    with caplog.at_level(logging.ERROR):
        revoked.arrived([one("alice@org", 100)], True)
    assert "is not kept" in caplog.text
    assert revoked.refusal("alice@org", 99.0)

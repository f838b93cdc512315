"""Certificates are renewed before they end, by a real journal, and a crash leaves a pair that fits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity
from pact_agent.config import Journal as JournalConfig
from pact_agent.config import Ssh
from pact_agent.renewal import Renewal, mend, replace_pair, tls_life

from pactsh.auth.ca import new_agent_request
from pactsh.errors import UnreachableError
from pactsh.rpc.client import Journal
from tests.pact_agent.sshnode import new_key
from tests.pactsh.journal.site import Site, running


class Later:
    """A clock that is ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return 0.0


class Node:
    """An enrolled node's files, and what renews them."""

    def __init__(self, directory: Path, site: Site) -> None:
        key, request = new_agent_request("node042")
        self.tls = JournalConfig(
            site.server.ready()["agents"], directory / "ca.pem", directory / "agent.pem", directory / "agent.key"
        )
        self.tls.ca.write_bytes(site.ca)
        self.tls.key.write_bytes(key)
        self.tls.cert.write_bytes(site.authority.agent_certificate("node042", request))
        host = new_key(directory / "host")
        self.ssh = Ssh(directory / "user_ca.pub", host.path, directory / "host_cert.pub")
        self.ssh.host_cert.write_text(site.authority.sign_ssh_host(host.public, ("node042", "node042.site")) + "\n")
        self.clock, self.shown = Later(), 0
        self.journal: Journal | None = None

    def open(self) -> Journal:
        return Journal(
            self.tls.endpoint,
            ca=self.tls.ca.read_bytes(),
            cert=self.tls.cert.read_bytes(),
            key=self.tls.key.read_bytes(),
        )

    async def check(self) -> None:
        async with self.open() as journal:

            async def renewed() -> None:
                self.shown += 1

            made = Renewal("node042", self.tls, self.ssh, self.clock, journal=lambda: journal, renewed=renewed)
            await made.check()

    def host_certificate(self) -> SSHCertificate:
        found = load_ssh_public_identity(self.ssh.host_cert.read_bytes().strip())
        assert isinstance(found, SSHCertificate)
        return found


@asynccontextmanager
async def enrolled(directory: Path) -> AsyncIterator[tuple[Node, Site]]:
    files = directory / "node"
    files.mkdir()
    async with running(directory) as site:
        yield Node(files, site), site


def test_in_the_last_third_of_their_life_both_are_renewed(tmp_path: Path) -> None:
    async def go() -> None:
        async with enrolled(tmp_path) as (node, site):
            before = (node.tls.cert.read_bytes(), node.tls.key.read_bytes(), node.host_certificate().serial)
            node.clock.ahead = timedelta(days=1, hours=23)
            await node.check()
            assert (node.tls.cert.read_bytes(), node.shown) == (before[0], 0), "not yet"
            node.clock.ahead = timedelta(days=2, hours=1)
            await node.check()
            assert node.tls.cert.read_bytes() != before[0]
            assert node.tls.key.read_bytes() != before[1], "a new key comes with it"
            assert (node.host_certificate().serial != before[2], node.shown) == (True, 1)
            assert node.host_certificate().valid_principals == [b"node042", b"node042.site"]
            async with node.open() as journal:
                await journal.report_node(vcluster="ml")
            async with site.admin() as admin:
                kinds = [(e.body or {})["kind"] for e in await admin.list(10, type="cert.signed")]
                assert sorted(map(str, kinds)) == ["ssh-host", "tls-agent"]

    asyncio.run(go())


def test_without_a_journal_all_stays_as_it_is(tmp_path: Path) -> None:
    async def go() -> None:
        async with enrolled(tmp_path) as (node, _):
            before = node.tls.cert.read_bytes()
            node.clock.ahead = timedelta(days=2, hours=12)

            def nobody() -> Journal:
                raise UnreachableError("the journal can't be reached")

            async def renewed() -> None:
                raise AssertionError("nothing is renewed")

            with pytest.raises(UnreachableError):
                await Renewal("node042", node.tls, node.ssh, node.clock, journal=nobody, renewed=renewed).check()
            assert node.tls.cert.read_bytes() == before

    asyncio.run(go())


def fits(tls: tuple[Path, Path]) -> bool:
    key = serialization.load_pem_private_key(tls[0].read_bytes(), password=None).public_key()
    return x509.load_pem_x509_certificate(tls[1].read_bytes()).public_key() == key


@pytest.mark.parametrize("after", ["first new file", "both new files", "the key", "both"])
def test_a_crash_in_between_leaves_a_pair_that_fits(tmp_path: Path, after: str) -> None:
    async def go() -> None:
        async with enrolled(tmp_path) as (node, site):
            key, request = new_agent_request("node042")
            certificate = site.authority.agent_certificate("node042", request)
            paths = node.tls.key, node.tls.cert
            new = [path.with_name(path.name + ".renewed") for path in paths]
            if after == "both":
                replace_pair(paths[0], key, paths[1], certificate)
            else:
                new[0].write_bytes(key)
                if after != "first new file":
                    new[1].write_bytes(certificate)
                if after == "the key":
                    new[0].rename(paths[0])
                    assert not fits(paths)
            mend(*paths)
            assert fits(paths)
            assert (paths[0].read_bytes() == key) == (after in {"the key", "both"})
            assert not any(path.exists() for path in new)
            mend(*paths)
            assert tls_life(paths[1])[1] > datetime.now(UTC)

    asyncio.run(go())


def test_another_nodes_request_gives_a_certificate_for_ones_own(tmp_path: Path) -> None:
    """Whatever a request asks for: the name is that of who calls."""

    async def go() -> None:
        async with enrolled(tmp_path) as (_, site), site.agent("node666") as agent:
            made = x509.load_pem_x509_certificate(await agent.renew_agent(new_agent_request("node042")[1]))
            names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["pact://agent/node666"]

    asyncio.run(go())

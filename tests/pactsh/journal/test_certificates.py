"""Certificates over the wire: what is signed, for whom, and that each is an entry."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    load_ssh_public_identity,
)

from pactsh.auth.ca import new_agent_request
from pactsh.errors import AuthError, ForbiddenError
from pactsh.rpc.client import Journal
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import running


def ssh_key() -> str:
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def parsed(line: str) -> SSHCertificate:
    certificate = load_ssh_public_identity(line.encode())
    assert isinstance(certificate, SSHCertificate)
    certificate.verify_cert_signature()
    return certificate


def names(certificate: SSHCertificate) -> list[str]:
    return [name.decode() for name in certificate.valid_principals]


def test_a_user_certificate_is_for_the_caller_and_its_roles(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            token = site.token("alice@example.org", "pact-ops-ml", "pact-viewer-x", lifetime_s=600)
            async with Journal(site.server.endpoint, ca=site.ca, token=token) as journal:
                certificate = parsed(await journal.sign_user(ssh_key(), lifetime_s=86400))
                short = parsed(await journal.sign_user(ssh_key(), lifetime_s=60))
                with pytest.raises(AuthError):
                    await journal.sign_user("not a key")
            assert names(certificate) == ["alice@example.org", "role=pact-ops-ml", "role=pact-viewer-x"]
            assert certificate.valid_before - certificate.valid_after <= 600 + 60
            assert short.valid_before - short.valid_after <= 60 + 60
            assert site.authority.ssh_user_ca.startswith(
                certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
            )
            async with site.admin() as admin:
                entries = await admin.list(type="cert.signed")
            assert [e.author.principal for e in entries] == ["alice@example.org"] * 2
            body = entries[1].body
            assert body is not None
            assert body["kind"] == "ssh-user"
            assert body["principals"] == names(certificate)
            assert body["serial"] == str(certificate.serial)

    asyncio.run(run())


def test_an_identity_without_a_role_gets_no_certificate(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.person("eve@x") as journal:
            with pytest.raises(ForbiddenError, match="no role"):
                await journal.sign_user(ssh_key())

    asyncio.run(run())


def test_a_node_gets_a_host_certificate_for_its_own_names_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.agent("node042") as agent:
            own = parsed(await agent.sign_host(ssh_key(), ["node042", "node042.cluster.example"]))
            assert names(own) == ["node042", "node042.cluster.example"]
            for name in ("node043", "node0421", "login", "10.0.0.1", "*", "node042.*"):
                with pytest.raises(AuthError):
                    await agent.sign_host(ssh_key(), [name])

    asyncio.run(run())


def test_enrolment_is_once_for_one_node_and_recorded(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            join_token = site.server.data.join_tokens().create("node042", "ml")
            key, request = new_agent_request("node042")
            async with site.anonymous() as nobody:
                _, other = new_agent_request("node043")
                for node, token, csr in (
                    ("node043", join_token, other),
                    ("node042", "wrong", request),
                    ("node042", join_token, b"not a request"),
                    ("../etc", join_token, request),
                ):
                    with pytest.raises(AuthError):
                        await nobody.enroll_agent(node, token, csr)
                with pytest.raises(AuthError, match="vCluster"):
                    await nobody.enroll_agent("node042", join_token, request, vcluster="other")
                done = await nobody.enroll_agent("node042", join_token, request, vcluster="ml", ssh_host_key=ssh_key())
                with pytest.raises(AuthError, match="join token"):
                    await nobody.enroll_agent("node042", join_token, request)
                trust = await nobody.trust()
            assert (names(parsed(done.ssh_host_certificate)), done.vcluster) == (["node042"], "ml")
            assert trust == done.trust
            assert trust.ca_pem == site.ca
            endpoint = site.server.agents_endpoint
            async with Journal(endpoint, ca=trust.ca_pem, cert=done.certificate_pem, key=key) as agent:
                await agent.append([draft(1)])
                types = [e.type for e in await agent.list(10, newest_first=False)]
            assert types == ["node.enrolled", "cert.signed", "cert.signed", "intent"]
            async with site.admin() as admin:
                enrolled = await admin.node("node042")
            assert (enrolled.vcluster, enrolled.state) == ("ml", "enrolled")

    asyncio.run(run())


def test_a_foreign_certificate_does_not_get_in(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path / "ours") as site, running(tmp_path / "theirs") as theirs:
            key, request = new_agent_request("node042")
            foreign = theirs.authority.agent_certificate("node042", request)
            for endpoint in (site.server.agents_endpoint, site.server.ready()["unix"]):
                async with Journal(endpoint, ca=site.ca, cert=foreign, key=key, timeout_s=5) as agent:
                    with pytest.raises(Exception, match="journal at") as caught:
                        await agent.append([draft(1)])
                    assert getattr(caught.value, "code", None) in {2, 5}
            async with Journal(site.server.agents_endpoint, ca=site.ca, timeout_s=5) as bare:
                with pytest.raises(Exception, match="journal at"):
                    await bare.trust()

    asyncio.run(run())

"""Revoking over the wire, and ways around it: old tokens and certificates, restarts, what is issued meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pactsh.auth.ca import new_agent_request, utc_now
from pactsh.errors import ApprovalError, AuthError, ForbiddenError, NotFoundError, PactError, PolicyError, UsageError
from pactsh.journal.access import RULES, Need
from pactsh.journal.certificates import CertificatesService
from pactsh.model.revocation import Revocation
from pactsh.rpc.client import Journal
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import ADMIN, Site, running
from tests.pactsh.journal.test_certificates import ssh_key
from tests.pactsh.journal.test_fleet import enrolled
from tests.pactsh.journal.test_service import CALLS, person_draft

ALICE, OPS = "alice@org", "pact-ops-ml"
REVOKED = "was revoked by root@example.org at "
LIMIT_S = 20


@asynccontextmanager
async def site_with_alice(directory: Path, **options: Any) -> AsyncIterator[tuple[Site, str]]:
    """A journal with node042 in it, and a token of Alice's of a second ago."""
    async with running(directory, **options) as site:
        async with site.agent() as agent:
            await agent.append([draft(0, type="agent.start", body={"vcluster": "ml", "ssh_address": "h:1"})])
        yield site, site.token(ALICE, OPS, age_s=1)


def using(site: Site, token: str) -> Journal:
    return Journal(site.server.endpoint, ca=site.ca, token=token)


async def revoke(site: Site, kind: str, subject: str) -> Revocation:
    async with site.admin() as admin:
        made = (await admin.revoke(kind, subject, "laptop stolen")).revocation
    return Revocation(made.kind, made.subject, made.before, made.by, made.time, seq=made.seq)


async def next_second(made: Revocation) -> None:
    """Until what is issued counts again."""
    await asyncio.sleep(max(0.0, made.before - utc_now().timestamp()))


async def refused_everywhere(open_: Callable[[], Journal]) -> None:
    """Every method that asks for a proof refuses that one, whatever it may do otherwise."""
    for name, need in RULES.items():
        if need is Need.ANYONE:
            continue
        async with open_() as journal:
            with pytest.raises(AuthError, match=REVOKED):
                await asyncio.wait_for(CALLS[name](journal), LIMIT_S)


def test_a_persons_tokens_count_no_more_on_any_method_nor_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with site_with_alice(tmp_path) as (site, token):
            other = site.token(ALICE, ADMIN, age_s=30, kind="service")
            async with using(site, token) as alice, using(site, other) as machine:
                await alice.sign_user(ssh_key())
                await machine.list(1)
                made = await revoke(site, "person", "Alice@ORG")
                with pytest.raises(AuthError, match=f"^Alice@ORG {REVOKED}") as caught:
                    await alice.sign_user(ssh_key())
                assert caught.value.hint == "pact login"
                with pytest.raises(AuthError, match=REVOKED):
                    await machine.list(1)
            await refused_everywhere(lambda: using(site, token))
            async with site.person("bob@org", OPS) as bob:
                await bob.sign_user(ssh_key())
            async with site.admin() as admin:
                (entry,) = await admin.list(5, type="revoke")
            assert (entry.author.principal, entry.scope, entry.message) == (
                "root@example.org",
                "global",
                "laptop stolen",
            )
            body = dict(entry.body or {})
            assert (body["kind"], body["subject"]) == ("person", "Alice@ORG")
            assert str(body["before"]) > entry.time
        async with running(tmp_path) as site:
            await refused_everywhere(lambda: using(site, token))
            await next_second(made)
            async with site.person(ALICE, OPS) as alice:
                await alice.sign_user(ssh_key())
                await alice.nodes()

    asyncio.run(run())


def test_open_streams_end_at_once(tmp_path: Path) -> None:
    async def ends(stream: AsyncIterator[Any]) -> None:
        with pytest.raises(AuthError, match=REVOKED):
            async for _ in stream:
                pass

    async def run() -> None:
        async with site_with_alice(tmp_path) as (site, token):
            agent, alice, bob = site.agent(), using(site, token), site.person("bob@org", OPS)
            async with agent, alice, bob:
                mine = [alice.watch(1), alice.watch_policy("ml"), alice.watch_approvals()]
                theirs = [agent.watch(1), agent.watch_policy("ml"), agent.watch_approvals(), agent.watch_revocations()]
                spared = bob.watch_policy("ml")
                await anext(spared)
                for stream in (mine[0], mine[1], theirs[0], theirs[1], theirs[3]):
                    await anext(stream)
                async with agent.open_append() as appending, asyncio.timeout(LIMIT_S):
                    await appending.send([draft(1)])
                    await appending.receive()
                    waiting = [asyncio.ensure_future(ends(stream)) for stream in mine]
                    await asyncio.sleep(0.2)  # the one that has said nothing yet is open as well
                    await revoke(site, "person", ALICE)
                    await asyncio.gather(*waiting)
                    await appending.send([draft(2)])
                    await appending.receive()
                    waiting = [asyncio.ensure_future(ends(stream)) for stream in theirs]
                    await asyncio.sleep(0.2)
                    await revoke(site, "node", "node042")
                    await asyncio.gather(*waiting)
                    with pytest.raises(AuthError, match=REVOKED):
                        await appending.receive()
                async with site.admin() as admin:
                    await admin.append([person_draft(1)])
                assert (await asyncio.wait_for(anext(spared), LIMIT_S)).seq

    asyncio.run(run())


def test_a_nodes_certificates_count_no_more_until_it_is_enrolled_anew(tmp_path: Path) -> None:
    async def run() -> None:
        async with site_with_alice(tmp_path) as (site, _):
            old_token = site.server.data.join_tokens().create("node042", "ml", 86400)
            key, request = new_agent_request("node042")
            async with site.agent() as agent:
                renewed = await agent.renew_agent(request)  # just before
                await revoke(site, "node", "node042")
                with pytest.raises(AuthError, match=f"node042 {REVOKED}") as caught:
                    await agent.renew_agent(request)
                assert "only a new join token brings it back" in caught.value.hint
            endpoint = site.server.agents_endpoint

            def with_renewed() -> Journal:
                return Journal(endpoint, ca=site.ca, cert=renewed, key=key)

            await refused_everywhere(with_renewed)
            async with site.admin() as admin, site.anonymous() as nobody:
                node = await admin.node("node042")
                assert (node.state, node.present) == ("revoked", False)
                with pytest.raises(AuthError, match=REVOKED):
                    await nobody.enroll_agent("node042", old_token, request)
            async with await enrolled(site, "ml") as again:  # within the same second, if need be
                await again.report_node(vcluster="ml", state="COMMITTED")
            async with site.admin() as admin:
                node = await admin.node("node042")
                assert (node.state, node.present) == ("COMMITTED", True)
            await refused_everywhere(with_renewed)
        async with running(tmp_path) as site:
            endpoint = site.server.agents_endpoint
            await refused_everywhere(with_renewed)

    asyncio.run(run())


Step = Callable[[Site], Awaitable[Any]]


async def sign_user(site: Site) -> None:
    async with site.person(ALICE, OPS) as alice:
        await alice.sign_user(ssh_key())


async def sign_host(site: Site) -> None:
    async with site.agent() as agent:
        await agent.sign_host(ssh_key())


async def renew(site: Site) -> None:
    async with site.agent() as agent:
        await agent.renew_agent(new_agent_request("node042")[1])


async def enrol(site: Site) -> None:
    await enrolled(site, "ml")


@pytest.mark.parametrize(
    ("step", "kind", "subject"),
    [
        (sign_user, "person", ALICE),
        (sign_host, "node", "node042"),
        (renew, "node", "node042"),
        (enrol, "node", "node042"),
    ],
)
def test_what_is_signed_meanwhile_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Step, kind: str, subject: str
) -> None:
    """Its own date may be after the revocation's; here it is revoked when the certificate's entry is being kept."""
    record = CertificatesService._record

    async def run() -> None:
        async with site_with_alice(tmp_path) as (site, _):

            async def recorded(*args: Any) -> None:
                await record(*args)
                await revoke(site, kind, subject)

            await step(site)
            monkeypatch.setattr(CertificatesService, "_record", recorded)
            with pytest.raises(AuthError, match=REVOKED):
                await step(site)

    asyncio.run(run())


def test_admins_revoke_themselves_too(tmp_path: Path) -> None:
    """The answer comes; the token that asked counts no more."""

    async def run() -> None:
        async with running(tmp_path) as site, site.admin() as admin:
            made = await admin.revoke("person", "root@example.org", "laptop stolen")
            assert (made.revocation.subject, made.known) == ("root@example.org", False)
            with pytest.raises(AuthError, match=REVOKED):
                await admin.nodes()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "subject", "message", "error"),
    [
        ("person", ALICE, " \n", UsageError),
        ("host", ALICE, "x", UsageError),
        ("person", "", "x", AuthError),
        ("person", "agent:node042", "x", AuthError),
        ("person", "role=pact-ops-ml", "x", AuthError),
        ("node", "NODE042", "x", AuthError),
        ("node", "node043", "x", NotFoundError),
    ],
)
def test_what_can_not_be_revoked(tmp_path: Path, kind: str, subject: str, message: str, error: type[PactError]) -> None:
    async def run() -> None:
        async with site_with_alice(tmp_path) as (site, _), site.admin() as admin:
            with pytest.raises(error):
                await admin.revoke(kind, subject, message)
            assert await admin.list(5, type="revoke") == []

    asyncio.run(run())


def test_nobody_appends_a_revocation_by_themselves(tmp_path: Path) -> None:
    body = {"kind": "person", "subject": "root@example.org", "before": "2099-01-01T00:00:00.000000Z"}

    async def run() -> None:
        async with site_with_alice(tmp_path) as (site, _):
            async with site.agent() as agent:
                with pytest.raises(ForbiddenError):
                    await agent.append([draft(5, type="revoke", body=body)])
            async with site.admin() as admin:
                with pytest.raises(ForbiddenError):
                    await admin.append([draft(5, type="revoke", scope="global", body=body)])

    asyncio.run(run())


MODULE = """package pact.authz

import rego.v1

deny contains "not on Sundays" if {
    input.action == "revoke"
    input.params.subject == "alice@org"
}

approval_required if {
    input.action == "revoke"
    input.scope.vcluster == "ml"
}
"""


def test_the_sites_own_rules_are_asked(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "site.rego").write_text(MODULE)

    async def run() -> None:
        async with site_with_alice(tmp_path, policy={"modules": tmp_path / "rules"}) as (site, token):
            async with site.admin() as admin:
                with pytest.raises(PolicyError, match="revoke: not on Sundays"):
                    await admin.revoke("person", ALICE, "x")
                with pytest.raises(ApprovalError, match="waits for nobody"):
                    await admin.revoke("node", "node042", "x")
                await admin.revoke("person", "bob@org", "x")
                assert len(await admin.list(5, type="revoke")) == 1
            async with using(site, token) as alice:
                await alice.sign_user(ssh_key())

    asyncio.run(run())


def test_an_agent_is_told_all_and_then_each(tmp_path: Path) -> None:
    async def told(site: Site, count: int) -> list[str]:
        found: list[str] = []
        async with site.agent() as agent, asyncio.timeout(LIMIT_S):
            async for revocations, whole in agent.watch_revocations():
                found += [one.subject for one in revocations] + ([] if not whole else ["(all)"])
                assert all(one.message == "" and one.by == "root@example.org" for one in revocations)
                if found[-1:] == ["(all)"] and count:
                    asyncio.ensure_future(revoke(site, "person", f"p{count}@org"))  # noqa: RUF006  ends with the loop
                if len(found) > count:
                    break
        return found

    async def run() -> None:
        async with site_with_alice(tmp_path) as (site, _):
            assert await told(site, 0) == ["(all)"]
            assert await told(site, 1) == ["(all)", "p1@org"]
            await revoke(site, "node", "node042")
        async with running(tmp_path) as site, site.agent("node043") as agent, asyncio.timeout(LIMIT_S):
            revocations, _ = await anext(agent.watch_revocations())
            assert [one.subject for one in revocations] == ["p1@org", "node042"]

    asyncio.run(run())

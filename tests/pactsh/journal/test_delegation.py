"""Delegation at the journal: who may have lattice and OpenCHAMI do what, on record before and after, once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pactsh.auth.ca import new_agent_request
from pactsh.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, PactError, PolicyError, UsageError
from pactsh.journal.config import PolicyConfig
from pactsh.journal.systems import LatticeConfig
from pactsh.model.approval import Approval
from pactsh.rpc.client import Journal
from tests.lattice import LatticeServer
from tests.pactsh.journal.site import ADMIN, Site, running
from tests.pactsh.journal.test_approvals import enrolled, set_policy

OPS = "pact-ops-ml"
ALICE, BOB = ("alice@org", OPS), ("bob@org", OPS)
NODES = ("node042", "node043")
DEADLINE_S = 30


@asynccontextmanager
async def site(directory: Path, **options: Any) -> AsyncIterator[Site]:
    """A journal with two nodes in `ml` and one in `other`."""
    async with running(directory, **options) as found:
        for node in NODES:
            await enrolled(found, node)
        await enrolled(found, "node900", "other")
        yield found


def ran(directory: Path, go: Callable[[Site], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        async with site(directory, **options) as found:
            await go(found)

    asyncio.run(whole())


def facts(**values: object) -> bytes:
    return json.dumps(values).encode()


async def entries(found: Site, kind: str) -> list[dict[str, Any]]:
    async with found.admin() as admin:
        return [
            {"scope": e.scope, "by": e.author.principal, "message": e.message, **(e.body or {})}
            for e in await admin.list(100, type=kind, newest_first=False)
        ]


# -- who may


MAY: dict[str, tuple[tuple[str, ...], str, list[str], str, type[PactError] | None]] = {
    "ops drains": (ALICE, "drain", ["node042"], "", None),
    "ops drains both": (ALICE, "drain", ["node042", "node043"], "", None),
    "regulated reboots": (("rita@org", "pact-regulated-ml"), "reboot", ["node042"], "", None),
    "admin, a node nobody enrolled": (("root@org", ADMIN), "cordon", ["node777"], "", None),
    "ops, a node nobody enrolled": (ALICE, "cordon", ["node777"], "", ForbiddenError),
    "ops, another vCluster's node": (ALICE, "cordon", ["node900"], "", ForbiddenError),
    "ops, one of them another's": (ALICE, "cordon", ["node042", "node900"], "", ForbiddenError),
    "ops of both": (("o@org", OPS, "pact-ops-other"), "cordon", ["node042", "node900"], "", None),
    "viewer": (("v@org", "pact-viewer-ml"), "drain", ["node042"], "", ForbiddenError),
    "machine": (("ai@org", "pact-service-ai"), "drain", ["node042"], "", ForbiddenError),
    "service": (("bot@org", "pact-service-agent"), "drain", ["node042"], "", ForbiddenError),
    "no role": (("eve@org",), "drain", ["node042"], "", ForbiddenError),
    "ops, a job of theirs": (ALICE, "job_cancel", ["j1"], "ml", None),
    "ops, a job of another's": (ALICE, "job_cancel", ["j1"], "other", ForbiddenError),
    "ops, a job of a vCluster that pact has not": (ALICE, "job_cancel", ["j1"], "nobodys", ForbiddenError),
    "ops of a vCluster that pact has not": (("x@org", "pact-ops-new"), "job_cancel", ["j1"], "new", ForbiddenError),
    "admin, a job of none": (("root@org", ADMIN), "job_cancel", ["j1"], "", None),
    "ops, a backup": (ALICE, "backup_create", ["/b"], "", ForbiddenError),
    "ops, a backup as if it were their vCluster's": (ALICE, "backup_create", ["/b"], "ml", ForbiddenError),
    "ops, a restore": (ALICE, "backup_restore", ["/b"], "ml", ForbiddenError),
    "admin, a restore": (("root@org", ADMIN), "backup_restore", ["/b"], "", None),
    "no such thing": (ALICE, "format", ["node042"], "", UsageError),
    "on nothing": (ALICE, "drain", [], "", UsageError),
    "twice the same": (ALICE, "drain", ["node042", "node042"], "", UsageError),
    "no node's name": (("root@org", ADMIN), "drain", ["../node042"], "", UsageError),
    "two lines": (("root@org", ADMIN), "backup_create", ["/a\n/b"], "", UsageError),
    "empty": (("root@org", ADMIN), "backup_create", [""], "", UsageError),
    "viewer reads": (("v@org", "pact-viewer-ml"), "lattice_read", [], "ml", None),
    "viewer reads what is in none": (("v@org", "pact-viewer-ml"), "lattice_read", [], "", None),
    "viewer reads another's": (("v@org", "pact-viewer-ml"), "lattice_read", [], "other", ForbiddenError),
    "no role reads": (("eve@org",), "lattice_read", [], "", ForbiddenError),
}


@pytest.mark.parametrize("case", MAY)
def test_who_may_have_what_done(tmp_path: Path, case: str) -> None:
    who, action, targets, vcluster, refusal = MAY[case]

    async def go(found: Site) -> None:
        async with found.person(*who) as caller:
            if refusal is not None:
                with pytest.raises(PactError) as caught:
                    await caller.begin_delegation(action, targets, vcluster=vcluster)
                assert type(caught.value) is refusal, caught.value.message
                assert await entries(found, "delegation.begun") == []
                return
            begun = await caller.begin_delegation(action, targets, vcluster=vcluster, facts=facts(reason="fan"))
            assert (begun.principal, begun.approval_needed) == (who[0], False)
        kept = await entries(found, "delegation.begun")
        assert [(e["action"], e["target"], e["by"]) for e in kept] == (
            [] if action == "lattice_read" else [(action, name, who[0]) for name in targets]
        )
        assert bool(begun.id) == bool(kept)

    ran(tmp_path, go)


def test_an_agent_may_not(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.agent() as agent:
            with pytest.raises(AuthError):
                await agent.begin_delegation("drain", ["node042"])

    ran(tmp_path, go)


def test_a_dry_run_leaves_nothing(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            assert not (await alice.begin_delegation("drain", ["node042"], dry_run=True)).id
        assert await entries(found, "delegation.begun") == []

    ran(tmp_path, go)


def test_facts_that_are_too_many_or_none(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            for wrong in (b"[]", b"{", facts(reason="x" * 70_000)):
                with pytest.raises(UsageError):
                    await alice.begin_delegation("drain", ["node042"], facts=wrong)

    ran(tmp_path, go)


# -- on record


def test_what_came_of_it_is_on_record_once(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            given = facts(reason="fan", id="forged", action="x", target="x", approval="ap-1", approved_by="bob@org")
            begun = await alice.begin_delegation("drain", list(NODES), facts=given)
            with pytest.raises(ForbiddenError):
                await bob.end_delegation(begun.id, "node042", status=0, answer="mine")
            with pytest.raises(NotFoundError):
                await alice.end_delegation(begun.id, "node900", status=0, answer="x")
            seq = await alice.end_delegation(begun.id, "node042", status=0, answer="Drained", details=b'{"jobs":0}')
            again = await alice.end_delegation(begun.id, "node042", status=0, answer="Drained")
            assert again == seq
            with pytest.raises(ConflictError, match="on record"):
                await alice.end_delegation(begun.id, "node042", status=1, answer="no, it failed")
            await alice.end_delegation(begun.id, "node043", status=5, answer="lattice is down")
        kept = await entries(found, "delegation.begun")
        assert [(e["scope"], e["id"], e["action"], e["reason"]) for e in kept] == [
            (f"node:{name}", begun.id, "drain", "fan") for name in NODES
        ]
        assert not any("approved_by" in entry or "approval" in entry for entry in kept)
        done = await entries(found, "delegation.done")
        assert [(e["scope"], e["target"], e["status"], e["message"]) for e in done] == [
            ("node:node042", "node042", 0, "Drained"),
            ("node:node043", "node043", 5, "lattice is down"),
        ]
        assert done[0]["details"] == {"jobs": 0}

    ran(tmp_path, go)


# -- two persons


async def ask(alice: Journal, action: str, targets: list[str], **values: object) -> Approval:
    operation = {"message": "fan", "body": {"action": action, "targets": targets, "facts": values}}
    return await alice.request_approval("delegate", json.dumps(operation).encode(), "fan", scope="vcluster:ml")


async def until(journal: Journal, id_: str, state: str) -> Approval:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            (found,) = await journal.approvals(id_=id_)
            if found.state == state:
                return found
            await asyncio.sleep(0.05)


def test_nothing_is_begun_before_a_second_person_agrees_and_then_once_by_who_asked(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        await set_policy(found, two_person_approval=True)
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            begun = await alice.begin_delegation("reboot", ["node042"])
            assert (begun.approval_needed, begun.vcluster, begun.by_journal, begun.id) == (True, "ml", False, "")
            assert await entries(found, "delegation.begun") == []
            approval = await ask(alice, "reboot", ["node042"], force=True)
            given = facts(force=True)
            with pytest.raises(ConflictError, match="pending"):
                await alice.begin_delegation("reboot", ["node042"], facts=given, approval=approval.id)
            with pytest.raises(ForbiddenError):
                await alice.decide_approval(approval.id, approve=True)
            await bob.decide_approval(approval.id, approve=True)
            for wrong in (
                bob.begin_delegation("reboot", ["node042"], facts=given, approval=approval.id),
                alice.begin_delegation("reimage", ["node042"], facts=given, approval=approval.id),
                alice.begin_delegation("reboot", ["node043"], facts=given, approval=approval.id),
                alice.begin_delegation("reboot", ["node042"], approval=approval.id),
            ):
                with pytest.raises((ConflictError, ForbiddenError)):
                    await wrong
            begun = await alice.begin_delegation("reboot", ["node042"], facts=given, approval=approval.id)
            with pytest.raises(ConflictError, match="begun already"):
                await alice.begin_delegation("reboot", ["node042"], facts=given, approval=approval.id)
            await alice.end_delegation(begun.id, "node042", status=0, answer="Rebooted")
            over = await until(bob, approval.id, "done")
            assert (over.status, over.message) == (0, "Rebooted")
            with pytest.raises(ConflictError, match="done"):
                await alice.begin_delegation("reboot", ["node042"], facts=given, approval=approval.id)
        (kept,) = await entries(found, "delegation.begun")
        assert (kept["by"], kept["approval"], kept["approved_by"]) == ("alice@org", approval.id, "bob@org")

    ran(tmp_path, go)


def test_the_same_begun_by_two_at_once_is_begun_once(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        await set_policy(found, two_person_approval=True)
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            approval = await ask(alice, "reboot", ["node042"])
            await bob.decide_approval(approval.id, approve=True)
            calls = [alice.begin_delegation("reboot", ["node042"], approval=approval.id) for _ in range(5)]
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(result, BaseException) for result in results) == 1
        assert len(await entries(found, "delegation.begun")) == 1

    ran(tmp_path, go)


@pytest.mark.parametrize(
    ("who", "action", "targets", "refusal"),
    [
        (("vera@org", "pact-viewer-ml"), "reboot", ["node042"], ForbiddenError),
        (ALICE, "reboot", ["node042", "node900"], UsageError),
        (("o@org", OPS, "pact-ops-other"), "reboot", ["node900"], UsageError),
        (ALICE, "backup_restore", ["/b"], ForbiddenError),
        (ALICE, "format", ["node042"], UsageError),
        (ALICE, "reboot", [], UsageError),
    ],
)
def test_what_may_not_be_asked_for(
    tmp_path: Path, who: tuple[str, ...], action: str, targets: list[str], refusal: type[PactError]
) -> None:
    async def go(found: Site) -> None:
        async with found.person(*who) as caller:
            with pytest.raises(refusal):
                await ask(caller, action, targets)
            assert await caller.approvals() == []

    ran(tmp_path, go)


def test_a_request_that_is_no_delegation_is_refused(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            for operation in (b"{}", b'{"body":{}}', b'{"body":{"action":"drain","targets":[1],"facts":{}}}'):
                with pytest.raises(UsageError):
                    await alice.request_approval("delegate", operation, "x", scope="vcluster:ml")

    ran(tmp_path, go)


def test_what_has_moved_to_another_vcluster_since_is_not_begun(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        await set_policy(found, two_person_approval=True)
        both = ("olga@org", OPS, "pact-ops-other")
        async with found.person(*both) as olga, found.person(*BOB) as bob:
            approval = await ask(olga, "drain", ["node042"])
            await bob.decide_approval(approval.id, approve=True)
            await moved(found, "node042", "other")
            with pytest.raises(ConflictError, match="not in vcluster ml any more"):
                await olga.begin_delegation("drain", ["node042"], approval=approval.id)

    ran(tmp_path, go)


async def moved(found: Site, node: str, vcluster: str) -> None:
    """Enrolled anew, in another vCluster."""
    token = found.server.data.join_tokens().create(node, vcluster, 60)
    async with found.anonymous() as anybody:
        await anybody.enroll_agent(node, token, new_agent_request(node)[1], vcluster=vcluster)


def test_a_denied_one_is_not_begun(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            approval = await ask(alice, "drain", ["node042"])
            await bob.decide_approval(approval.id, approve=False, reason="not now")
            with pytest.raises(ConflictError, match="denied"):
                await alice.begin_delegation("drain", ["node042"], approval=approval.id)

    ran(tmp_path, go)


# -- done by the journal


def lattice_config(lattice: LatticeServer) -> LatticeConfig:
    return LatticeConfig(endpoint=lattice.endpoint)


def test_the_journal_does_it_though_everybody_has_gone(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        await set_policy(found, two_person_approval=True)
        async with found.person(*ALICE) as alice:
            assert (await alice.begin_delegation("cordon", ["node042"])).by_journal
            assert not (await alice.begin_delegation("reboot", ["node042"])).by_journal
            approval = await ask(alice, "cordon", ["node042", "node043"], reason="fan")
        async with found.person(*BOB) as bob:
            await bob.decide_approval(approval.id, approve=True)
        async with found.person(*ALICE) as alice:
            over = await until(alice, approval.id, "done")
            with pytest.raises(ConflictError):
                await alice.begin_delegation(
                    "cordon", ["node042", "node043"], facts=facts(reason="fan"), approval=approval.id
                )
        assert over.status == 1  # one of them lattice does not know
        assert "node043: lattice does not know this node" in over.message
        assert (lattice.node("node042").state, lattice.node("node042").state_reason) == ("down", "fan")
        assert lattice.called("DisableNode") == ["DisableNode"]
        assert {sent.get("x-lattice-user") for name, sent in lattice.calls if "Disable" in name} == {"alice@org"}
        done = await entries(found, "delegation.done")
        assert [(e["target"], e["status"], e["by"], e["approved_by"]) for e in done] == [
            ("node042", 0, "alice@org", "bob@org"),
            ("node043", 1, "alice@org", "bob@org"),
        ]

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        ran(tmp_path, go, lattice=lattice_config(lattice))


def test_what_was_approved_before_a_restart_is_done_after_it_and_what_was_begun_is_told(tmp_path: Path) -> None:
    async def before(lattice: LatticeServer) -> tuple[str, str]:
        async with site(tmp_path, lattice=lattice_config(lattice)) as found:
            await set_policy(found, two_person_approval=True)
            async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
                gentle = await ask(alice, "drain", ["node042"])
                job = await ask(alice, "job_cancel", [job_id])
                for approval in (gentle, job):
                    await bob.decide_approval(approval.id, approve=True)
                async with asyncio.timeout(DEADLINE_S):
                    while len(await entries(found, "delegation.begun")) < 2:
                        await asyncio.sleep(0.02)
            return gentle.id, job.id

    async def after(lattice: LatticeServer, gentle: str, job: str) -> None:
        async with running(tmp_path, lattice=lattice_config(lattice)) as found, found.admin() as admin:
            over = await until(admin, gentle, "done")
            assert over.status == 0
            assert lattice.node("node042").state == "drained"
            over = await until(admin, job, "done")
            assert (over.status, "is not known" in over.message) == (5, True)

    with LatticeServer(delay_s=1.5) as slow:  # the journal ends before lattice has answered
        slow.add_node("node042")
        job_id = slow.add_job()
        ids = asyncio.run(before(slow))
    with LatticeServer() as lattice:
        lattice.add_node("node042")
        asyncio.run(after(lattice, *ids))
        assert "Cancel" not in lattice.called()


def test_rego_refuses_with_its_reason_and_asks_for_a_second_person(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "jobs.rego").write_text(
        """package pact.authz
import rego.v1
deny contains "not on Fridays" if input.action == "reimage"
approval_required if { input.action == "reboot"; count(input.params.jobs) > 0 }
"""
    )

    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            with pytest.raises(PolicyError, match="not on Fridays"):
                await alice.begin_delegation("reimage", ["node042"])
            busy = facts(jobs=[{"id": "1"}])
            assert (await alice.begin_delegation("reboot", ["node042"], facts=busy)).approval_needed
            assert (await alice.begin_delegation("reboot", ["node042"], facts=facts(jobs=[]))).id

    ran(tmp_path, go, policy=PolicyConfig(modules=modules))


def test_the_documents_example_does_what_it_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    (module,) = [block for block in re.findall(r"```rego\n(.*?)```", text, flags=re.DOTALL) if "reimage" in block]
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "example.rego").write_text(module)

    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            busy = facts(jobs=[{"id": "1"}])
            assert (await alice.begin_delegation("reboot", ["node042"], facts=busy)).approval_needed
            assert (await alice.begin_delegation("drain", ["node042"], facts=busy)).id
            assert (await alice.begin_delegation("reboot", ["node042"], facts=facts(jobs=[]))).id

    ran(tmp_path, go, policy=PolicyConfig(modules=modules))

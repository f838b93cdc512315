"""Deeds that a second person has to agree to: asked for, agreed to, and begun once by who asked for them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pactsh.auth.ca import new_agent_request
from pactsh.delegates.deeds import Systems
from pactsh.errors import ConflictError, ForbiddenError, PactError, PolicyError, UsageError
from pactsh.journal.approvals import ApprovalsService
from pactsh.journal.config import PolicyConfig
from pactsh.journal.deeds import Deeds
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger
from pactsh.journal.projections import Projections
from pactsh.journal.service import JournalService
from pactsh.model.approval import Approval
from pactsh.rpc.client import Journal
from tests.pactsh.journal.site import ADMIN, Site
from tests.pactsh.journal.test_approvals import set_policy
from tests.pactsh.journal.test_delegation import ALICE, BOB, DEADLINE_S, OPS, entries, facts, ran

LATER = {"in time": 30 + 4, "too late": 30 + 6, "long after": 30 + 5 + 24 * 60 + 1}
"""Minutes after asking: a policy gives half an hour, and five minutes after that nothing is begun any more."""


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
        (ALICE, "lattice_read", ["x"], UsageError),
        (("vera@org", "pact-viewer-ml"), "lattice_read", ["x"], UsageError),
        (("ai@org", "pact-service-ai"), "lattice_read", ["x"], UsageError),
        (("root@org", ADMIN), "backup_verify", ["/b"], UsageError),
        (("ai@org", "pact-service-ai"), "drain", ["node042"], ForbiddenError),
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
            with pytest.raises(UsageError, match="more than"):
                await ask(alice, "drain", ["node042"], reason="x" * 70_000)

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


@asynccontextmanager
async def as_of(ledger: Ledger, minutes: int, systems: Systems) -> AsyncIterator[ApprovalsService]:
    """What looks after approvals, with a clock that is ahead."""
    views, judge = Projections(), Judge(None)
    await views.catch_up(ledger.store)
    ahead = timedelta(minutes=minutes)
    later = ApprovalsService(
        ledger, views, JournalService(ledger, views, judge), judge,
        deeds=Deeds(ledger, views, judge), systems=systems, clock=lambda: datetime.now(UTC) + ahead,
    )  # fmt: skip
    task = asyncio.create_task(later.run())
    try:
        yield later
    finally:
        task.cancel()
        await asyncio.wait([task])
        await later.delegated.close()


@pytest.mark.parametrize("begun", [False, True], ids=["not begun", "begun"])
@pytest.mark.parametrize("when", LATER)
def test_what_nobody_comes_back_for_ends_by_itself(tmp_path: Path, when: str, begun: bool) -> None:
    text = "has not told" if begun else "did not come back for it in time"
    is_over = when == "long after" or (when == "too late" and not begun)

    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            approval = await ask(alice, "reboot", ["node042"])
            await bob.decide_approval(approval.id, approve=True)
            if begun:
                await alice.begin_delegation("reboot", ["node042"], approval=approval.id)
            async with as_of(found.server.ledger, LATER[when], Systems()) as later:
                if not is_over:
                    await later.delegated.look_at((await bob.approvals(id_=approval.id))[0])
                    assert (await bob.approvals(id_=approval.id))[0].state == "approved"
                    return
                over = await until(bob, approval.id, "done")
            assert (over.status, text in over.message) == (5, True)
            with pytest.raises(ConflictError, match="is done, not approved"):
                await alice.begin_delegation("reboot", ["node042"], approval=approval.id)

    ran(tmp_path, go)


def test_two_who_approve_at_once_have_it_done_once(tmp_path: Path) -> None:
    carol = ("carol@org", OPS)

    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob, found.person(*carol) as third:
            approval = await ask(alice, "reboot", ["node042"])
            both = [person.decide_approval(approval.id, approve=True) for person in (bob, third)]
            results = await asyncio.gather(*both, return_exceptions=True)
            assert sum(isinstance(result, Approval) for result in results) == 1
            assert sum(isinstance(result, ConflictError) for result in results) == 1
            begun = await alice.begin_delegation("reboot", ["node042"], approval=approval.id)
            await alice.end_delegation(begun.id, "node042", status=0, answer="Rebooted")
            assert (await until(bob, approval.id, "done")).by in {"bob@org", "carol@org"}
        assert len(await entries(found, "approval.approved")) == 1

    ran(tmp_path, go)


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

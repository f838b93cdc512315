"""Two-person approval at the journal: who may ask, who may decide, once, in time, and what is executed there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pactsh.errors import (
    ApprovalError,
    AuthError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PactError,
    UsageError,
)
from pactsh.journal.approvals import ApprovalsService
from pactsh.journal.fleet import FleetService
from pactsh.journal.gate import Caller
from pactsh.journal.judging import Judge
from pactsh.journal.projections import Projections
from pactsh.journal.service import JournalService
from pactsh.model.approval import Approval
from pactsh.model.entry import Author, Draft, JsonObject
from pactsh.model.identity import Identity
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.client import Journal
from tests.pactsh.journal.site import ADMIN, Site, running

OPS = "pact-ops-ml"
ALICE = json.dumps({"principal": "alice@org", "roles": [OPS], "kind": "human"}).encode()
DEADLINE_S = 30


async def enrolled(site: Site, node: str = "node042", vcluster: str = "ml") -> None:
    """The node is in the vCluster, as the journal knows it."""
    async with site.agent(node) as agent:
        draft = Draft(
            f"agent:{node}:1", 1, "2026-01-31T12:00:00.000000Z", "agent.start", f"node:{node}",
            Author(f"agent:{node}", (), "agent"), body={"vcluster": vcluster},
        )  # fmt: skip
        await agent.append([draft])


async def set_policy(site: Site, version: int = 1, **keys: object) -> None:
    async with site.admin() as admin:
        await admin.append([policy_draft(version, **keys)])


def policy_draft(version: int, **keys: object) -> Draft:
    who = "root@example.org"
    body: JsonObject = {"policy": {"vcluster": "ml", "version": version, **keys}}  # type: ignore[dict-item]
    return Draft(
        f"user:{who}:{version}", version, "2026-01-31T12:00:00.000000Z", "policy.updated", "vcluster:ml",
        Author(who, (ADMIN,), "human"), message=f"version {version}", body=body,
    )  # fmt: skip


async def asked(site: Site, summary: str = "add hugepages") -> Approval:
    async with site.agent() as agent:
        return await agent.request_approval("commit", b'{"method":"commit"}', summary, requester=ALICE)


@asynccontextmanager
async def pending(directory: Path) -> AsyncIterator[tuple[Site, Approval]]:
    async with running(directory) as site:
        await enrolled(site)
        yield site, await asked(site)


def test_it_is_seen_by_whom_it_concerns(tmp_path: Path) -> None:
    async def go() -> None:
        async with pending(tmp_path) as (site, approval):
            assert (approval.state, approval.scope, approval.vcluster) == ("pending", "node:node042", "ml")
            assert approval.requester.principal == "alice@org"
            left = datetime.fromisoformat(approval.expires) - datetime.now(UTC)
            assert timedelta(minutes=29) < left <= timedelta(minutes=30)
            async with site.person("bob@org", OPS) as bob, site.person("eve@org", "pact-ops-other") as eve:
                assert [a.id for a in await bob.approvals()] == [approval.id]
                assert await eve.approvals() == []
                with pytest.raises(NotFoundError):
                    await eve.decide_approval(approval.id, approve=True)

    asyncio.run(go())


DECIDERS = {
    "requester": (("alice@org", OPS), ForbiddenError),
    "requester in capitals": (("ALICE@org", OPS), ForbiddenError),
    "requester as admin": (("alice@org", ADMIN), ForbiddenError),
    "viewer": (("vera@org", "pact-viewer-ml"), ForbiddenError),
    "machine": (("bot@org", "pact-service-ai"), ForbiddenError),
    "reader": (("bot@org", "pact-service-agent"), ForbiddenError),
    "no role": (("eve@org",), ForbiddenError),
    "operations": (("bob@org", OPS), None),
    "regulated": (("rita@org", "pact-regulated-ml"), None),
    "admin": (("root@org", ADMIN), None),
}


@pytest.mark.parametrize("who", DECIDERS)
@pytest.mark.parametrize("approve", [True, False], ids=["approve", "deny"])
def test_who_may_decide(tmp_path: Path, who: str, approve: bool) -> None:
    (principal, *roles), refused = DECIDERS[who]

    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.person(principal, *roles) as decider:
            if refused is not None:
                with pytest.raises(refused) as raised:
                    await decider.decide_approval(approval.id, approve=approve, reason="x")
                assert raised.value.code == 2
                return
            decided = await decider.decide_approval(approval.id, approve=approve, reason="x")
            assert (decided.state, decided.by) == ("approved" if approve else "denied", principal)

    asyncio.run(go())


def test_what_was_asked_for_before_its_requester_was_revoked_is_not_done(tmp_path: Path) -> None:
    """Whoever had stolen the laptop has asked for it."""

    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.person("bob@org", OPS) as bob:
            async with site.admin() as admin:
                before = (await admin.revoke("person", "Alice@org", "laptop stolen")).revocation.before
            with pytest.raises(ConflictError, match=r"Alice@org was revoked by .*, after asking"):
                await bob.decide_approval(approval.id, approve=True)
            assert (await bob.decide_approval(approval.id, approve=False, reason="no")).state == "denied"
            await asyncio.sleep(max(0.0, before - datetime.now(UTC).timestamp()))
            again = await asked(site)
            assert (await bob.decide_approval(again.id, approve=True)).state == "approved"

    asyncio.run(go())


def test_an_agent_decides_nothing_and_asks_for_its_own_node(tmp_path: Path) -> None:
    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.agent() as agent, site.agent("node666") as other:
            with pytest.raises(ForbiddenError):
                await agent.decide_approval(approval.id, approve=True)
            with pytest.raises(ForbiddenError):
                await other.request_approval("commit", b"{}", "x", requester=ALICE)
            with pytest.raises(ForbiddenError):
                await agent.request_approval("policy_update", b"{}", "x", scope="vcluster:ml", requester=ALICE)
            assert [a.id for a in await agent.approvals()] == [approval.id]
            assert await other.approvals() == []

    asyncio.run(go())


def who(**keys: object) -> bytes:
    return json.dumps({"principal": "alice@org", "roles": [OPS], "kind": "human"} | keys).encode()


UNFIT: dict[str, tuple[str, bytes, bytes, str]] = {
    "no action": ("", b"{}", ALICE, "action '': expected one of blacklist, commit"),
    "unknown action": ("reboot", b"{}", ALICE, "action 'reboot'"),
    "no requester": ("commit", b"{}", b"", "requester: missing"),
    "requester is no object": ("commit", b"{}", b"[]", "requester: expected an object"),
    "requester without a name": ("commit", b"{}", who(principal=""), "requester: expected a principal"),
    "requester of blanks": ("commit", b"{}", who(principal="  "), "requester: expected a principal"),
    "requester with a number": ("commit", b"{}", who(principal=7), "requester: Expected `str`"),
    "requester with more": ("commit", b"{}", who(admin=True), "requester: Object contains unknown field"),
    "requester is an agent": ("commit", b"{}", who(kind="agent"), "kind of human or service"),
    "requester is unheard of": ("commit", b"{}", who(kind="god"), "kind of human or service"),
    "name without end": ("commit", b"{}", who(principal="x" * 257), "requester: not a usable principal name"),
    "called like an agent": ("commit", b"{}", who(principal="agent:node042"), "requester: not a usable"),
    "called like the journal": ("commit", b"{}", who(principal="journal:approval"), "requester: not a usable"),
    "roles without end": ("commit", b"{}", who(roles=["x" * 20_000]), "requester: more than 16384 bytes"),
    "no operation": ("commit", b"", ALICE, "operation: missing"),
    "operation without end": ("commit", b'{"a":"' + b"x" * (950 << 10) + b'"}', ALICE, "operation: more than"),
    "operation of great depth": ("commit", b'{"a":' * 70 + b"1" + b"}" * 70, ALICE, "operation: nested deeper than 64"),
    "operation of more depth": ("commit", b'{"a":' * 978 + b"1" + b"}" * 978, ALICE, "operation: n"),
    "operation of no number": ("commit", b'{"a":NaN}', ALICE, "operation: not JSON"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_an_agent_asks_for_is_something_and_for_somebody(tmp_path: Path, case: str) -> None:
    action, operation, requester, why = UNFIT[case]

    async def go() -> None:
        async with running(tmp_path) as site:
            await enrolled(site)
            async with site.agent() as agent, site.admin() as admin:
                with pytest.raises(UsageError, match=re.escape(why)):
                    await agent.request_approval(action, operation, "x", requester=requester)
                assert await admin.approvals() == []
                service = await agent.request_approval("exec", b"{}", "x", requester=who(kind="service"))
                assert service.requester.kind == "service"

    asyncio.run(go())


def test_an_id_that_was_drawn_before_is_drawn_again(tmp_path: Path) -> None:
    """With four digits, and requests kept for ever, one in six has one that is taken after 10,000."""

    async def go() -> None:
        async with pending(tmp_path) as (site, first):
            ledger, views, judge = site.server.ledger, Projections(), Judge(None)
            drawn = ["nonce", first.id.removeprefix("ap-"), "beef"]
            approvals = ApprovalsService(
                ledger, views, JournalService(ledger, views, judge), judge, token=lambda _size: drawn.pop(0)
            )
            agent = Caller(Identity("agent:node042", (), "agent", "tls"), None, "")
            request = pb.ApprovalRequest(action="exec", operation=b"{}", summary="second", requester=ALICE)
            assert json.loads((await approvals.request(agent, request)).json)["id"] == "ap-beef"
            async with site.admin() as admin:
                assert [a.summary for a in await admin.approvals()] == [first.summary, "second"]

    asyncio.run(go())


def test_nobody_keeps_others_from_asking(tmp_path: Path) -> None:
    """Though asking for 60 things at the same moment, in small letters and in capitals."""

    async def go() -> None:
        async with running(tmp_path) as site:
            await enrolled(site)
            async with site.agent() as agent, site.person("bob@org", OPS) as bob:
                names = [who(principal="Alice@org" if number % 2 else "alice@org") for number in range(60)]
                answers = await asyncio.gather(
                    *(agent.request_approval("exec", b"{}", "x", requester=name) for name in names),
                    return_exceptions=True,
                )
                refused = [answer for answer in answers if isinstance(answer, BaseException)]
                assert len(refused) == 10
                assert all(re.match("50 approvals of (?i:alice)@org are open", str(error)) for error in refused)
                await agent.request_approval("exec", b"{}", "x", requester=who(principal="carol@org"))
                first = (await bob.approvals())[0]
                await bob.decide_approval(first.id, approve=False, reason="one is enough")
                await agent.request_approval("exec", b"{}", "x", requester=ALICE)
                with pytest.raises(ConflictError):
                    await agent.request_approval("exec", b"{}", "x", requester=ALICE)

    asyncio.run(go())


def test_it_is_decided_once(tmp_path: Path) -> None:
    """Though everybody decides at the same moment, one way or the other."""

    async def one(site: Site, number: int, approval: Approval) -> str:
        async with site.person(f"p{number}@org", OPS) as person:
            try:
                return (await person.decide_approval(approval.id, approve=number % 2 == 0, reason="x")).state
            except ConflictError:
                return ""

    async def go() -> None:
        async with pending(tmp_path) as (site, approval):
            states = await asyncio.gather(*(one(site, number, approval) for number in range(12)))
            assert len([state for state in states if state]) == 1
            async with site.admin() as admin:
                entries = await admin.list(100)
                kinds = [e.type for e in entries if e.type in {"approval.approved", "approval.denied"}]
                assert len(kinds) == 1
                with pytest.raises(ConflictError, match="already"):
                    await admin.decide_approval(approval.id, approve=True)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda j: j.decide_approval("ap-beef", approve=True), NotFoundError),
        (lambda j: j.decide_approval("", approve=True), NotFoundError),
        (lambda j: j.request_approval("commit", b"{}", "x", scope="vcluster:ml"), UsageError),
        (lambda j: j.request_approval("apply", b"{}", "x", scope="node:node042"), UsageError),
        (lambda j: j.request_approval("apply", b"[]", "x", scope="vcluster:ml"), UsageError),
        (lambda j: j.request_approval("apply", b"nonsense", "x", scope="vcluster:ml"), UsageError),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, call: Callable[[Journal], Awaitable[object]], error: type[PactError]
) -> None:
    async def go() -> None:
        async with pending(tmp_path) as (site, _), site.admin() as admin:
            with pytest.raises(error):
                await call(admin)

    asyncio.run(go())


def test_a_denial_says_why(tmp_path: Path) -> None:
    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.person("bob@org", OPS) as bob:
            with pytest.raises(UsageError, match="say why"):
                await bob.decide_approval(approval.id, approve=False, reason="  ")
            denied = await bob.decide_approval(approval.id, approve=False, reason="not on a Friday")
            assert (denied.reason, await bob.approvals()) == ("not on a Friday", [])
            assert [a.state for a in await bob.approvals(closed=True)] == ["denied"]

    asyncio.run(go())


def test_what_it_would_have_done_can_be_read_when_it_is_over(tmp_path: Path) -> None:
    """Of the one that is asked for; a list of all that ever were does without."""

    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.person("bob@org", OPS) as bob:
            await bob.decide_approval(approval.id, approve=False, reason="not on a Friday")
            assert [a.operation for a in await bob.approvals(id_=approval.id)] == [{"method": "commit"}]
            assert [a.operation for a in await bob.approvals(closed=True)] == [{}]

    asyncio.run(go())


def test_who_waits_hears_of_it_at_once(tmp_path: Path) -> None:
    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.agent() as agent, site.person("bob@org", OPS) as bob:
            heard: asyncio.Queue[Approval] = asyncio.Queue()

            async def listen() -> None:
                async for known in agent.watch_approvals():
                    await heard.put(known)

            listening = asyncio.create_task(listen())
            async with asyncio.timeout(DEADLINE_S):
                assert (await heard.get()).state == "pending"
                await bob.decide_approval(approval.id, approve=True)
                assert (await heard.get()).state == "approved"
            listening.cancel()

    asyncio.run(go())


def test_nobody_decides_after_its_time(tmp_path: Path) -> None:
    async def go() -> None:
        async with pending(tmp_path) as (site, approval):
            ledger, views, judge = site.server.ledger, Projections(), Judge(None)
            later = ApprovalsService(
                ledger, views, JournalService(ledger, views, judge), judge,
                clock=lambda: datetime.now(UTC) + timedelta(minutes=31),
            )  # fmt: skip
            running_late = asyncio.create_task(later.run())
            async with site.person("bob@org", OPS) as bob, asyncio.timeout(DEADLINE_S):
                async for known in bob.watch_approvals(id_=approval.id):
                    if known.state != "pending":
                        break
                assert known.state == "expired"
                with pytest.raises(ConflictError, match="is expired already"):
                    await bob.decide_approval(approval.id, approve=True)
            running_late.cancel()

    asyncio.run(go())


# -- what the journal does itself


def test_a_policy_waits_for_a_second_person_and_is_set_once(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(tmp_path) as site:
            await set_policy(site, two_person_approval=True)
            async with site.admin() as admin, site.person("bob@org", ADMIN) as bob:
                draft = policy_draft(2, audit="strict", two_person_approval=True)
                with pytest.raises(ApprovalError, match="two-person policy on vcluster: ml"):
                    await admin.append([draft])
                assert json.loads((await admin.policy("ml")).document)["version"] == 1
                operation = json.dumps({"message": draft.message, "body": draft.body}).encode()
                approval = await admin.request_approval("policy_update", operation, "strict", scope="vcluster:ml")
                with pytest.raises(ForbiddenError):
                    await admin.decide_approval(approval.id, approve=True)
                done = await bob.decide_approval(approval.id, approve=True)
                assert (done.state, done.status) == ("done", 0)
                assert json.loads((await admin.policy("ml")).document)["audit"] == "strict"
                (entry,) = [e for e in await admin.list(50, type="policy.updated") if e.body and "approval" in e.body]
                assert (entry.author.principal, (entry.body or {})["approved_by"]) == ("root@example.org", "bob@org")
        async with running(tmp_path) as site, site.admin() as admin:
            await asyncio.sleep(0)
            found = await admin.list(50, type="policy.updated")
            assert len(found) == 2, "a restart executes nothing again"

    asyncio.run(go())


def test_what_was_approved_before_a_crash_is_done_by_the_next_start(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(tmp_path) as site:
            await set_policy(site, two_person_approval=True)
            async with site.admin() as admin:
                body: JsonObject = {"policy": {"vcluster": "ml", "version": 2, "audit": "strict"}}
                operation = json.dumps({"message": "version 2", "body": body}).encode()
                approval = await admin.request_approval("policy_update", operation, "x", scope="vcluster:ml")
            # The decision is on record, and then the journal is gone.
            await site.server.ledger.append(
                Draft(
                    f"journal:approval:{approval.id}",
                    2,
                    "2026-01-31T12:00:00.000000Z",
                    "approval.approved",
                    "vcluster:ml",
                    Author("bob@org", (ADMIN,), "human"),
                    body={"id": approval.id},
                )
            )
        async with running(tmp_path) as site, site.admin() as admin, asyncio.timeout(DEADLINE_S):
            async for known in admin.watch_approvals(id_=approval.id):
                if not known.is_open:
                    break
            assert (known.state, known.status) == ("done", 0)
            assert json.loads((await admin.policy("ml")).document)["audit"] == "strict"

    asyncio.run(go())


def test_what_was_done_before_a_crash_is_on_record_as_done(tmp_path: Path) -> None:
    """The journal went between doing it and saying so."""

    async def go() -> None:
        async with running(tmp_path) as site:
            await set_policy(site, two_person_approval=True)
            body: JsonObject = {"policy": {"vcluster": "ml", "version": 2, "audit": "strict"}}
            async with site.admin() as admin:
                operation = json.dumps({"message": "version 2", "body": body}).encode()
                id_ = (await admin.request_approval("policy_update", operation, "x", scope="vcluster:ml")).id
            bob, root = Author("bob@org", (ADMIN,), "human"), Author("root@example.org", (ADMIN,), "human")
            more: JsonObject = {"approval": id_, "approved_by": "bob@org"}
            kept: list[tuple[str, int, str, Author, JsonObject]] = [
                (f"journal:approved:{id_}", 1, "policy.updated", root, body | more),
                (f"journal:approval:{id_}", 2, "approval.approved", bob, {"id": id_}),
            ]
            for client, number, kind, author, about in kept:
                await site.server.ledger.append(
                    Draft(client, number, "2026-01-31T12:00:00.000000Z", kind, "vcluster:ml", author, body=about)
                )
        async with running(tmp_path) as site, site.admin() as admin, asyncio.timeout(DEADLINE_S):
            async for known in admin.watch_approvals(id_=id_):
                if not known.is_open:
                    break
            assert (known.state, known.status, known.message) == ("done", 0, "")
            assert len(await admin.list(50, type="policy.updated")) == 2

    asyncio.run(go())


def test_who_approves_just_when_the_journal_looks_has_it_done_once(tmp_path: Path) -> None:
    """It looks every second for what was approved and is not done."""

    async def go() -> None:
        async with running(tmp_path) as site:
            await set_policy(site, two_person_approval=True)
            body: JsonObject = {"policy": {"vcluster": "ml", "version": 2, "audit": "strict"}}
            operation = json.dumps({"message": "", "body": body}).encode()
            async with site.admin() as admin:
                id_ = (await admin.request_approval("policy_update", operation, "x", scope="vcluster:ml")).id
                ledger, views, judge = site.server.ledger, Projections(), Judge(None)
                approvals = ApprovalsService(ledger, views, JournalService(ledger, views, judge), judge)
                bob = Caller(Identity("bob@org", (ADMIN,), "human", "token"), None, "")
                deciding = asyncio.create_task(approvals.decide(bob, pb.ApprovalDecision(id=id_, approve=True)))
                async with asyncio.timeout(DEADLINE_S):
                    while not deciding.done():
                        await approvals._tick()
                        await asyncio.sleep(0)
                known = json.loads((await deciding).json)
                assert (known["state"], known["status"]) == ("done", 0)

    asyncio.run(go())


def test_who_may_not_change_it_may_not_ask_for_it(tmp_path: Path) -> None:
    """Two who may not do it alone may not do it together."""

    async def go() -> None:
        async with running(tmp_path) as site:
            await set_policy(site, two_person_approval=True)
            body: JsonObject = {"policy": {"vcluster": "ml", "version": 2, "two_person_approval": False}}
            operation = json.dumps({"message": "", "body": body}).encode()
            for roles in ((OPS,), ("pact-viewer-ml",), ("pact-regulated-ml",), ("pact-ops-other",)):
                async with site.person("olga@org", *roles) as person:
                    with pytest.raises(ForbiddenError):
                        await person.request_approval("policy_update", operation, "x", scope="vcluster:ml")
            async with site.admin() as admin:
                odd = json.dumps({"body": {"policy": {"vcluster": "ml", "version": 2, "audit": "none"}}}).encode()
                with pytest.raises(UsageError, match="audit"):
                    await admin.request_approval("policy_update", odd, "x", scope="vcluster:ml")
                assert await admin.approvals() == []

    asyncio.run(go())


def test_one_that_was_overtaken_fails_and_says_so(tmp_path: Path) -> None:
    """Of two policies that were made from the same version, the second that is approved is made from an old one."""

    async def go() -> None:
        async with running(tmp_path) as site:
            await set_policy(site, two_person_approval=True)
            async with site.admin() as admin, site.person("bob@org", ADMIN) as bob:
                ids = []
                for audit in ("strict", "normal"):
                    body: JsonObject = {"policy": {"vcluster": "ml", "version": 2, "audit": audit}}
                    operation = json.dumps({"message": "", "body": body}).encode()
                    ids.append((await admin.request_approval("policy_update", operation, "x", scope="vcluster:ml")).id)
                first, second = [await bob.decide_approval(id_, approve=True) for id_ in ids]
                assert (first.status, second.status, second.kind) == (0, 4, "conflict")
                assert json.loads((await admin.policy("ml")).document)["audit"] == "strict"

    asyncio.run(go())


def test_without_a_token_nothing_is_seen(tmp_path: Path) -> None:
    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.anonymous() as nobody:
            for call in (nobody.approvals(), nobody.decide_approval(approval.id, approve=True)):
                with pytest.raises(AuthError):
                    await call

    asyncio.run(go())


def test_what_changes_while_somebody_is_told_is_told_as_well(tmp_path: Path) -> None:
    """The views are everybody's: another call may fold the change in before this one looks again."""

    async def go() -> None:
        async with pending(tmp_path) as (site, approval):
            ledger, views, judge = site.server.ledger, Projections(), Judge(None)
            approvals = ApprovalsService(ledger, views, JournalService(ledger, views, judge), judge)
            fleet = FleetService(ledger, views, Judge(None))
            admin = Caller(Identity("root@org", (ADMIN,), "human", "token"), None, "")
            watching = approvals.watch(admin, pb.ApprovalsRequest())
            following = fleet.watch_policy(admin, pb.PolicyRequest(vcluster="ml"))
            async with asyncio.timeout(DEADLINE_S):
                assert [(await anext(watching)).json != b"" for _ in range(2)] == [False, True]
                assert (await anext(following)).seq == 0
                await set_policy(site)
                async with site.person("bob@org", OPS) as bob:
                    await bob.decide_approval(approval.id, approve=True)
                await views.catch_up(ledger.store)
                assert json.loads((await anext(watching)).json)["state"] == "approved"
                assert (await anext(following)).seq > 0

    asyncio.run(go())

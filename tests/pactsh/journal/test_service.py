"""The service over the wire: every method against every kind of caller, and what each may see."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pactsh.auth.ca import new_agent_request, utc_now
from pactsh.auth.issuer import DevIssuer
from pactsh.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, PactError, UsageError
from pactsh.journal.access import RULES
from pactsh.model.entry import Author, Draft
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.client import Journal
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import ADMIN, Site, collect, running

BOB = b'{"principal": "bob@x", "roles": [], "kind": "human"}'
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x"


async def first(stream: Any) -> Any:
    return (await collect(stream, 1))[:1]


async def append_raw(journal: Journal) -> Any:
    async with journal.open_append() as stream:
        await stream.send([draft(1)])
        (ack,), _ = await stream.receive()
        if ack.error:
            raise ack.error


async def decide(journal: Journal) -> Any:
    """On the one that is there, if it can be seen."""
    try:
        (approval,) = await journal.approvals()
    except (PactError, ValueError):
        return await journal.decide_approval("ap-0000", approve=True)
    return await journal.decide_approval(approval.id, approve=True)


CALLS: dict[str, Callable[[Journal], Awaitable[Any]]] = {
    "Journal/Append": append_raw,
    "Journal/List": lambda j: j.list(),
    "Journal/Get": lambda j: j.get(1),
    "Journal/Watch": lambda j: first(j.watch(1)),
    "Journal/Heads": lambda j: j.heads(),
    "Journal/Export": lambda j: first(j.export()),
    "Certificates/SignUser": lambda j: j.sign_user(SSH_KEY),
    "Certificates/SignHost": lambda j: j.sign_host(SSH_KEY),
    "Certificates/RenewAgent": lambda j: j.renew_agent(new_agent_request("node042")[1]),
    "Certificates/EnrollAgent": lambda j: j.enroll_agent("node042", "wrong", new_agent_request("node042")[1]),
    "Certificates/Trust": lambda j: j.trust(),
    "Certificates/Revoke": lambda j: j.revoke("person", "mallory@x", "lost"),
    "Certificates/Revocations": lambda j: first(j.watch_revocations()),
    "Nodes/List": lambda j: j.nodes(),
    "Nodes/Get": lambda j: j.node("node042"),
    "Nodes/Report": lambda j: j.report_node(vcluster="ml"),
    "Policy/Get": lambda j: j.policy("ml"),
    "Policy/Watch": lambda j: first(j.watch_policy("ml")),
    "Policy/Evaluate": lambda j: j.evaluate(b"{}"),
    "Login/Providers": lambda j: j.providers(),
    "Login/Verify": lambda j: j.verify_token("garbage"),
    "Approvals/Request": lambda j: j.request_approval("apply", b"{}", "x", scope="vcluster:ml", requester=BOB),
    "Approvals/Decide": decide,
    "Approvals/List": lambda j: j.approvals(),
    "Approvals/Watch": lambda j: first(j.watch_approvals()),
    "Delegation/Begin": lambda j: j.begin_delegation("drain", ["node042"]),
    "Delegation/End": lambda j: j.end_delegation("dg-0", "node042", status=0, answer="done"),
    "Status/Get": lambda j: j.status(),
}

CALLERS: dict[str, Callable[[Site], Journal]] = {
    "nobody": lambda s: s.anonymous(),
    "garbage": lambda s: Journal(s.server.endpoint, ca=s.ca, token="garbage"),
    "expired": lambda s: Journal(
        s.server.endpoint, ca=s.ca, token=s.token("root@x", ADMIN, age_s=7200, lifetime_s=3600)
    ),
    "foreign": lambda s: Journal(s.server.endpoint, ca=s.ca, token=foreign(s)),
    "no role": lambda s: s.person("eve@x"),
    "other viewer": lambda s: s.person("eve@x", "pact-viewer-other"),
    "viewer": lambda s: s.person("vera@x", "pact-viewer-ml"),
    "ops": lambda s: s.person("olga@x", "pact-ops-ml"),
    "regulated": lambda s: s.person("rita@x", "pact-regulated-ml"),
    "service-agent": lambda s: s.person("bot@x", "pact-service-agent"),
    "service-ai": lambda s: s.person("ai@x", "pact-service-ai"),
    "admin": lambda s: s.admin(),
    "agent": lambda s: s.agent("node042"),
    "other agent": lambda s: s.agent("node666"),
}
# No proof that counts: an own issuer's token, signed by somebody else's key, is none either.
UNKNOWN = {"nobody", "garbage", "expired", "foreign"}


def foreign(site: Site) -> str:
    other = DevIssuer.open(site.directory / "other-issuer", clock=utc_now)
    return other.issue("root@x", [ADMIN])


def documented() -> dict[str, set[str]]:
    """Who may call what, by the columns of docs/policy.md."""
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "/" in line[:40]]
    (head,) = re.findall(r"^\| method \| needs \| (.+) \|$", text, flags=re.MULTILINE)
    names = [name.strip() for name in head.split("|")]
    allowed: dict[str, set[str]] = {name: set() for name in names}
    for method, _need, *cells in (row for row in rows if row[0].strip("`") in RULES):
        for name, cell in zip(names, cells, strict=True):
            assert cell in {"yes", ""}
            if cell:
                allowed[name].add(method.strip("`"))
    return allowed


# What is allowed and shows less: only what is within reach, which is another vCluster, another node.
ALLOWED = documented() | {
    "other viewer": documented()["viewer"] - {"Policy/Get", "Policy/Watch"},
    "other agent": documented()["agent"] - {"Policy/Get", "Policy/Watch"},
}
OTHERS = ("other viewer", "other agent")
NOT_FOUND = {(who, method) for who in OTHERS for method in ("Journal/Get", "Nodes/Get", "Approvals/Decide")}
# A watch of what is out of reach is no error: it shows nothing.
SILENT = {(who, method) for who in OTHERS for method in ("Journal/Watch", "Approvals/Watch")}
# Let in, and refused for what they ask: a draft of somebody else's, a token that is none, a policy that makes no sense.
ODD: dict[tuple[str, str], type[PactError]] = {
    ("admin", "Journal/Append"): ForbiddenError,
    ("other agent", "Journal/Append"): ForbiddenError,
    ("agent", "Login/Verify"): AuthError,
    ("other agent", "Login/Verify"): AuthError,
    ("agent", "Approvals/Request"): ForbiddenError,
    ("other agent", "Approvals/Request"): ForbiddenError,
    **{(who, "Approvals/Request"): UsageError for who in ("ops", "admin")},
    **{(who, "Delegation/End"): NotFoundError for who in ("ops", "regulated", "admin")},
}


def expected(caller: str, method: str) -> type[PactError] | str | None:
    if method in {"Certificates/Trust", "Login/Providers"}:
        return None
    if method == "Certificates/EnrollAgent":  # the join token is wrong, whoever asks
        return AuthError
    if caller in UNKNOWN:
        return AuthError
    if (caller, method) in NOT_FOUND:
        return NotFoundError
    if (caller, method) in SILENT:
        return "silent"
    if method == "Delegation/End" and caller in {"viewer", "other viewer", "service-agent", "service-ai"}:
        return NotFoundError  # it has begun nothing
    if method in ALLOWED[caller]:
        return ODD.get((caller, method))
    return ForbiddenError


def test_the_tables_name_every_method() -> None:
    assert CALLS.keys() == RULES.keys()
    assert set(CALLERS) == {*UNKNOWN, *ALLOWED}


@pytest.mark.parametrize("caller", CALLERS)
def test_every_method_for_every_caller(tmp_path: Path, caller: str) -> None:
    async def attempt(journal: Journal, method: str) -> type[PactError] | str | None:
        try:
            await asyncio.wait_for(CALLS[method](journal), 1.0 if (caller, method) in SILENT else 20)
        except TimeoutError:
            return "silent"
        except PactError as error:
            return type(error)
        return None

    async def run() -> None:
        async with running(tmp_path) as site:
            async with site.agent() as agent:
                body = {"vcluster": "ml", "ssh_address": "10.0.0.42:9445"}
                await agent.append([draft(0, type="agent.start", body=body)])
                await agent.request_approval("commit", b"{}", "x", requester=BOB)
            async with CALLERS[caller](site) as journal:
                results = {method: await attempt(journal, method) for method in CALLS}
            assert results == {method: expected(caller, method) for method in CALLS}

    asyncio.run(run())


def test_a_refusal_is_told_as_one_however_fast_it_comes(tmp_path: Path) -> None:
    """grpc.aio makes a failed write of a status that overtakes it: the refusal must survive that."""

    async def run() -> None:
        async with running(tmp_path) as site, site.person("eve@x", "pact-viewer-other") as eve:
            for _ in range(100):
                with pytest.raises(ForbiddenError):
                    await eve.policy("ml")
                with pytest.raises(ForbiddenError):
                    await eve.append([draft(1)])

    asyncio.run(run())


def person_draft(number: int, **fields: Any) -> Draft:
    values: dict[str, Any] = {
        "client": "user:root@example.org:1",
        "type": "policy.updated",
        "scope": "vcluster:ml",
        "author": Author("root@example.org", (ADMIN,)),
        "session": "",
        "body": {"policy": {"vcluster": "ml", "version": number}},
    }
    return draft(number, **{**values, **fields})


AGENT_REFUSALS: dict[str, tuple[dict[str, Any], type[PactError]]] = {
    "another node's scope": ({"scope": "node:node043"}, ForbiddenError),
    "a vcluster's scope": ({"scope": "vcluster:ml"}, ForbiddenError),
    "the global scope": ({"scope": "global"}, ForbiddenError),
    "another's client": ({"client": "agent:node043:x"}, ForbiddenError),
    "a client that only begins alike": ({"client": "agent:node0421:x"}, ForbiddenError),
    "a person's type": ({"type": "policy.updated"}, ForbiddenError),
    "the journal's type": ({"type": "cert.signed"}, ForbiddenError),
    "an unknown type": ({"type": "whatever"}, UsageError),
    "no scope": ({"scope": ""}, UsageError),
    "a strange scope": ({"scope": "node:../x"}, UsageError),
    "local time": ({"time": "2026-01-31 12:00:00"}, UsageError),
    "no author": ({"author": Author("")}, UsageError),
    "an unknown kind": ({"author": Author("x", (), "robot")}, UsageError),
    "a negative number": ({"number": -1}, UsageError),
}


@pytest.mark.parametrize("name", AGENT_REFUSALS)
def test_an_agent_speaks_for_its_node_alone(tmp_path: Path, name: str) -> None:
    fields, error = AGENT_REFUSALS[name]

    async def run() -> None:
        async with running(tmp_path, listen_unix=None) as site, site.agent() as agent:
            with pytest.raises(error):
                await agent.append([draft(**{"number": 5, **fields})])
            # The same stream takes the next one; nothing of the refused one is kept.
            async with agent.open_append() as stream:
                await stream.send([draft(**{"number": 5, **fields}), draft(6)])
                acks, _ = await stream.receive()
            assert (type(acks[0].error), acks[0].seq) == (error, 0)
            assert (acks[1].error, acks[1].seq) == (None, 1)
            assert [e.number for e in await agent.list()] == [6]

    asyncio.run(run())


def test_a_person_speaks_for_itself_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            async with site.admin() as admin:
                acks, _ = await admin.append([person_draft(1)])
                assert acks[0].seq == 1
                for fields in (
                    {"author": Author("alice@example.org", (ADMIN,))},
                    {"author": Author("root@example.org", (ADMIN, "pact-ops-ml"))},
                    {"client": "user:alice@example.org:1"},
                    {"client": "agent:node042:x"},
                    {"type": "intent"},
                    {"type": "cert.signed"},
                ):
                    with pytest.raises(ForbiddenError):
                        await admin.append([person_draft(2, **fields)])
                assert json.loads((await admin.policy("ml")).document) == {"vcluster": "ml", "version": 1}
                assert json.loads((await admin.policy("other")).document) == {}
            async with site.person("vera@x", "pact-viewer-ml") as viewer:
                with pytest.raises(ForbiddenError):
                    await viewer.append([person_draft(2)])

    asyncio.run(run())


GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"null",
    b"[" * 100_000,
    b'{"client":1}',
    b'{"number":1e400}',
    json.dumps({"unknown_field": 1}).encode(),
    b"x" * (1 << 20),
]


def test_garbage_drafts_are_refused_one_by_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent, agent.open_append() as stream:
            await stream.send_raw(GARBAGE)
            acks, _ = await stream.receive()
            assert [type(ack.error) for ack in acks] == [UsageError] * len(GARBAGE)
            await stream.send([draft(1)])
            acks, _ = await stream.receive()
            assert acks[0].seq == 1

    asyncio.run(run())


def test_too_much_at_once_is_refused_and_the_server_lives(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent:
            async with agent.open_append() as stream:
                await stream.send_raw([b"{}"] * 2000)
                with pytest.raises(UsageError, match="2000 drafts"):
                    await stream.receive()
            async with agent.open_append() as stream:
                with pytest.raises(UsageError, match="too large"):
                    await stream.send_raw([b"x" * (5 << 20)])
            assert (await agent.append([draft(1)]))[0][0].seq == 1

    asyncio.run(run())


def test_a_retry_is_the_same_entry_and_a_reused_number_a_conflict(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent:
            acks, _ = await agent.append([draft(1), draft(2)])
            again, _ = await agent.append([draft(2), draft(3)])
            assert again[0] == acks[1]
            assert again[1].seq == 3
            with pytest.raises(ConflictError, match="number 3"):
                await agent.append([draft(3, message="other")])

    asyncio.run(run())


def test_list_pages_and_filters(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            async with site.agent() as agent, site.agent("node7") as other:
                await agent.append([draft(n) for n in range(1, 401)])
                await other.append([draft(n, node="node7", type="refusal") for n in range(1, 4)])
            async with site.admin() as admin:
                assert [e.seq for e in await admin.list(3)] == [403, 402, 401]
                assert [e.seq for e in await admin.list(300, newest_first=False)] == list(range(1, 301))
                assert [e.seq for e in await admin.list(2, before_seq=100)] == [99, 98]
                assert [e.scope for e in await admin.list(9, type="refusal")] == ["node:node7"] * 3
                assert len(await admin.list(1000, scope="node:node042")) == 400
                assert (await admin.get(7)).message == "line 7"
                for bad in (admin.list(scope="vc:ml"), admin.list(since="yesterday")):
                    with pytest.raises(UsageError):
                        await bad
                with pytest.raises(NotFoundError):
                    await admin.get(404)
                with pytest.raises(NotFoundError):
                    await admin.get((1 << 64) - 1)

    asyncio.run(run())


def test_large_entries_travel(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent:
            big = [draft(n, message="x" * 900_000) for n in range(6)]
            await agent.append(big)
            assert [len(e.message) for e in await agent.list(6)] == [900_000] * 6
            assert len([e async for e in agent.export()]) == 6

    asyncio.run(run())


def test_reach(tmp_path: Path) -> None:
    """A vCluster's readers see it and its nodes; an agent sees its own node and its vCluster's policy."""

    async def run() -> None:
        async with running(tmp_path) as site:
            for node, vcluster in (("node1", "ml"), ("node2", "ml"), ("node3", "hpc")):
                async with site.agent(node) as agent:
                    start = draft(1, node=node, type="agent.start", body={"vcluster": vcluster})
                    await agent.append([start, draft(2, node=node)])
            async with site.admin() as admin:
                hpc = person_draft(2, scope="vcluster:hpc", body={"policy": {"vcluster": "hpc", "version": 1}})
                await admin.append([person_draft(1), hpc])
                everything = {e.seq for e in await admin.list(100)}
            async with site.person("v@x", "pact-viewer-ml") as viewer:
                scopes = {e.scope for e in await viewer.list(100)}
                assert scopes == {"node:node1", "node:node2", "vcluster:ml"}
                assert [n.node for n in await viewer.nodes()] == ["node1", "node2"]
                with pytest.raises(ForbiddenError):
                    await viewer.list(scope="node:node3")
                with pytest.raises(ForbiddenError):
                    await viewer.policy("hpc")
                exported = [e async for e in viewer.export()]
                assert {e.seq for e in exported} == everything
                readable = [json.loads(e.json)["scope"] for e in exported if e.json]
                assert set(readable) == scopes
                assert all(bool(e.json) != bool(e.prev_hash) for e in exported)
            async with site.agent("node1") as agent:
                assert {e.scope for e in await agent.list(100)} == {"node:node1", "vcluster:ml"}

    asyncio.run(run())


def test_watch_sees_what_comes(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent, site.admin() as admin:
            await agent.append([draft(n) for n in range(1, 4)])
            from_start = asyncio.ensure_future(collect(admin.watch(1), 5))
            only_refusals = asyncio.ensure_future(collect(admin.watch(1, type="refusal"), 1))
            await agent.append([draft(4), draft(5, type="refusal")])
            assert [e.seq for e in await from_start] == [1, 2, 3, 4, 5]
            assert [e.seq for e in await only_refusals] == [5]

    asyncio.run(run())


def test_a_watch_ends_with_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pactsh.journal.gate.LEEWAY_S", 0.0)

    async def run() -> None:
        async with running(tmp_path) as site:
            token = site.token("root@x", ADMIN, lifetime_s=2)
            async with Journal(site.server.endpoint, ca=site.ca, token=token) as journal:
                with pytest.raises(AuthError, match="expired"):
                    await collect(journal.watch(1), 1)

    asyncio.run(run())


@pytest.mark.parametrize("lives_on", [True, False])
def test_it_goes_on_with_the_next_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives_on: bool
) -> None:
    monkeypatch.setattr("pactsh.journal.gate.LEEWAY_S", 0.0)

    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent:
            first, second = site.token("root@x", ADMIN, lifetime_s=2), site.token("root@x", ADMIN)
            ends, shown = time.monotonic() + 0.9, asyncio.Event()

            def token() -> str:
                if time.monotonic() < ends or not lives_on:
                    return first
                shown.set()
                return second

            async with Journal(site.server.endpoint, ca=site.ca, token=token) as journal:
                await agent.append([draft(1)])
                watched = journal.watch(1)
                assert (await anext(watched)).seq == 1
                if lives_on:
                    going_on = asyncio.ensure_future(anext(watched))
                    await asyncio.wait_for(shown.wait(), 20)
                    await agent.append([draft(2)])
                    assert (await asyncio.wait_for(going_on, 20)).seq == 2
                else:  # the same one again is no reason to ask again
                    with pytest.raises(AuthError, match="expired"):
                        await asyncio.wait_for(anext(watched), 20)

    asyncio.run(run())


def test_a_slow_reader_holds_no_memory(tmp_path: Path) -> None:
    """A watcher that stops reading must not make the server read the journal into memory."""

    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent, site.admin() as admin:
            call = admin.ask("Journal/Watch", pb.WatchRequest(from_seq=1))
            await call.read()  # where the watch stands; nothing more is read from now on
            store = site.server.ledger.store
            queries: list[int] = []
            query = store.query

            async def counted(wanted: Any) -> Any:
                found = await query(wanted)
                queries.append(sum(len(r.text) for r in found))
                return found

            store.query = counted  # type: ignore[method-assign,assignment]
            for n in range(0, 60, 4):
                await agent.append([draft(n + i, message="x" * 500_000) for i in range(4)])
            await asyncio.sleep(0.2)  # time to do wrong; a server that does right needs none
            assert sum(queries) < 20_000_000  # of 30 MB; flow control stopped it
            call.cancel()

    asyncio.run(run())


def test_heads_come_with_acknowledgements_at_session_ends_and_at_intervals(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path, head_every=10, head_interval_s=3600) as site, site.agent() as agent:
            _, head = await agent.append([draft(1)])
            assert head is None
            _, head = await agent.append([draft(2, type="session.end")])
            assert head is not None
            assert head.seq == 2
            _, head = await agent.append([draft(n) for n in range(3, 8)])
            assert head is not None
            assert head.seq == 2
            _, head = await agent.append([draft(n) for n in range(8, 13)])
            assert head is not None
            assert head.seq == 12
            assert [h.seq for h in await agent.heads()] == [2, 12]
            assert await agent.heads(2**64 - 1) == []
            assert await agent.heads(last=True) == [head]
            await agent.append([draft(13)])
        async with running(tmp_path) as site, site.agent() as agent:
            assert [h.seq for h in await agent.heads()] == [2, 12, 13]  # signed when it stopped

    asyncio.run(run())

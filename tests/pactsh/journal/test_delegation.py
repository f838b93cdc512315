"""Delegation at the journal: who may have lattice and OpenCHAMI do what, on record before and after, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pactsh.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, PactError, UsageError
from tests.pactsh.journal.site import ADMIN, Site, running
from tests.pactsh.journal.test_approvals import enrolled

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
    "ops, in capitals": (ALICE, "drain", ["NODE042"], "", UsageError),
    "ops, a name that goes on": (ALICE, "drain", ["node042\u200b"], "", UsageError),
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
            for wrong in (b"[]", b"{", facts(reason="x" * 70_000), b'{"jobs":[{"node":"node043","n":1e999}]}'):
                with pytest.raises(UsageError):
                    await alice.begin_delegation("drain", list(NODES), facts=wrong)
            many = [f"j{number}" for number in range(200)]
            with pytest.raises(UsageError, match="for each of 200 targets"):  # 12 MB of entries out of 60 KB
                await alice.begin_delegation("job_cancel", many, vcluster="ml", facts=facts(reason="x" * 60_000))
        assert await entries(found, "delegation.begun") == []

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


def test_an_entry_has_the_jobs_of_its_own_target(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            jobs = [{"id": "1", "node": "node042"}, {"id": "2", "node": "node043"}, {"id": "3"}]
            await alice.begin_delegation("drain", list(NODES), facts=facts(jobs=jobs))
            await alice.begin_delegation("job_cancel", ["1", "2"], vcluster="ml", facts=facts(jobs=jobs[:2]))
        kept = await entries(found, "delegation.begun")
        told = {(entry["action"], entry["target"]): [job["id"] for job in entry["jobs"]] for entry in kept}
        assert told == {
            ("drain", "node042"): ["1", "3"], ("drain", "node043"): ["2", "3"],
            ("job_cancel", "1"): ["1"], ("job_cancel", "2"): ["2"],
        }  # fmt: skip

    ran(tmp_path, go)


def test_no_fact_passes_for_what_the_journal_says(tmp_path: Path) -> None:
    forged = {"approved_by": "bob@org", "approval": "ap-1", "by_journal": True, "emergency": 7, "began_by": "bob@org"}

    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            begun = await alice.begin_delegation("drain", ["node042"], facts=facts(reason="fan", **forged))
            await alice.end_delegation(begun.id, "node042", status=0, answer="Drained")
        for kind in ("delegation.begun", "delegation.done"):
            (kept,) = await entries(found, kind)
            assert not set(kept) & set(forged)

    ran(tmp_path, go)


def test_an_outcome_is_an_exit_status_and_told_by_several_at_once_it_is_one(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            begun = await alice.begin_delegation("drain", ["node042"])
            with pytest.raises(UsageError, match="at most 255"):  # 256 would be a success to a shell
                await alice.end_delegation(begun.id, "node042", status=256, answer="x")
            same = [alice.end_delegation(begun.id, "node042", status=0, answer="Drained") for _ in range(5)]
            assert len(set(await asyncio.gather(*same))) == 1
        assert len(await entries(found, "delegation.done")) == 1

    ran(tmp_path, go)


def test_whose_token_was_renewed_ends_what_they_began(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice:
            begun = await alice.begin_delegation("drain", ["node042"])
        async with found.person(*ALICE) as alice:
            assert await alice.end_delegation(begun.id, "node042", status=0, answer="Drained")

    ran(tmp_path, go)

"""What the journal keeps as a policy, and what it refuses, whoever sends it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pactsh.catalog import load_catalog
from pactsh.errors import ConflictError, PactError, UsageError
from pactsh.journal.policies import check_update, version_of
from pactsh.journal.projections import PolicyView
from pactsh.model.entry import Author, Draft
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import ADMIN, Site, running

CATALOG = load_catalog()
NONE = PolicyView()


def update(number: int = 1, **policy: Any) -> Draft:
    return draft(
        number,
        client="user:root@example.org:1",
        type="policy.updated",
        scope="vcluster:ml",
        author=Author("root@example.org", (ADMIN,)),
        session="",
        body={"policy": {"vcluster": "ml", "version": 1, **policy}},
    )


def view(version: int) -> PolicyView:
    return PolicyView(json.dumps({"vcluster": "ml", "version": version}).encode(), 7)


def test_versions_go_up_by_one() -> None:
    check_update(update(), NONE, CATALOG)
    check_update(update(version=5), view(4), CATALOG)
    for version in (0, 1, 4, 6):
        with pytest.raises(ConflictError, match="is at version 4: version"):
            check_update(update(version=version), view(4), CATALOG)


def test_a_view_without_a_version_is_the_built_in_one() -> None:
    assert [version_of(PolicyView(d)) for d in (b"{}", b"[]", b"", b'{"version": "x"}', b'{"version": 3}')] == [
        0,
        0,
        0,
        0,
        3,
    ]


BAD: dict[str, Draft] = {
    "another vcluster's": update(vcluster="hpc"),
    "an unknown key": update(x=1),
    "a wrong value": update(audit="off"),
    "an interpreter": update(
        commands={"add": [{"name": "bash", "summary": "x", "group": "system", "paths": ["/usr/bin/bash"]}]}
    ),
    "a denial lifted": update(
        commands={"extend": [{"command": "sort", "options": [{"names": "-o --output", "value": "string"}]}]}
    ),
    "the way out removed": update(commands={"remove": ["exit"]}),
    "a typo in a narrowing": update(commands={"narrow": [{"command": "ip", "options": ["--x"]}]}),
    "too long": update(commands={"narrow": [{"command": "ip", "read_only": True, "reason": "x" * 600_000}]}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_policy_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"^policy"):
        check_update(BAD[name], NONE, CATALOG)


def test_the_body_and_the_scope_are_a_policys() -> None:
    import msgspec

    for fields in ({"scope": "global"}, {"scope": "node:node042"}, {"body": None}, {"body": {"policy": 1, "x": 2}}):
        with pytest.raises(UsageError):
            check_update(msgspec.structs.replace(update(), **fields), NONE, CATALOG)


async def appended(site: Site, *drafts: Draft) -> list[PactError | None]:
    async with site.admin() as admin, admin.open_append() as stream:
        await stream.send(drafts)
        acks, _ = await stream.receive()
    return [ack.error for ack in acks]


def test_the_journal_asks_before_it_keeps(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            refused = await appended(site, update(1, x=1), update(2), update(3), update(4, version=2))
            assert [type(error) for error in refused] == [UsageError, type(None), ConflictError, type(None)]
            async with site.admin() as admin:
                assert json.loads((await admin.policy("ml")).document)["version"] == 2
                assert len(await admin.list(type="policy.updated")) == 2

    asyncio.run(run())


def test_a_retry_is_the_same_entry_still(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.admin() as admin:
            first, _ = await admin.append([update(1)])
            again, _ = await admin.append([update(1)])
            assert again[0].seq == first[0].seq

    asyncio.run(run())


def test_of_changes_made_at_once_from_one_version_one_is_kept(tmp_path: Path) -> None:
    """Ten people change the same policy; nine of them are told."""

    async def run() -> None:
        async with running(tmp_path) as site:

            async def change(number: int) -> list[PactError | None]:
                return await appended(site, update(number, regulated=bool(number % 2)))

            errors = [e for found in await asyncio.gather(*(change(n) for n in range(1, 11))) for e in found]
            assert sorted(type(e).__name__ for e in errors) == ["ConflictError"] * 9 + ["NoneType"]
            async with site.admin() as admin:
                assert len(await admin.list(type="policy.updated")) == 1

    asyncio.run(run())

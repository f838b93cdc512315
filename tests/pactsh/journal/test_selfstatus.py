"""What the journal says of itself, over the real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pactsh import __version__
from pactsh.errors import AuthError, PolicyError
from pactsh.journal.config import PolicyConfig
from pactsh.journal.ledger import now_text
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import running
from tests.pactsh.journal.test_fleet import enrolled

REQUESTER = b'{"principal": "alice@org", "roles": ["pact-ops-ml"], "kind": "human"}'


def test_head_store_and_disk(tmp_path: Path) -> None:
    async def run() -> None:
        before = now_text()
        async with running(tmp_path, head_every=2, head_interval_s=3600) as site, site.admin() as admin:
            empty = await admin.status()
            assert (empty.version, empty.store, empty.last_seq) == (__version__, "sqlite", 0)
            assert (empty.signed_seq, empty.signed_time, list(empty.systems)) == (0, "", [])
            assert before <= empty.started <= now_text()
            async with site.agent() as agent:
                await agent.append([draft(1), draft(2)])
                await agent.append([draft(3)])
            found = await admin.status()
            assert (found.last_seq, found.signed_seq) == (3, 2)
            assert before < found.signed_time <= now_text()
            kept = sum(path.stat().st_size for path in (tmp_path / "data").glob("journal.db*"))
            assert found.size_bytes == kept > 0
            assert found.free_bytes > 0

    asyncio.run(run())


def test_what_is_counted_is_what_the_caller_may_see(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            async with await enrolled(site, "ml", "n1") as one, await enrolled(site, "hpc", "n2") as other:
                await one.report_node(vcluster="ml")
                await enrolled(site, "ml", "n3")  # which never reports
                await other.request_approval("commit", b'{"method": "commit"}', "x", requester=REQUESTER)
                async with site.admin() as admin, site.person("v@org", "pact-viewer-ml") as viewer:
                    found = await admin.status()
                    assert (found.nodes, found.nodes_present, found.approvals_open) == (3, 1, 1)
                    found = await viewer.status()
                    assert (found.nodes, found.nodes_present, found.approvals_open) == (2, 1, 0)
                    await admin.revoke("node", "n1", "stolen")
                    found = await viewer.status()
                    assert (found.nodes, found.nodes_present) == (1, 0)
                found = await other.status()
                assert (found.nodes, found.nodes_present, found.approvals_open) == (1, 0, 1)

    asyncio.run(run())


def test_it_is_not_for_everybody(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    rule = 'deny contains "not on Sundays" if input.action == "status"'
    rules.joinpath("site.rego").write_text(f"package pact.authz\n\nimport rego.v1\n\n{rule}\n")

    async def run() -> None:
        async with running(tmp_path, policy=PolicyConfig(modules=rules)) as site:
            async with site.anonymous() as nobody, site.person("x@org") as stranger:
                for asking in (nobody, stranger):
                    with pytest.raises(AuthError):
                        await asking.status()
            async with site.admin() as admin:
                with pytest.raises(PolicyError, match="not on Sundays"):
                    await admin.status()

    asyncio.run(run())

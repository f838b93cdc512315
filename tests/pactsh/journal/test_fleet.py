"""Which vCluster a node is in is what its join token said, whatever the node says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pactsh.auth.ca import new_agent_request
from pactsh.errors import ForbiddenError
from pactsh.model.entry import Author
from pactsh.rpc.client import Journal
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import Site, collect, running


async def enrolled(site: Site, vcluster: str, node: str = "node042", **options: Any) -> Journal:
    """A client with the certificate that a join token for `vcluster` gave."""
    key, request = new_agent_request(node)
    token = site.server.data.join_tokens().create(node, vcluster)
    async with site.anonymous() as nobody:
        done = await nobody.enroll_agent(node, token, request)
    return Journal(site.server.agents_endpoint, ca=site.ca, cert=done.certificate_pem, key=key, **options)


def test_a_node_moves_itself_into_no_other_vcluster(tmp_path: Path) -> None:
    async def attempts(site: Site, agent: Journal) -> None:
        with pytest.raises(ForbiddenError, match="node042 was enrolled in vCluster ml, not in lax"):
            await agent.report_node(vcluster="lax")
        await agent.append([draft(1, type="agent.start", body={"vcluster": "lax", "ssh_address": "h:1"})])
        for asked in (agent.policy("lax"), collect(agent.watch_policy("lax"), 1)):
            with pytest.raises(ForbiddenError, match="enrolled in vCluster ml"):
                await asked
        async with site.admin() as admin:
            node = await admin.node("node042")
            assert (node.vcluster, [n.node for n in await admin.nodes("lax")]) == ("ml", [])
        await agent.report_node(vcluster="ml")
        assert (await agent.policy("ml")).vcluster == "ml"

    async def run() -> None:
        async with running(tmp_path) as site:
            async with await enrolled(site, "ml") as agent:
                await attempts(site, agent)
        async with running(tmp_path) as site, site.agent() as agent:
            await attempts(site, agent)

    asyncio.run(run())


def test_another_join_token_moves_it_and_its_open_streams_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            async with await enrolled(site, "ml") as agent:
                watched = agent.watch_policy("ml")
                assert (await anext(watched)).vcluster == "ml"
                async with await enrolled(site, "hpc") as moved:
                    await moved.report_node(vcluster="hpc")
                    assert (await moved.policy("hpc")).vcluster == "hpc"
                with pytest.raises(ForbiddenError, match="enrolled in vCluster hpc"):
                    await asyncio.wait_for(anext(watched), 20)
                with pytest.raises(ForbiddenError, match="enrolled in vCluster hpc"):
                    await agent.report_node(vcluster="ml")
            async with site.admin() as admin:
                found = await admin.list(10, type="node.enrolled", newest_first=False)
            assert [(e.message, (e.body or {})["vcluster"]) for e in found] == [
                ("node042 enrolled in vCluster ml", "ml"),
                ("node042 enrolled in vCluster hpc", "hpc"),
            ]

    asyncio.run(run())


def test_what_nodes_have_can_be_left_out_of_a_list(tmp_path: Path) -> None:
    details = b'{"drift": 2, "missing": ["caf\\u00e9"], "cap": {"cpu": {"count": 128}}}'

    async def run() -> None:
        async with running(tmp_path) as site:
            async with await enrolled(site, "ml") as agent:
                await agent.report_node(vcluster="ml", details=details)
            overlay: dict[str, Any] = {"vcluster": "ml", "version": 1, "values": {}}
            async with site.admin() as admin:
                (before,) = await admin.nodes("ml")
                author = Author("root@example.org", ("pact-platform-admin",))
                fields: dict[str, Any] = {"scope": "vcluster:ml", "author": author, "body": {"overlay": overlay}}
                await admin.append([draft(1, client="user:root@example.org:1", type="overlay.updated", **fields)])
                (brief,), one = await admin.nodes("ml", brief=True), await admin.node("node042")
            assert (before.details, before.overlay_wanted, one.details) == (details, 0, details)
            assert json.loads(brief.details) == {"drift": 2, "missing": ["café"]}
            assert (brief.overlay_wanted, one.overlay_wanted, brief.present) == (1, 1, True)

    asyncio.run(run())


def test_a_long_list_comes_whole(tmp_path: Path) -> None:
    names = [f"node{number}" for number in range(12)]

    async def run() -> None:
        async with running(tmp_path) as site:
            for name in names:
                async with site.agent(name) as agent:
                    await agent.report_node(vcluster="ml", details=json.dumps({"x": "y" * 60_000}).encode())
            async with site.admin() as admin:
                assert [node.node for node in await admin.nodes()] == sorted(names)

    asyncio.run(run())


def test_a_node_of_which_no_vcluster_is_known_reads_no_policy(tmp_path: Path) -> None:
    """What named none when it enrolled is where it first says that it is."""

    async def run() -> None:
        async with running(tmp_path) as site, site.agent() as agent:
            with pytest.raises(ForbiddenError, match="in no vCluster yet"):
                await agent.policy("ml")
            await agent.append([draft(1, type="agent.start", body={"vcluster": "ml"})])
            assert (await agent.policy("ml")).vcluster == "ml"
            with pytest.raises(ForbiddenError, match="enrolled in vCluster ml"):
                await agent.report_node(vcluster="lax")

    asyncio.run(run())

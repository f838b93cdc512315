"""The site's own policy on what people read: asked at the journal, not about agents."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pactsh.errors import PolicyError
from tests.pactsh.journal.site import ADMIN, collect, running
from tests.pactsh.journal.test_approvals import OPS, enrolled

MODULE = """package pact.authz
import rego.v1

deny contains "auditors alone read the log" if {
    input.action == "log"
    input.identity.principal != "audra@org"
}

deny contains "nobody looks at ml" if {
    input.action == "status"
    input.scope.vcluster == "ml"
}
"""


def test_what_a_person_may_not_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "site.rego").write_text(MODULE)

    async def go() -> None:
        async with running(tmp_path, policy={"modules": modules}) as site:
            await enrolled(site)
            async with site.person("bob@org", OPS) as bob, site.person("audra@org", ADMIN) as audra:
                reads = (
                    lambda j: j.list(), lambda j: j.get(1), lambda j: collect(j.watch(1), 1),
                    lambda j: collect(j.export(), 1),
                )  # fmt: skip
                for read in reads:
                    with pytest.raises(PolicyError, match="log: auditors alone read the log"):
                        await read(bob)
                    await read(audra)
                for look in (lambda: bob.nodes("ml"), lambda: bob.node("node042")):
                    with pytest.raises(PolicyError, match="status: nobody looks at ml"):
                        await look()
            async with site.agent() as agent:
                assert await agent.list()
                assert (await agent.node("node042")).vcluster == "ml"

    asyncio.run(go())

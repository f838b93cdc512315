"""The site's own policy on what people read: asked at the journal, not about agents."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pactsh.errors import PolicyError, UsageError
from pactsh.model.entry import JsonObject
from tests.pactsh.journal.site import ADMIN, collect, running
from tests.pactsh.journal.test_approvals import ALICE, OPS, enrolled

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
    modules = write(tmp_path, MODULE)

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


FROZEN = """package pact.authz
import rego.v1

deny contains "frozen" if input.action == "policy_update"
deny contains "operators don't approve" if {
    input.action == "approve"
    input.identity.role == "pact-ops-ml"
}
deny contains sprintf("role %s", [input.identity.role]) if input.action == "log"
"""


def write(tmp_path: Path, text: str) -> Path:
    modules = tmp_path / "modules"
    modules.mkdir(exist_ok=True)
    (modules / "site.rego").write_text(text)
    return modules


def test_what_it_refuses_two_persons_may_not_do_either(tmp_path: Path) -> None:
    """Neither by asking for a second person who is not needed, nor when the rule came after the question."""
    modules = write(tmp_path, "package pact.authz\nimport rego.v1\ndeny contains `x` if false\n")
    body: JsonObject = {"policy": {"vcluster": "ml", "version": 1, "audit": "strict"}}
    operation = json.dumps({"message": "x", "body": body}).encode()

    async def go() -> None:
        async with (
            running(tmp_path, policy={"modules": modules}) as site,
            site.admin() as root,
            site.person("bob@org", ADMIN) as bob,
        ):
            asked = await root.request_approval("policy_update", operation, "x", scope="vcluster:ml")
            write(tmp_path, FROZEN)
            async with asyncio.timeout(30):
                while True:
                    try:
                        await root.list()
                    except PolicyError:
                        break
            decided = await bob.decide_approval(asked.id, approve=True)
            assert (decided.state, decided.status, "frozen" in decided.message) == ("done", 3, True)
            with pytest.raises(PolicyError, match="frozen"):
                await root.request_approval("policy_update", operation, "x", scope="vcluster:ml")
            assert (await root.policy("ml")).seq == 0

    asyncio.run(go())


def test_rules_at_the_journal_know_the_role(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(tmp_path, policy={"modules": write(tmp_path, FROZEN)}) as site, site.agent() as agent:
            await enrolled(site)
            approval = await agent.request_approval("commit", b"{}", "x", requester=ALICE)
            async with site.person("bob@org", OPS) as bob, site.person("root@org", ADMIN) as root:
                for who, role in ((bob, OPS), (root, ADMIN)):
                    with pytest.raises(PolicyError, match=f"role {role}"):
                        await who.list(scope="vcluster:ml")
                with pytest.raises(PolicyError, match="operators don't approve"):
                    await bob.decide_approval(approval.id, approve=True)

    asyncio.run(go())


def test_one_agent_keeps_no_other_from_an_answer(tmp_path: Path) -> None:
    """Though it asks for hundreds of things, and leaves."""

    async def go() -> None:
        async with (
            running(tmp_path, policy={"modules": write(tmp_path, MODULE)}) as site,
            site.agent() as one,
            site.agent("node043") as other,
        ):
            big = json.dumps({"action": "exec", "identity": {}, "words": ["x" * 20] * 1500}).encode()
            for _ in range(5):
                asking = [asyncio.create_task(one.evaluate(big)) for _ in range(20)]
                assert not (await other.evaluate(b"{}")).deny
                for task in asking:
                    task.cancel()
                await asyncio.wait(asking)
            deep = b'{"a":' * 700 + b"1" + b"}" * 700
            with pytest.raises(UsageError, match="nested deeper than 64"):
                await one.evaluate(deep)

    asyncio.run(go())


def test_nothing_is_hidden_behind_a_nul(tmp_path: Path) -> None:
    rule = 'package pact.authz\nimport rego.v1\ndeny contains "x" if contains(input.message, "reboot")\n'
    modules = write(tmp_path, rule)

    async def go() -> None:
        async with running(tmp_path, policy={"modules": modules}) as site, site.agent() as agent:
            assert list((await agent.evaluate(json.dumps({"message": "a\0reboot"}).encode())).deny) == ["x"]

    asyncio.run(go())

"""What two persons have agreed to, done by the journal itself: once, over restarts, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from pactsh.delegates.deeds import Systems
from pactsh.errors import ConflictError, ForbiddenError
from pactsh.journal.datadir import DataDir
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.sqlite import SqliteStore
from pactsh.journal.store import Query
from pactsh.journal.systems import LatticeConfig
from pactsh.model.entry import Author, Draft
from tests.lattice import LatticeServer
from tests.pactsh.journal.site import Site, running
from tests.pactsh.journal.test_approvals import set_policy
from tests.pactsh.journal.test_delegated import LATER, as_of, ask, until
from tests.pactsh.journal.test_delegation import ALICE, BOB, DEADLINE_S, OPS, entries, facts, ran, site


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
        assert sorted((e["target"], e["status"], e["by"], e["approved_by"]) for e in done) == [
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
        job_id = slow.add_job(vcluster="ml")
        ids = asyncio.run(before(slow))
    with LatticeServer() as lattice:
        lattice.add_node("node042")
        asyncio.run(after(lattice, *ids))
        assert "Cancel" not in lattice.called()


def test_who_asked_does_not_tell_what_came_of_it(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            approval = await ask(alice, "cordon", ["node042", "node043"])
            await bob.decide_approval(approval.id, approve=True)
            async with asyncio.timeout(DEADLINE_S):
                while not await entries(found, "delegation.begun"):
                    await asyncio.sleep(0.02)
            with pytest.raises(ForbiddenError, match="by the journal"):
                await alice.end_delegation(approval.id, "node043", status=0, answer="forged")
            assert (await until(bob, approval.id, "done")).status == 0
        done = await entries(found, "delegation.done")
        assert {(entry["target"], entry["by_journal"]) for entry in done} == {("node042", True), ("node043", True)}
        assert {node.state for node in lattice.nodes.values()} == {"down"}

    with LatticeServer(delay_s=0.5) as lattice:
        lattice.add_node("node042")
        lattice.add_node("node043")
        ran(tmp_path, go, lattice=lattice_config(lattice))


@pytest.mark.parametrize("vcluster", ["other", ""])
def test_two_persons_of_a_vcluster_cancel_nothing_of_another(tmp_path: Path, vcluster: str) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            for action, target in (("job_cancel", foreign), ("dag_cancel", mixed)):
                approval = await ask(alice, action, [target])
                await bob.decide_approval(approval.id, approve=True)
                over = await until(bob, approval.id, "done")
                assert (over.status, over.kind) == (2, "forbidden")
                assert "where nobody has agreed to that" in over.message
            assert lattice.called("Cancel", "CancelDag") == []
            approval = await ask(alice, "job_cancel", [own])
            await bob.decide_approval(approval.id, approve=True)
            assert (await until(bob, approval.id, "done")).status == 0
        assert lattice.job(own).state == "cancelled"

    with LatticeServer() as lattice:
        own, foreign = lattice.add_job(vcluster="ml"), lattice.add_job(vcluster=vcluster)
        mixed = lattice.add_dag([own, foreign])
        ran(tmp_path, go, lattice=lattice_config(lattice))


def test_it_asks_again_where_lattice_limits_calls(tmp_path: Path) -> None:
    async def go(found: Site) -> None:
        async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
            approval = await ask(alice, "cordon", ["node042"])
            await bob.decide_approval(approval.id, approve=True)
            assert (await until(bob, approval.id, "done")).status == 0

    with LatticeServer() as lattice:
        lattice.add_node("node042")
        lattice.fail_once["NodeService/DisableNode"] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit exceeded")
        ran(tmp_path, go, lattice=lattice_config(lattice))


@pytest.mark.parametrize("begun", [False, True], ids=["not begun", "begun"])
@pytest.mark.parametrize("when", ["in time", "too late"])
def test_a_journal_that_is_back_too_late_does_nothing_more(tmp_path: Path, when: str, begun: bool) -> None:
    async def before(lattice: LatticeServer) -> str:
        async with site(tmp_path, lattice=lattice_config(lattice)) as found:
            async with found.person(*ALICE) as alice, found.person(*BOB) as bob:
                approval = await ask(alice, "cordon", ["node042"], reason="fan")
                if begun:
                    await bob.decide_approval(approval.id, approve=True)
                    async with asyncio.timeout(DEADLINE_S):
                        while not await entries(found, "delegation.begun"):
                            await asyncio.sleep(0.02)
            return approval.id

    async def after(lattice: LatticeServer, id_: str) -> tuple[int, str]:
        async with opened(tmp_path) as ledger:
            if not begun:  # it ended between the second person's word and the deed
                bob = Author("bob@org", (OPS,), "human")
                client, kind, scope = f"journal:approval:{id_}", "approval.approved", "vcluster:ml"
                await ledger.append(Draft(client, 2, now_text(), kind, scope, bob, body={"id": id_}))
            settings = lattice_config(lattice).settings()
            async with as_of(ledger, LATER[when], Systems(lattice=settings)), asyncio.timeout(DEADLINE_S):
                while not (found := await ledger.store.query(Query(types=("approval.done",), limit=2))):
                    await asyncio.sleep(0.05)
            (entry,) = [record.entry() for record in found]
            assert entry.body is not None
            return int(str(entry.body["status"])), entry.message

    with LatticeServer(delay_s=1.5) as slow:  # the journal ends before lattice has answered
        slow.add_node("node042")
        id_ = asyncio.run(before(slow))
    with LatticeServer() as lattice:
        lattice.add_node("node042")
        status, text = asyncio.run(after(lattice, id_))
        if when == "in time":
            assert (status, lattice.node("node042").state) == (0, "down")
        else:
            words = "is not known: the journal ended" if begun else "the journal was not there in time"
            assert (status, words in text) == (5, True)
            assert lattice.called() == []


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Ledger]:
    """The entries of a journal that does not run."""
    data = DataDir(directory / "data")
    data.open()
    store = await SqliteStore.open(data.database, clock=now_text)
    ledger = Ledger(store, data.authority().head_key)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()
        data.close()

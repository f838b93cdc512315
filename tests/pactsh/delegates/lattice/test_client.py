"""lattice's calls, against a server with lattice's habits: what it is asked for and does not do is done here."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

import grpc
import pytest

from pactsh.delegates.lattice import admin_pb2 as admin
from pactsh.delegates.lattice import allocations_pb2 as allocations
from pactsh.delegates.lattice.client import Lattice
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import AuthError, ConflictError, ForbiddenError, NotFoundError, PactError, UsageError
from tests.lattice import LatticeServer, stamp
from tests.lattice.server import CALLS_A_MINUTE
from tests.lattice.wire import Wire

Code = grpc.StatusCode

# -- what the real one can be asked for as well


@pytest.mark.skipif(
    "PACT_TEST_LATTICE" not in os.environ,
    reason="PACT_TEST_LATTICE names no lattice-server: with its path, the tests with `wire` try that one as well",
)
def test_the_real_lattice_is_tried_as_well() -> None:
    assert os.access(os.environ["PACT_TEST_LATTICE"], os.X_OK)


def test_jobs_are_seen_by_their_filters(wire: Wire) -> None:
    mine, bobs = wire.submit("alice"), wire.submit("bob", vcluster="io", tenant="chemistry")
    with wire.client() as lattice:
        assert {job.id for job in lattice.jobs()} == {mine, bobs}
        assert [job.id for job in lattice.jobs(user="bob")] == [bobs]
        assert [job.id for job in lattice.jobs(vcluster="ml-training")] == [mine]
        assert [job.id for job in lattice.jobs(tenant="chemistry")] == [bobs]
        assert {job.id for job in lattice.jobs(state="pending")} == {mine, bobs}
        assert lattice.jobs(state="running") == []


def test_a_job_in_full(wire: Wire) -> None:
    id_ = wire.submit("alice", tags={"team": "llm"})
    with wire.client() as lattice:
        job = lattice.job(id_)
    assert (job.id, job.state, job.user, job.tenant, job.vcluster) == (
        id_,
        "pending",
        "alice",
        "physics",
        "ml-training",
    )
    assert (job.project, job.entrypoint, job.tags) == ("llm", "./train.sh", {"team": "llm"})
    assert (job.exit_code, job.started, job.completed, job.nodes) == (None, None, None, ())
    assert (job.walltime_s, job.kind) == (3600, "bounded")
    assert job.created is not None


def test_a_job_that_is_not_there(wire: Wire) -> None:
    with wire.client() as lattice:
        with pytest.raises(NotFoundError, match=r"^lattice: "):
            lattice.job(str(uuid.uuid4()))
        with pytest.raises(UsageError, match=r"^lattice: "):
            lattice.job("job-7")


def test_a_job_of_mine_is_cancelled(wire: Wire) -> None:
    id_ = wire.submit("alice")
    with wire.client("alice") as lattice:
        lattice.cancel_job(id_, owner="alice")
        assert lattice.job(id_).state == "cancelled"
        with pytest.raises(ConflictError, match="Invalid transition"):
            lattice.cancel_job(id_, owner="alice")


def test_a_job_of_somebody_else_is_cancelled_without_a_name(wire: Wire) -> None:
    """pact has decided that this may be done; lattice would refuse whoever says who they are."""
    id_ = wire.submit("bob")
    with wire.client("alice") as lattice:
        with pytest.raises(ForbiddenError):
            lattice.cancel_job(id_, owner="alice")
        lattice.cancel_job(id_, owner="bob")
        assert lattice.job(id_).state == "cancelled"


def test_a_dag(wire: Wire) -> None:
    id_ = wire.submit_dag("alice", 3)
    with wire.client() as lattice:
        assert [dag.id for dag in lattice.dags()] == [id_]
        dag = lattice.dag(id_)
        assert (dag.state, len(dag.jobs), dag.ended) == ("pending", 3, None)
        assert lattice.cancel_dag(id_) == 3
        assert lattice.dag(id_).state == "completed", "that is what lattice calls it, however its jobs ended"
        with pytest.raises(PactError, match="cancelled nothing of DAG"):
            lattice.cancel_dag(id_)
        with pytest.raises(NotFoundError):
            lattice.dag(str(uuid.uuid4()))


def test_nodes(wire: Wire) -> None:
    for name in ("nid002", "nid001", "nid003"):
        wire.register(name)
    with wire.client() as lattice:
        assert [node.id for node in lattice.nodes()] == ["nid001", "nid002", "nid003"]
        lattice.disable("nid002", "new DIMMs")
        assert [(node.id, node.state, node.reason) for node in lattice.nodes(state="down")] == [
            ("nid002", "down", "new DIMMs")
        ]
        assert [node.id for node in lattice.nodes()] == ["nid002", "nid001", "nid003"], "the worst first"
        lattice.enable("nid002")
        assert lattice.drain("nid001", "why") == 0
        assert lattice.node("nid001").state == "drained"
        lattice.undrain("nid001")
        assert {node.state for node in lattice.nodes()} == {"ready"}
        node = lattice.node("nid003")
        assert (node.cpu_cores, node.memory_gb, node.gpu_type, node.gpu_count) == (64, 512, "GH200", 4)


def test_what_can_t_be_done_to_a_node(wire: Wire) -> None:
    wire.register("nid001")
    with wire.client() as lattice:
        lattice.disable("nid001", "why")
        for act in (lambda: lattice.disable("nid001", ""), lambda: lattice.drain("nid001", "")):
            with pytest.raises(ConflictError, match="Invalid node transition"):
                act()
        with pytest.raises(ConflictError, match=r"^lattice: "):
            lattice.undrain("nid001")


NODE_CALLS: list[Callable[[Lattice], object]] = [
    lambda lattice: lattice.node("nid999"),
    lambda lattice: lattice.drain("nid999", ""),
    lambda lattice: lattice.undrain("nid999"),
    lambda lattice: lattice.disable("nid999", ""),
    lambda lattice: lattice.enable("nid999"),
]


@pytest.mark.parametrize("call", NODE_CALLS)
def test_a_node_that_lattice_does_not_know(wire: Wire, call: Callable[[Lattice], object]) -> None:
    with wire.client() as lattice, pytest.raises(NotFoundError, match=r"^lattice: "):
        call(lattice)


def test_queues(wire: Wire) -> None:
    for _ in range(3):
        wire.submit("alice")
    with wire.client() as lattice:
        queue = lattice.queue("ml-training")
        assert (queue.pending, queue.running, queue.total) == (3, 0, 3)
        assert lattice.queue("nowhere").total == 0, "an unknown vCluster is an empty one"


def test_what_lattice_never_says(wire: Wire) -> None:
    wire.submit("alice")
    with wire.client() as lattice:
        assert lattice.audit() == []
        assert lattice.accounting("physics").is_empty
        assert lattice.raft().members == ()
        assert lattice.health().status == "healthy"


def test_what_tenants_and_users_have_used(wire: Wire) -> None:
    wire.tenant("physics", gpu_hours_budget=1000.0)
    with wire.client() as lattice:
        usage = lattice.tenant_usage("physics", 0)
        assert (usage.tenant, usage.days, usage.gpu_budget, usage.node_budget) == ("physics", 90, 1000.0, None)
        assert usage.node_fraction is None
        with pytest.raises(NotFoundError):
            lattice.tenant_usage("nobody", 30)
        with pytest.raises(NotFoundError, match=r"^lattice has no usage of user nobody$"):
            lattice.user_usage("nobody", 30)


@pytest.mark.parametrize("word", ["Running", "run", "ready"])
def test_a_word_that_would_drop_the_filter_is_not_sent(wire: Wire, word: str) -> None:
    wire.submit("alice")
    with wire.client() as lattice, pytest.raises(UsageError, match=r"^state '.*': expected one of pending, "):
        lattice.jobs(state=word)


@pytest.mark.parametrize("word", ["disabled", "DOWN", "running"])
def test_a_word_that_would_be_read_as_unknown_is_not_sent(wire: Wire, word: str) -> None:
    with wire.client() as lattice, pytest.raises(UsageError, match=r"^state '.*': expected one of failed, down, "):
        lattice.nodes(state=word)


def test_backups_without_a_path(wire: Wire) -> None:
    with wire.client() as lattice:
        for call in (lattice.create_backup, lattice.verify_backup):
            with pytest.raises(UsageError, match=r"^lattice: "):
                call("")


# -- the tests' own alone


def test_filters_that_lattice_leaves_undone_are_done_here(server: LatticeServer, lattice: Lattice) -> None:
    for name, vcluster in (("n1", "io"), ("n2", "ml"), ("n3", "")):
        server.add_node(name, owner_vcluster=vcluster)
    assert [node.id for node in lattice.nodes(vcluster="io")] == ["n1"]
    alices = server.add_dag([server.add_job(user="alice"), server.add_job(user="carol")])
    bobs = server.add_dag([server.add_job(user="bob", state="completed")])
    assert [dag.id for dag in lattice.dags(user="carol")] == [alices]
    assert [dag.id for dag in lattice.dags(state="completed")] == [bobs]


def test_rows_come_in_an_order_of_ours(server: LatticeServer, lattice: Lattice) -> None:
    ids = [server.add_job(age_s=age) for age in range(600, 0, -60)]
    assert [job.id for job in lattice.jobs()] == ids[::-1]
    for number in range(20):
        server.add_node(f"n{number:02}")
    assert [node.id for node in lattice.nodes()] == [f"n{number:02}" for number in range(20)]
    server.audit = [admin.AuditEntryProto(id=f"e{age}", timestamp=stamp(age)) for age in (300, 100, 200)]
    assert [entry.id for entry in lattice.audit()] == ["e100", "e200", "e300"]


@pytest.mark.parametrize("page_size", [1, 3, 10, 11])
def test_a_later_lattice_may_page(server: LatticeServer, lattice: Lattice, page_size: int) -> None:
    server.page_size = page_size
    jobs = {server.add_job() for _ in range(10)}
    assert {job.id for job in lattice.jobs()} == jobs
    assert len(server.called("List")) == -(-10 // page_size)
    for number in range(4):
        server.add_node(f"n{number}")
    assert len(lattice.nodes()) == 4


def test_a_page_that_comes_again_and_again(server: LatticeServer, lattice: Lattice) -> None:
    reply = allocations.ListAllocationsResponse(next_cursor="x")
    server.raw["AllocationService/List"] = reply.SerializeToString()
    with pytest.raises(PactError, match="sends the same page of AllocationService/List again and again"):
        lattice.jobs()
    assert len(server.calls) == 2


def test_what_holds_a_node_is_found_by_its_jobs(server: LatticeServer, lattice: Lattice) -> None:
    held = server.add_job(nodes=["n1", "n2"])
    server.add_job(nodes=["n1"], state="completed")
    suspended = server.add_job(nodes=["n2"], state="suspended")
    server.add_job(state="pending")
    found = lattice.jobs_on(["n1", "n2", "n3"])
    assert {name: {job.id for job in jobs} for name, jobs in found.items()} == {
        "n1": {held},
        "n2": {held, suspended},
        "n3": set(),
    }


def test_users_use(server: LatticeServer, lattice: Lattice) -> None:
    server.add_job(user="bob", tenant="physics")
    server.add_job(user="bob", tenant="chemistry")
    usage = lattice.user_usage("bob", 30)
    assert [one.tenant for one in usage.tenants] == ["chemistry", "physics"]
    assert usage.gpu_hours == 25


def test_a_quorum_with_members(server: LatticeServer, lattice: Lattice) -> None:
    server.members = [admin.RaftMemberStatus(node_id=id_, address=f"l{id_}:9000", role="follower") for id_ in (3, 1)]
    server.leader = 0
    raft = lattice.raft()
    assert raft.leader is None
    assert [member.id for member in raft.members] == [1, 3]


def test_backups(server: LatticeServer, lattice: Lattice) -> None:
    server.add_node("n1")
    made = lattice.create_backup("/backups/a")
    assert (made.path, made.nodes, made.jobs) == ("/backups/a", 1, 0)
    assert lattice.verify_backup("/backups/a").valid
    assert "restart" in lattice.restore_backup("/backups/a")
    assert not lattice.verify_backup("/backups/b").valid
    with pytest.raises(PactError, match=r"^lattice did not restore /backups/b: No such file or directory"):
        lattice.restore_backup("/backups/b")
    with pytest.raises(PactError, match=r"^lattice could not write /missing/b: No such file"):
        lattice.create_backup("/missing/b")
    server.data_dir = False
    with pytest.raises(PactError, match="can't do that now: no data_dir configured"):
        lattice.restore_backup("/backups/a")


def test_a_write_sent_to_a_follower(server: LatticeServer, lattice: Lattice) -> None:
    server.add_node("n1")
    server.fail["NodeService/DrainNode"] = (Code.INTERNAL, "Quorum error: has to forward request to: Some(2)")
    with pytest.raises(PactError, match="could not write: Quorum error") as caught:
        lattice.drain("n1", "why")
    assert "point lattice_endpoint at the leader" in caught.value.hint


def test_calls_are_limited(lattice: Lattice, server: LatticeServer) -> None:
    server.limited = True
    for _ in range(CALLS_A_MINUTE):
        lattice.health()
    with pytest.raises(PactError, match="rate limit exceeded") as caught:
        lattice.health()
    assert "try again in a minute" in caught.value.hint


def test_a_token_is_wanted_of_every_call(server: LatticeServer, lattice: Lattice) -> None:
    server.token = "t0k3n"
    for call in (lattice.jobs, lattice.nodes, lattice.health, lattice.raft, lattice.audit, lattice.dags):
        with pytest.raises(AuthError, match="wants a token"):
            call()


def test_everything_says_for_whom_it_is(server: LatticeServer) -> None:
    server.add_node("n1")
    bobs = server.add_job(user="bob")
    with Lattice(LatticeSettings(server.endpoint), user="alice", timeout_s=10) as lattice:
        lattice.nodes()
        lattice.drain("n1", "why")
        lattice.cancel_job(bobs, owner="bob")
    named = {name.split("/")[1]: sent.get("x-lattice-user") for name, sent in server.calls}
    assert named == {"ListNodes": "alice", "DrainNode": "alice", "Cancel": None}

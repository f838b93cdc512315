"""lattice's messages as values: what it leaves out, what it can't mean, and its times."""

from __future__ import annotations

import pytest

from pactsh.delegates.lattice import admin_pb2 as admin
from pactsh.delegates.lattice import allocations_pb2 as allocations
from pactsh.delegates.lattice import nodes_pb2 as nodes
from pactsh.delegates.lattice.reading import dag_of, job_of, node_of, raft_of, tenant_usage_of, time_text, user_usage_of


def made(state: str, created: int = 0, completed: int = 0, exit_code: int = -1) -> allocations.AllocationStatus:
    found = allocations.AllocationStatus(allocation_id=f"{state}-{created}", state=state, exit_code=exit_code)
    if created:
        found.created_at.seconds = created
    if completed:
        found.completed_at.seconds = completed
    return found


@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1_795_000_000, 999_999_999, "2026-11-18T11:06:40Z"),
        (-1, 0, "1969-12-31T23:59:59Z"),
        (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
        (253_402_300_800, 0, None),
        (-62_135_596_801, 0, None),
        (2**63 - 1, 0, None),
        (-(2**63), 0, None),
        (0, 2**31 - 1, None),
        (0, -1, None),
    ],
)
def test_times(seconds: int, nanos: int, expected: str | None) -> None:
    found = nodes.NodeStatus()
    found.last_heartbeat.seconds, found.last_heartbeat.nanos = seconds, nanos
    assert time_text(found, "last_heartbeat") == expected
    assert node_of(found).last_heartbeat == expected


def test_no_time() -> None:
    assert time_text(nodes.NodeStatus(), "last_heartbeat") is None


def test_a_job_that_says_nothing() -> None:
    job = job_of(allocations.AllocationStatus())
    assert (job.id, job.state, job.created, job.walltime_s, job.exit_code, job.kind) == (
        "",
        "",
        None,
        None,
        None,
        "bounded",
    )


@pytest.mark.parametrize(
    ("state", "exit_code", "expected"),
    [("running", -1, None), ("running", 0, None), ("completed", 0, 0), ("failed", 137, 137), ("failed", -1, None)],
)
def test_an_exit_code_counts_when_it_has_one(state: str, exit_code: int, expected: int | None) -> None:
    assert job_of(made(state, exit_code=exit_code)).exit_code == expected


def test_a_kind_that_is_none_of_ours() -> None:
    found = allocations.AllocationStatus()
    found.spec.lifecycle.type = 7  # type: ignore[assignment]  # an enum of a later version
    assert job_of(found).kind == "7"


def test_a_job_in_full() -> None:
    found = made("completed", 100, 200, 0)
    spec = found.spec
    spec.tenant, spec.project, spec.vcluster, spec.entrypoint, spec.sensitive = "t", "p", "v", "./e", True
    spec.lifecycle.walltime.seconds, spec.lifecycle.walltime.nanos = 90, 500_000_000
    spec.lifecycle.preemption_class, spec.requeue_policy, spec.max_requeue = 3, "never", 2
    spec.resources.min_nodes, spec.resources.max_nodes, spec.resources.gpu_type = 1, 4, "GH200"
    spec.resources.features.append("nvme")
    spec.depends_on.add(ref_id="x", condition="success")
    spec.connectivity.expose.add(name="web", port=80, protocol="tcp")
    spec.tags["a"] = "b"
    job = job_of(found)
    assert (job.tenant, job.project, job.vcluster, job.entrypoint, job.sensitive) == ("t", "p", "v", "./e", True)
    assert (job.walltime_s, job.preemption_class, job.requeue_policy, job.max_requeue) == (90.5, 3, "never", 2)
    assert (job.min_nodes, job.max_nodes, job.gpu_type, job.features) == (1, 4, "GH200", ("nvme",))
    assert (job.depends_on, job.endpoints, job.tags) == ((("x", "success"),), (("web", 80, "tcp"),), {"a": "b"})


def test_parts_of_a_specification_that_pact_does_not_show_are_passed_over() -> None:
    """Fields 10, 40 and 85 are lattice's: environment, data, liveness probe."""
    spec = b"\x12\x01t" + b"\x52\x02\x0a\x00" + b"\xc2\x02\x02\x0a\x00" + b"\xaa\x05\x02\x0a\x00"
    found = allocations.AllocationStatus.FromString(b"\x1a" + bytes([len(spec)]) + spec)
    assert job_of(found).tenant == "t"


def test_a_dag_begins_with_its_first_job_and_ends_with_its_last() -> None:
    found = allocations.DagStatus(
        dag_id="d", state="running", allocations=[made("completed", 300, 400), made("running", 100)]
    )
    found.created_at.seconds, found.completed_at.seconds = 300, 400  # as lattice has it
    dag = dag_of(found)
    assert (dag.created, dag.ended) == ("1970-01-01T00:01:40Z", None)
    found.allocations[1].completed_at.seconds = 500
    assert dag_of(found).ended == "1970-01-01T00:08:20Z"


def test_a_dag_without_jobs() -> None:
    found = allocations.DagStatus(dag_id="d")
    assert (dag_of(found).created, dag_of(found).ended) == (None, None)


def test_a_node_in_full() -> None:
    found = nodes.NodeStatus(node_id="n", state="down", state_reason="why", features=["a"], owner_allocation="j")
    found.memory_domains.add(id=0, domain_type="hbm", capacity_bytes=1 << 40, attached_cpus=[0, 1])
    found.memory_domains.add(id=1, numa_node=0, attached_gpus=[2])
    node = node_of(found)
    assert (node.id, node.state, node.reason, node.features, node.owner_job) == ("n", "down", "why", ("a",), "j")
    assert [one.numa_node for one in node.memory] == [None, 0]
    assert (node.memory[0].cpus, node.memory[1].gpus) == ((0, 1), (2,))


def test_no_budget_is_not_a_budget_of_zero() -> None:
    found = admin.TenantUsageResponse(tenant="t", gpu_hours_budget=0)
    usage = tenant_usage_of(found)
    assert (usage.gpu_budget, usage.node_budget, usage.gpu_fraction) == (0, None, None)
    user = user_usage_of(
        admin.UserUsageResponse(tenants=[admin.UserTenantUsageProto(tenant=name) for name in ("b", "a")])
    )
    assert [(one.tenant, one.gpu_budget) for one in user.tenants] == [("a", None), ("b", None)]


def test_a_leader_of_zero_is_none() -> None:
    assert raft_of(admin.RaftStatusResponse()).leader is None
    assert raft_of(admin.RaftStatusResponse(leader_id=2)).leader == 2

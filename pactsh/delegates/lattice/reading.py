"""lattice's messages to values."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from pactsh.delegates.lattice import model
from pactsh.delegates.lattice.words import ENDED

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from pactsh.delegates.lattice import admin_pb2 as admin
    from pactsh.delegates.lattice import allocations_pb2 as allocations
    from pactsh.delegates.lattice import nodes_pb2 as nodes

_KINDS = ("bounded", "unbounded", "reactive")
_UNKNOWN_STATUS = -1


def time_text(message: object, field: str) -> str | None:
    """A time of a message as RFC 3339 UTC; None where it has none, or one that no calendar has."""
    if not message.HasField(field):  # type: ignore[attr-defined]  # every protobuf message has it
        return None
    stamp: Timestamp = getattr(message, field)
    try:
        return stamp.ToDatetime(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return None


def job_of(found: allocations.AllocationStatus) -> model.Job:
    """An allocation."""
    spec = found.spec
    life, needs = spec.lifecycle, spec.resources
    return model.Job(
        id=found.allocation_id,
        state=found.state,
        user=found.user,
        tenant=spec.tenant,
        project=spec.project,
        vcluster=spec.vcluster,
        nodes=tuple(found.assigned_nodes),
        created=time_text(found, "created_at"),
        started=time_text(found, "started_at"),
        completed=time_text(found, "completed_at"),
        exit_code=None if found.exit_code == _UNKNOWN_STATUS or found.state not in ENDED else found.exit_code,
        message=found.message,
        entrypoint=spec.entrypoint,
        kind=_KINDS[life.type] if 0 <= life.type < len(_KINDS) else str(life.type),
        walltime_s=life.walltime.seconds + life.walltime.nanos / 1e9 if life.HasField("walltime") else None,
        min_nodes=needs.min_nodes,
        max_nodes=needs.max_nodes,
        gpu_type=needs.gpu_type,
        features=tuple(needs.features),
        tags=dict(spec.tags),
        depends_on=tuple((one.ref_id, one.condition) for one in spec.depends_on),
        sensitive=spec.sensitive,
        preemption_class=life.preemption_class,
        requeue_policy=spec.requeue_policy,
        max_requeue=spec.max_requeue,
        endpoints=tuple((one.name, one.port, one.protocol) for one in spec.connectivity.expose),
    )


def dag_of(found: allocations.DagStatus) -> model.Dag:
    """A DAG. Its times are made of its jobs': lattice's own are those of whichever job comes first."""
    jobs = tuple(job_of(one) for one in found.allocations)
    created = [job.created for job in jobs if job.created is not None]
    ends = [job.completed for job in jobs]
    ended = None if not ends or None in ends else max(str(end) for end in ends)
    return model.Dag(found.dag_id, found.state, jobs, min(created, default=time_text(found, "created_at")), ended)


def node_of(found: nodes.NodeStatus) -> model.Node:
    """A node."""
    memory = tuple(
        model.MemoryDomain(
            one.id,
            one.domain_type,
            one.capacity_bytes,
            one.numa_node if one.HasField("numa_node") else None,
            tuple(one.attached_cpus),
            tuple(one.attached_gpus),
        )
        for one in found.memory_domains
    )
    return model.Node(
        id=found.node_id,
        state=found.state,
        reason=found.state_reason,
        group=found.group,
        gpu_type=found.gpu_type,
        gpu_count=found.gpu_count,
        cpu_cores=found.cpu_cores,
        memory_gb=found.memory_gb,
        features=tuple(found.features),
        owner_tenant=found.owner_tenant,
        owner_vcluster=found.owner_vcluster,
        owner_job=found.owner_allocation,
        claimed_by=found.claimed_by,
        is_borrowed=found.is_borrowed,
        conformance=found.conformance_fingerprint,
        last_heartbeat=time_text(found, "last_heartbeat"),
        memory=memory,
        agent_address=found.agent_address,
        dispatch_failures=found.consecutive_dispatch_failures,
        reattaching=found.reattach_in_progress,
    )


def raft_of(found: admin.RaftStatusResponse) -> model.Raft:
    """The quorum."""
    members = tuple(
        model.RaftMember(one.node_id, one.address, one.role, one.match_index, time_text(one, "last_contact"))
        for one in sorted(found.members, key=lambda one: one.node_id)
    )
    return model.Raft(found.leader_id or None, found.current_term, found.last_applied, found.commit_index, members)


def _set(message: object, field: str) -> float | None:
    return float(getattr(message, field)) if message.HasField(field) else None  # type: ignore[attr-defined]


def tenant_usage_of(found: admin.TenantUsageResponse) -> model.TenantUsage:
    """A tenant's use; what has no budget has None for it."""
    return model.TenantUsage(
        found.tenant,
        found.gpu_hours_used,
        _set(found, "gpu_hours_budget"),
        _set(found, "gpu_fraction_used"),
        found.node_hours_used,
        _set(found, "node_hours_budget"),
        _set(found, "node_fraction_used"),
        found.period_start,
        found.period_end,
        found.period_days,
    )


def user_usage_of(found: admin.UserUsageResponse) -> model.UserUsage:
    """A user's use, the tenants by name."""
    tenants = tuple(
        model.UserTenantUsage(
            one.tenant,
            one.gpu_hours_used,
            _set(one, "gpu_hours_budget"),
            one.node_hours_used,
            _set(one, "node_hours_budget"),
        )
        for one in sorted(found.tenants, key=lambda one: one.tenant)
    )
    return model.UserUsage(found.user, tenants, found.total_gpu_hours, found.period_start, found.period_end)

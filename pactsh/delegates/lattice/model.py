"""What lattice says, as values. Times are RFC 3339 UTC, None where it says none; "" is a text that it left empty."""

from __future__ import annotations

import msgspec


class Job(msgspec.Struct, frozen=True):
    """An allocation. `exit_code` is None while it is not known (lattice says -1), `walltime_s` where it has no end."""

    id: str
    state: str
    user: str
    tenant: str
    project: str
    vcluster: str
    nodes: tuple[str, ...]
    created: str | None
    started: str | None
    completed: str | None
    exit_code: int | None
    message: str
    entrypoint: str
    kind: str
    walltime_s: float | None
    min_nodes: int
    max_nodes: int
    gpu_type: str
    features: tuple[str, ...]
    tags: dict[str, str]
    depends_on: tuple[tuple[str, str], ...]
    sensitive: bool
    preemption_class: int
    requeue_policy: str
    max_requeue: int
    endpoints: tuple[tuple[str, int, str], ...]


class Dag(msgspec.Struct, frozen=True):
    """Jobs that depend on each other. `ended` is None while one of them has not ended, other than lattice says it."""

    id: str
    state: str
    jobs: tuple[Job, ...]
    created: str | None
    ended: str | None


class MemoryDomain(msgspec.Struct, frozen=True):
    """A pool of memory of a node."""

    id: int
    type: str
    capacity_bytes: int
    numa_node: int | None
    cpus: tuple[int, ...]
    gpus: tuple[int, ...]


class Node(msgspec.Struct, frozen=True):
    """A node as the scheduler has it."""

    id: str
    state: str
    reason: str
    group: int
    gpu_type: str
    gpu_count: int
    cpu_cores: int
    memory_gb: int
    features: tuple[str, ...]
    owner_tenant: str
    owner_vcluster: str
    owner_job: str
    claimed_by: str
    is_borrowed: bool
    conformance: str
    last_heartbeat: str | None
    memory: tuple[MemoryDomain, ...]
    agent_address: str
    dispatch_failures: int
    reattaching: bool


class Queue(msgspec.Struct, frozen=True):
    """How many jobs of a vCluster are in which state; an unknown one has none of any."""

    vcluster: str
    pending: int
    running: int
    total: int


class RaftMember(msgspec.Struct, frozen=True):
    """One member of lattice's quorum."""

    id: int
    address: str
    role: str
    match_index: int
    last_contact: str | None


class Raft(msgspec.Struct, frozen=True):
    """lattice's quorum. `leader` is None where none is known, `members` empty where lattice does not say."""

    leader: int | None
    term: int
    last_applied: int
    commit_index: int
    members: tuple[RaftMember, ...]


class AuditEntry(msgspec.Struct, frozen=True):
    """One entry of lattice's audit."""

    id: str
    tenant: str
    user: str
    action: str
    details: str
    time: str | None


class Accounting(msgspec.Struct, frozen=True):
    """Figures of a tenant. lattice answers with zeros in all of them whatever was used: `is_empty`."""

    tenant: str
    cpu_hours: float
    gpu_hours: float
    storage_bytes: int
    jobs: int

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return not (self.cpu_hours or self.gpu_hours or self.storage_bytes or self.jobs)


class TenantUsage(msgspec.Struct, frozen=True):
    """What a tenant has used of its budget; None: no budget is set. Fractions are ratios: 1.0 is all of it."""

    tenant: str
    gpu_hours: float
    gpu_budget: float | None
    gpu_fraction: float | None
    node_hours: float
    node_budget: float | None
    node_fraction: float | None
    start: str
    end: str
    days: int


class UserTenantUsage(msgspec.Struct, frozen=True):
    """What a user has used of one tenant's budget; None: none is set."""

    tenant: str
    gpu_hours: float
    gpu_budget: float | None
    node_hours: float
    node_budget: float | None


class UserUsage(msgspec.Struct, frozen=True):
    """What a user has used; of one whom lattice does not know there are no tenants."""

    user: str
    tenants: tuple[UserTenantUsage, ...]
    gpu_hours: float
    start: str
    end: str


class Backup(msgspec.Struct, frozen=True):
    """A backup that was made: when, and of how much."""

    path: str
    message: str
    time: str | None
    nodes: int
    jobs: int
    tenants: int
    audit_entries: int


class BackupCheck(msgspec.Struct, frozen=True):
    """Whether a backup can be used. `path` is on lattice's own disk."""

    path: str
    valid: bool
    message: str
    time: str | None


class Health(msgspec.Struct, frozen=True):
    """What lattice says of itself: always healthy, as long as it answers."""

    status: str
    version: str

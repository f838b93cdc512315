"""What the tests' lattice holds, and how a test puts it there."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc

from pactsh.delegates.lattice import admin_pb2 as admin
from pactsh.delegates.lattice import allocations_pb2 as allocations
from pactsh.delegates.lattice import nodes_pb2 as nodes
from pactsh.delegates.lattice.words import ENDED, HOLDING

Sent = Mapping[str, str]
"""The metadata of a call."""


class Refused(Exception):
    """Ends a call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


def stamp(seconds_ago: float = 0) -> Any:
    from google.protobuf.timestamp_pb2 import Timestamp

    found = Timestamp()
    found.FromDatetime(datetime.fromtimestamp(time.time() - seconds_ago, UTC))
    return found


def shuffled(rows: Sequence[Any]) -> list[Any]:
    """In no order, as out of a hash map."""
    return random.sample(list(rows), len(rows))


class State:
    """Nodes, jobs, DAGs, tenants and the rest, by id. Tests look here and may change what they find."""

    def __init__(self) -> None:
        self.nodes: dict[str, nodes.NodeStatus] = {}
        self.jobs: dict[str, allocations.AllocationStatus] = {}
        self.dags: dict[str, list[str]] = {}
        self.tenants: dict[str, admin.TenantResponse] = {}
        self.members: list[admin.RaftMemberStatus] = []
        self.audit: list[admin.AuditEntryProto] = []
        self.backups: set[str] = set()
        self.leader = 1
        self.data_dir = True

    def add_node(self, name: str, state: str = "ready", **fields: Any) -> None:
        self.nodes[name] = nodes.NodeStatus(node_id=name, state=state, **{"cpu_cores": 64, "memory_gb": 512, **fields})

    def add_tenant(self, name: str, **quota: Any) -> None:
        self.tenants[name] = admin.TenantResponse(tenant_id=name, name=name, quota=admin.TenantQuotaSpec(**quota))

    def add_job(
        self,
        *,
        user: str = "alice",
        state: str = "running",
        nodes: Sequence[str] = (),
        vcluster: str = "ml-training",
        tenant: str = "physics",
        walltime_s: int | None = 3600,
        age_s: float = 600,
        depends_on: Sequence[tuple[str, str]] = (),
        **spec: Any,
    ) -> str:
        """A job that was made so long ago; returns its id."""
        id_ = str(uuid.uuid4())
        wanted = allocations.AllocationSpec(
            id=id_, tenant=tenant, vcluster=vcluster, **{"entrypoint": "./train.sh", "project": "llm", **spec}
        )
        if walltime_s is not None:
            wanted.lifecycle.walltime.seconds = walltime_s
        for ref, condition in depends_on:
            wanted.depends_on.add(ref_id=ref, condition=condition)
        self.jobs[id_] = job = allocations.AllocationStatus(
            allocation_id=id_, state=state, spec=wanted, assigned_nodes=nodes, created_at=stamp(age_s), user=user,
            exit_code=-1,
        )  # fmt: skip
        if state not in {"pending", "staging"}:
            job.started_at.CopyFrom(stamp(age_s * 0.9))
        if state in ENDED:
            job.completed_at.CopyFrom(stamp(age_s * 0.1))
            job.exit_code = 0 if state == "completed" else 1
        return id_

    def add_dag(self, ids: Sequence[str]) -> str:
        """A DAG of jobs that there are; returns its id."""
        id_ = str(uuid.uuid4())
        self.dags[id_] = list(ids)
        return id_

    def node(self, name: str) -> nodes.NodeStatus:
        self.look()
        return self.nodes[name]

    def job(self, id_: str) -> allocations.AllocationStatus:
        return self.jobs[id_]

    def end_job(self, id_: str, state: str = "completed") -> None:
        self.jobs[id_].state = state
        self.jobs[id_].completed_at.CopyFrom(stamp())

    def look(self) -> None:
        """What the scheduler's loop does: a drain is over when nothing runs there any more."""
        for node in self.nodes.values():
            if node.state == "draining" and not self.holding(node.node_id):
                node.state = "drained"

    def holding(self, name: str) -> int:
        return sum(job.state in HOLDING and name in job.assigned_nodes for job in self.jobs.values())

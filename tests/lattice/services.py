"""The calls of the tests' lattice. What is odd here is so in the real one.

Limits and cursors are ignored, rows come in no order, unknown words drop filters, INTERNAL stands for what is not known
and for what may not be, drains end when their jobs have, audit and accounting are empty.
"""

from __future__ import annotations

import uuid
from typing import Any

import grpc

from pactsh.delegates.lattice import admin_pb2 as admin
from pactsh.delegates.lattice import allocations_pb2 as allocations
from pactsh.delegates.lattice import nodes_pb2 as nodes
from pactsh.delegates.lattice.words import DAG_STATES, ENDED, JOB_STATES, MAY_BECOME, NODE_STATES
from tests.lattice.state import Refused, Sent, State, shuffled, stamp

Code = grpc.StatusCode


class AllocationService:
    """Jobs and DAGs."""

    def __init__(self, there: State) -> None:
        self.there = there

    def Submit(self, given: allocations.SubmitRequest, sent: Sent) -> Any:
        which = given.WhichOneof("submission")
        specs = [given.single] if which == "single" else list(given.dag.allocations) if which == "dag" else []
        if which == "task_group":
            group = given.task_group
            specs = [group.template] * len(range(group.range_start, group.range_end + 1, group.step or 1))
        if not specs:
            raise Refused(Code.INVALID_ARGUMENT, "no submission")
        for spec in specs:
            _check(spec)
        ids = [self._submitted(spec, sent.get("x-lattice-user", "anonymous")) for spec in specs]
        return allocations.SubmitResponse(allocation_ids=ids, dag_id=self.there.add_dag(ids) if which == "dag" else "")

    def _submitted(self, spec: allocations.AllocationSpec, user: str) -> str:
        id_ = self.there.add_job(user=user, state="pending", age_s=0)
        job = self.there.jobs[id_]
        job.spec.CopyFrom(spec)
        job.spec.id = id_
        if not spec.lifecycle.HasField("walltime"):
            job.spec.lifecycle.walltime.seconds = 3600
        return id_

    def List(self, given: allocations.ListAllocationsRequest, sent: Sent) -> Any:
        if sent.get("x-lattice-tenant", given.tenant) != given.tenant:
            raise Refused(Code.PERMISSION_DENIED, "tenant mismatch")
        state = given.state if given.state in JOB_STATES else ""
        found = [
            job
            for job in self.there.jobs.values()
            if given.tenant in {"", job.spec.tenant}
            and given.user in {"", job.user}
            and given.vcluster in {"", job.spec.vcluster}
            and state in {"", job.state}
        ]
        return allocations.ListAllocationsResponse(allocations=shuffled(found))

    def Get(self, given: allocations.GetAllocationRequest, _sent: Sent) -> Any:
        return self._job(given.allocation_id)

    def _job(self, id_: str) -> allocations.AllocationStatus:
        try:
            uuid.UUID(id_)
        except ValueError:
            raise Refused(Code.INVALID_ARGUMENT, f"invalid allocation id: {id_}") from None
        if id_ not in self.there.jobs:
            raise Refused(Code.NOT_FOUND, f"allocation {id_} not found")
        return self.there.jobs[id_]

    def Cancel(self, given: allocations.CancelRequest, sent: Sent) -> Any:
        job = self._job(given.allocation_id)
        if sent.get("x-lattice-user", "anonymous") not in {"anonymous", job.user}:
            raise Refused(Code.PERMISSION_DENIED, "not the owner of this allocation")
        if job.state in ENDED:
            raise Refused(Code.INTERNAL, f"Invalid transition: {job.state} -> cancelled")
        self.there.end_job(given.allocation_id, "cancelled")
        return allocations.CancelResponse(success=True)

    def _dag(self, id_: str) -> allocations.DagStatus:
        jobs = [self.there.jobs[one] for one in self.there.dags[id_]]
        states = {job.state for job in jobs}
        state = DAG_STATES[2] if states <= ENDED else DAG_STATES[0] if states <= {"pending"} else DAG_STATES[1]
        found = allocations.DagStatus(dag_id=id_, state=state, allocations=shuffled(jobs))
        found.created_at.CopyFrom(found.allocations[0].created_at)
        ends = [job.completed_at for job in jobs if job.HasField("completed_at")]
        if ends:
            found.completed_at.CopyFrom(max(ends, key=lambda end: (end.seconds, end.nanos)))
        return found

    def ListDags(self, given: allocations.ListDagsRequest, _sent: Sent) -> Any:
        found = [self._dag(id_) for id_ in self.there.dags]
        kept = [dag for dag in found if given.tenant in {"", *(job.spec.tenant for job in dag.allocations)}]
        return allocations.ListDagsResponse(dags=shuffled(kept))

    def GetDag(self, given: allocations.GetDagRequest, _sent: Sent) -> Any:
        if given.dag_id not in self.there.dags:
            raise Refused(Code.NOT_FOUND, f"dag {given.dag_id} not found")
        return self._dag(given.dag_id)

    def CancelDag(self, given: allocations.CancelDagRequest, _sent: Sent) -> Any:
        left = [id_ for id_ in self.there.dags.get(given.dag_id, []) if self.there.jobs[id_].state not in ENDED]
        for id_ in left:
            self.there.end_job(id_, "cancelled")
        return allocations.CancelDagResponse(success=bool(left), allocations_cancelled=len(left))


class NodeService:
    """Nodes."""

    def __init__(self, there: State) -> None:
        self.there = there

    def RegisterNode(self, given: nodes.RegisterNodeRequest, _sent: Sent) -> Any:
        host, _, port = given.agent_address.rpartition(":")
        if not given.agent_address:
            return nodes.RegisterNodeResponse(success=False, reason="agent_address_required")
        if not host or host in {"0.0.0.0", "::", "[::]"} or not port.isdigit() or not int(port):
            return nodes.RegisterNodeResponse(success=False, reason="agent_address_invalid")
        fields = {
            name: getattr(given, name)
            for name in ("gpu_type", "gpu_count", "cpu_cores", "memory_gb", "features", "agent_address")
        }
        self.there.add_node(given.node_id, **fields)
        return nodes.RegisterNodeResponse(success=True)

    def ListNodes(self, given: nodes.ListNodesRequest, _sent: Sent) -> Any:
        state = given.state if given.state in {"", *NODE_STATES} else "unknown"
        group = int(given.group) if given.group.isdigit() else None
        found = [
            node
            for node in self.there.nodes.values()
            if state in {"", node.state} and group in {None, node.group} and given.tenant in {"", node.owner_tenant}
        ]
        return nodes.ListNodesResponse(nodes=shuffled(found))

    def GetNode(self, given: nodes.GetNodeRequest, _sent: Sent) -> Any:
        return self._found(given.node_id, Code.NOT_FOUND)

    def _found(self, name: str, code: grpc.StatusCode) -> nodes.NodeStatus:
        if name not in self.there.nodes:
            raise Refused(code, f"Node not found: {name}")
        return self.there.nodes[name]

    def _become(self, name: str, state: str, reason: str = "") -> nodes.NodeStatus:
        node = self._found(name, Code.INTERNAL)
        if state not in MAY_BECOME[node.state]:
            raise Refused(Code.INTERNAL, f"Invalid node transition: {node.state} -> {state}")
        node.state, node.state_reason = state, reason
        return node

    def DrainNode(self, given: nodes.DrainNodeRequest, _sent: Sent) -> Any:
        self._become(given.node_id, "draining")
        left = self.there.holding(given.node_id)
        self.there.look()
        return nodes.DrainNodeResponse(success=True, active_allocations=left)

    def UndrainNode(self, given: nodes.UndrainNodeRequest, _sent: Sent) -> Any:
        node = self._found(given.node_id, Code.NOT_FOUND)
        if node.state != "drained":
            raise Refused(Code.FAILED_PRECONDITION, f"node is {node.state}, not drained")
        node.state = "ready"
        return nodes.UndrainNodeResponse(success=True)

    def DisableNode(self, given: nodes.DisableNodeRequest, _sent: Sent) -> Any:
        self._become(given.node_id, "down", given.reason)
        return nodes.DisableNodeResponse(success=True)

    def EnableNode(self, given: nodes.EnableNodeRequest, _sent: Sent) -> Any:
        self._become(given.node_id, "ready")
        return nodes.EnableNodeResponse(success=True)

    def Health(self, _given: nodes.HealthRequest, _sent: Sent) -> Any:
        return nodes.HealthResponse(status="healthy", version="2026.1.0", uptime_secs=0)


class AdminService:
    """Queues, figures and backups."""

    def __init__(self, there: State) -> None:
        self.there = there

    def GetVClusterQueue(self, given: admin.GetVClusterQueueRequest, _sent: Sent) -> Any:
        states = [job.state for job in self.there.jobs.values() if job.spec.vcluster == given.vcluster_id]
        return admin.VClusterQueueResponse(
            vcluster_id=given.vcluster_id, pending=states.count("pending"), running=states.count("running"),
            total=len(states),
        )  # fmt: skip

    def GetRaftStatus(self, _given: admin.GetRaftStatusRequest, _sent: Sent) -> Any:
        return admin.RaftStatusResponse(
            leader_id=self.there.leader, current_term=3, last_applied=41, commit_index=42, members=self.there.members
        )

    def QueryAudit(self, given: admin.QueryAuditRequest, _sent: Sent) -> Any:
        found = [e for e in self.there.audit if given.user_id in {"", e.user_id} and given.action in {"", e.action}]
        return admin.QueryAuditResponse(entries=shuffled(found))

    def GetAccountingUsage(self, given: admin.GetAccountingUsageRequest, _sent: Sent) -> Any:
        return admin.AccountingUsageResponse(tenant_id=given.tenant_id)

    def GetTenantUsage(self, given: admin.GetTenantUsageRequest, _sent: Sent) -> Any:
        tenant = self.there.tenants.get(given.tenant_id)
        if tenant is None:
            raise Refused(Code.NOT_FOUND, f"tenant {given.tenant_id} not found")
        days = given.days or 90
        found = admin.TenantUsageResponse(
            tenant=given.tenant_id, gpu_hours_used=120.5, node_hours_used=30.25, period_days=days,
            period_start="2026-08-29T00:00:00Z", period_end="2026-11-27T00:00:00Z",
        )  # fmt: skip
        for kind in ("gpu", "node"):
            if tenant.quota.HasField(f"{kind}_hours_budget"):
                budget = getattr(tenant.quota, f"{kind}_hours_budget")
                setattr(found, f"{kind}_hours_budget", budget)
                setattr(found, f"{kind}_fraction_used", getattr(found, f"{kind}_hours_used") / budget)
        return found

    def GetUserUsage(self, given: admin.GetUserUsageRequest, _sent: Sent) -> Any:
        tenants = sorted({job.spec.tenant for job in self.there.jobs.values() if job.user == given.user})
        used = [admin.UserTenantUsageProto(tenant=name, gpu_hours_used=12.5, node_hours_used=3.125) for name in tenants]
        return admin.UserUsageResponse(
            user=given.user, tenants=shuffled(used), total_gpu_hours=12.5 * len(used),
            period_start="2026-08-29T00:00:00Z", period_end="2026-11-27T00:00:00Z",
        )  # fmt: skip

    def CreateTenant(self, given: admin.CreateTenantRequest, _sent: Sent) -> Any:
        self.there.tenants[given.name] = admin.TenantResponse(tenant_id=given.name, name=given.name, quota=given.quota)
        return self.there.tenants[given.name]

    def CreateBackup(self, given: admin.CreateBackupRequest, _sent: Sent) -> Any:
        path = _path(given.backup_path)
        if path.startswith("/missing/"):
            return admin.CreateBackupResponse(success=False, message="No such file or directory (os error 2)")
        self.there.backups.add(path)
        return admin.CreateBackupResponse(
            success=True, message="backup created", backup_timestamp=stamp(), node_count=len(self.there.nodes),
            allocation_count=len(self.there.jobs), tenant_count=len(self.there.tenants),
        )  # fmt: skip

    def BackupVerify(self, given: admin.BackupVerifyRequest, _sent: Sent) -> Any:
        if _path(given.backup_path) not in self.there.backups:
            return admin.BackupVerifyResponse(valid=False, message="No such file or directory (os error 2)")
        return admin.BackupVerifyResponse(valid=True, message="backup is valid", backup_timestamp=stamp(60))

    def RestoreBackup(self, given: admin.RestoreBackupRequest, _sent: Sent) -> Any:
        path = _path(given.backup_path)
        if not self.there.data_dir:
            raise Refused(Code.UNAVAILABLE, "no data_dir configured")
        if path not in self.there.backups:
            return admin.RestoreBackupResponse(success=False, message="No such file or directory (os error 2)")
        return admin.RestoreBackupResponse(success=True, message="snapshot restored; restart to load it")

    def ListServices(self, _given: admin.ListServicesRequest, _sent: Sent) -> Any:
        return admin.ListServicesResponse()

    def LookupService(self, given: admin.LookupServiceRequest, _sent: Sent) -> Any:
        return admin.LookupServiceResponse(name=given.name)


def _check(spec: allocations.AllocationSpec) -> None:
    if not spec.tenant or not spec.entrypoint:
        raise Refused(Code.INVALID_ARGUMENT, "tenant and entrypoint are required")
    if spec.HasField("resources") and spec.resources.min_nodes < 1:
        raise Refused(Code.INVALID_ARGUMENT, "min_nodes must be at least 1")
    if spec.lifecycle.preemption_class > 10 or spec.max_requeue > 100:
        raise Refused(Code.INVALID_ARGUMENT, "preemption_class or max_requeue out of range")
    if any(not 1 <= one.port <= 65535 for one in spec.connectivity.expose):
        raise Refused(Code.INVALID_ARGUMENT, "port out of range")


def _path(path: str) -> str:
    if not path:
        raise Refused(Code.INVALID_ARGUMENT, "backup_path is required")
    return path

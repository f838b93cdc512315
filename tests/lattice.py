"""A lattice of the tests' own: the three services over real gRPC, with the habits of the real server.

Its habits are its default: limits and cursors are ignored, rows come in no order, unknown words drop filters, INTERNAL
stands for what is not known and for what may not be, drains end when their jobs have, audit and accounting are empty.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import grpc

from pactsh.delegates.lattice import admin_pb2 as admin
from pactsh.delegates.lattice import allocations_pb2 as allocations
from pactsh.delegates.lattice import nodes_pb2 as nodes
from pactsh.delegates.lattice.channel import METHODS
from pactsh.delegates.lattice.words import DAG_STATES, ENDED, HOLDING, JOB_STATES, MAY_BECOME, NODE_STATES

Code = grpc.StatusCode
CALLS_A_MINUTE = 70


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


class LatticeServer:
    """`with LatticeServer() as lattice:`. `calls` are the methods called, with their metadata; `fail` maps a method
    (`NodeService/GetNode`) to the status it ends with; `token` is demanded of every call when it is set."""

    def __init__(
        self,
        *,
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        client_ca: bytes | None = None,
        delay_s: float = 0,
        limited: bool = False,
        port: int = 0,
    ) -> None:
        self.token, self.delay_s, self.limited, self.port = token, delay_s, limited, port
        self._tls, self._client_ca = tls, client_ca
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.fail: dict[str, tuple[grpc.StatusCode, str]] = {}
        self.raw: dict[str, bytes] = {}
        self.nodes: dict[str, nodes.NodeStatus] = {}
        self.jobs: dict[str, allocations.AllocationStatus] = {}
        self.dags: dict[str, list[str]] = {}
        self.tenants: dict[str, admin.TenantResponse] = {}
        self.members: list[admin.RaftMemberStatus] = []
        self.audit: list[admin.AuditEntryProto] = []
        self.backups: set[str] = set()
        self.leader = 1
        self.data_dir = True
        self._lock = threading.RLock()

    # -- running

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the port of the last time if there was one."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        for service in ("AllocationService", "NodeService", "AdminService"):
            methods = {name.split("/")[1]: self._handler(name) for name in METHODS if name.startswith(service)}
            generic = grpc.method_handlers_generic_handler(f"lattice.v1.{service}", methods)
            self._server.add_generic_rpc_handlers((generic,))
        address = f"127.0.0.1:{self.port}"
        if self._tls is None:
            self.port = self._server.add_insecure_port(address)
        else:
            cert, key = self._tls
            credentials = grpc.ssl_server_credentials(
                [(key, cert)], self._client_ca, require_client_auth=self._client_ca is not None
            )
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def stop(self) -> None:
        """End, at once."""
        self._server.stop(0).wait()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def called(self, *methods: str) -> list[str]:
        """The methods that were called, of these if some are named, without the service."""
        return [name.split("/")[1] for name, _ in self.calls if not methods or name.split("/")[1] in methods]

    # -- what there is

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
        self._look()
        return self.nodes[name]

    def job(self, id_: str) -> allocations.AllocationStatus:
        return self.jobs[id_]

    def end_job(self, id_: str, state: str = "completed") -> None:
        self.jobs[id_].state = state
        self.jobs[id_].completed_at.CopyFrom(stamp())

    def _look(self) -> None:
        """What the scheduler's loop does: a drain is over when nothing runs there any more."""
        for node in self.nodes.values():
            if node.state == "draining" and not self._holding(node.node_id):
                node.state = "drained"

    def _holding(self, name: str) -> int:
        return sum(job.state in HOLDING and name in job.assigned_nodes for job in self.jobs.values())

    # -- calls

    def _handler(self, name: str) -> grpc.RpcMethodHandler[Any, Any]:
        _, request, reply = METHODS[name]
        method = getattr(self, f"_{name.split('/')[1]}", None)

        def answer(given: Any, context: grpc.ServicerContext) -> Any:
            sent = {str(key): str(value) for key, value in context.invocation_metadata()}
            try:
                return self._answer(name, method, given, sent)
            except Refused as refused:
                context.abort(refused.code, refused.details)

        def encode(message: Any) -> bytes:
            encoded: bytes = self.raw.get(name) or reply.SerializeToString(message)
            return encoded

        return grpc.unary_unary_rpc_method_handler(
            answer, request_deserializer=request.FromString, response_serializer=encode
        )

    def _answer(self, name: str, method: Callable[..., Any] | None, given: Any, sent: dict[str, str]) -> Any:
        with self._lock:
            self.calls.append((name, sent))
            count = len(self.calls)
        time.sleep(self.delay_s)
        if self.token is not None and sent.get("authorization") != f"Bearer {self.token}":
            raise Refused(Code.UNAUTHENTICATED, "missing or invalid bearer token")
        if self.limited and count > CALLS_A_MINUTE:
            raise Refused(Code.RESOURCE_EXHAUSTED, "rate limit exceeded")
        if name in self.fail:
            raise Refused(*self.fail[name])
        if method is None:
            raise Refused(Code.UNIMPLEMENTED, "")
        with self._lock:
            self._look()
            return method(given, sent)

    # -- AllocationService

    def _Submit(self, given: allocations.SubmitRequest, sent: Mapping[str, str]) -> Any:
        which = given.WhichOneof("submission")
        specs = [given.single] if which == "single" else list(given.dag.allocations) if which == "dag" else []
        if not specs:
            raise Refused(Code.INVALID_ARGUMENT, "no submission")
        ids = []
        for spec in specs:
            if not spec.tenant or not spec.entrypoint:
                raise Refused(Code.INVALID_ARGUMENT, "tenant and entrypoint are required")
            ids.append(self.add_job(user=sent.get("x-lattice-user", "anonymous"), state="pending", age_s=0))
            job = self.jobs[ids[-1]]
            job.spec.CopyFrom(spec)
            job.spec.id = ids[-1]
        return allocations.SubmitResponse(allocation_ids=ids, dag_id=self.add_dag(ids) if which == "dag" else "")

    def _List(self, given: allocations.ListAllocationsRequest, sent: Mapping[str, str]) -> Any:
        if sent.get("x-lattice-tenant", given.tenant) != given.tenant:
            raise Refused(Code.PERMISSION_DENIED, "tenant mismatch")
        state = given.state if given.state in JOB_STATES else ""
        found = [
            job
            for job in self.jobs.values()
            if given.tenant in {"", job.spec.tenant}
            and given.user in {"", job.user}
            and given.vcluster in {"", job.spec.vcluster}
            and state in {"", job.state}
        ]
        return allocations.ListAllocationsResponse(allocations=_shuffled(found))

    def _Get(self, given: allocations.GetAllocationRequest, _sent: Mapping[str, str]) -> Any:
        return self._job(given.allocation_id)

    def _job(self, id_: str) -> allocations.AllocationStatus:
        try:
            uuid.UUID(id_)
        except ValueError:
            raise Refused(Code.INVALID_ARGUMENT, f"invalid allocation id: {id_}") from None
        if id_ not in self.jobs:
            raise Refused(Code.NOT_FOUND, f"allocation {id_} not found")
        return self.jobs[id_]

    def _Cancel(self, given: allocations.CancelRequest, sent: Mapping[str, str]) -> Any:
        job = self._job(given.allocation_id)
        if sent.get("x-lattice-user", "anonymous") not in {"anonymous", job.user}:
            raise Refused(Code.PERMISSION_DENIED, "not the owner of this allocation")
        if job.state in ENDED:
            raise Refused(Code.INTERNAL, f"Invalid transition: {job.state} -> cancelled")
        self.end_job(given.allocation_id, "cancelled")
        return allocations.CancelResponse(success=True)

    def _dag(self, id_: str) -> allocations.DagStatus:
        jobs = [self.jobs[one] for one in self.dags[id_]]
        states = {job.state for job in jobs}
        state = DAG_STATES[2] if states <= ENDED else DAG_STATES[0] if states <= {"pending"} else DAG_STATES[1]
        found = allocations.DagStatus(dag_id=id_, state=state, allocations=_shuffled(jobs))
        found.created_at.CopyFrom(found.allocations[0].created_at)
        ends = [job.completed_at for job in jobs if job.HasField("completed_at")]
        if ends:
            found.completed_at.CopyFrom(max(ends, key=lambda end: (end.seconds, end.nanos)))
        return found

    def _ListDags(self, given: allocations.ListDagsRequest, _sent: Mapping[str, str]) -> Any:
        found = [self._dag(id_) for id_ in self.dags]
        kept = [dag for dag in found if given.tenant in {"", *(job.spec.tenant for job in dag.allocations)}]
        return allocations.ListDagsResponse(dags=_shuffled(kept))

    def _GetDag(self, given: allocations.GetDagRequest, _sent: Mapping[str, str]) -> Any:
        if given.dag_id not in self.dags:
            raise Refused(Code.NOT_FOUND, f"dag {given.dag_id} not found")
        return self._dag(given.dag_id)

    def _CancelDag(self, given: allocations.CancelDagRequest, _sent: Mapping[str, str]) -> Any:
        left = [id_ for id_ in self.dags.get(given.dag_id, []) if self.jobs[id_].state not in ENDED]
        for id_ in left:
            self.end_job(id_, "cancelled")
        return allocations.CancelDagResponse(success=bool(left), allocations_cancelled=len(left))

    # -- NodeService

    def _RegisterNode(self, given: nodes.RegisterNodeRequest, _sent: Mapping[str, str]) -> Any:
        host, _, port = given.agent_address.rpartition(":")
        if not given.agent_address:
            return nodes.RegisterNodeResponse(success=False, reason="agent_address_required")
        if not host or host in {"0.0.0.0", "::", "[::]"} or not port.isdigit() or not int(port):
            return nodes.RegisterNodeResponse(success=False, reason="agent_address_invalid")
        fields = {
            name: getattr(given, name)
            for name in ("gpu_type", "gpu_count", "cpu_cores", "memory_gb", "features", "agent_address")
        }
        self.add_node(given.node_id, **fields)
        return nodes.RegisterNodeResponse(success=True)

    def _ListNodes(self, given: nodes.ListNodesRequest, _sent: Mapping[str, str]) -> Any:
        state = given.state if given.state in {"", *NODE_STATES} else "unknown"
        group = int(given.group) if given.group.isdigit() else None
        found = [
            node
            for node in self.nodes.values()
            if state in {"", node.state} and group in {None, node.group} and given.tenant in {"", node.owner_tenant}
        ]
        return nodes.ListNodesResponse(nodes=_shuffled(found))

    def _GetNode(self, given: nodes.GetNodeRequest, _sent: Mapping[str, str]) -> Any:
        return self._found(given.node_id, Code.NOT_FOUND)

    def _found(self, name: str, code: grpc.StatusCode) -> nodes.NodeStatus:
        if name not in self.nodes:
            raise Refused(code, f"Node not found: {name}")
        return self.nodes[name]

    def _become(self, name: str, state: str, reason: str = "") -> nodes.NodeStatus:
        node = self._found(name, Code.INTERNAL)
        if state not in MAY_BECOME[node.state]:
            raise Refused(Code.INTERNAL, f"Invalid node transition: {node.state} -> {state}")
        node.state, node.state_reason = state, reason
        return node

    def _DrainNode(self, given: nodes.DrainNodeRequest, _sent: Mapping[str, str]) -> Any:
        self._become(given.node_id, "draining")
        left = self._holding(given.node_id)
        self._look()
        return nodes.DrainNodeResponse(success=True, active_allocations=left)

    def _UndrainNode(self, given: nodes.UndrainNodeRequest, _sent: Mapping[str, str]) -> Any:
        node = self._found(given.node_id, Code.NOT_FOUND)
        if node.state != "drained":
            raise Refused(Code.FAILED_PRECONDITION, f"node is {node.state}, not drained")
        node.state = "ready"
        return nodes.UndrainNodeResponse(success=True)

    def _DisableNode(self, given: nodes.DisableNodeRequest, _sent: Mapping[str, str]) -> Any:
        self._become(given.node_id, "down", given.reason)
        return nodes.DisableNodeResponse(success=True)

    def _EnableNode(self, given: nodes.EnableNodeRequest, _sent: Mapping[str, str]) -> Any:
        self._become(given.node_id, "ready")
        return nodes.EnableNodeResponse(success=True)

    def _Health(self, _given: nodes.HealthRequest, _sent: Mapping[str, str]) -> Any:
        return nodes.HealthResponse(status="healthy", version="2026.1.0", uptime_secs=0)

    # -- AdminService

    def _GetVClusterQueue(self, given: admin.GetVClusterQueueRequest, _sent: Mapping[str, str]) -> Any:
        states = [job.state for job in self.jobs.values() if job.spec.vcluster == given.vcluster_id]
        return admin.VClusterQueueResponse(
            vcluster_id=given.vcluster_id, pending=states.count("pending"), running=states.count("running"),
            total=len(states),
        )  # fmt: skip

    def _GetRaftStatus(self, _given: admin.GetRaftStatusRequest, _sent: Mapping[str, str]) -> Any:
        return admin.RaftStatusResponse(
            leader_id=self.leader, current_term=3, last_applied=41, commit_index=42, members=self.members
        )

    def _QueryAudit(self, given: admin.QueryAuditRequest, _sent: Mapping[str, str]) -> Any:
        found = [e for e in self.audit if given.user_id in {"", e.user_id} and given.action in {"", e.action}]
        return admin.QueryAuditResponse(entries=_shuffled(found))

    def _GetAccountingUsage(self, given: admin.GetAccountingUsageRequest, _sent: Mapping[str, str]) -> Any:
        return admin.AccountingUsageResponse(tenant_id=given.tenant_id)

    def _GetTenantUsage(self, given: admin.GetTenantUsageRequest, _sent: Mapping[str, str]) -> Any:
        tenant = self.tenants.get(given.tenant_id)
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

    def _GetUserUsage(self, given: admin.GetUserUsageRequest, _sent: Mapping[str, str]) -> Any:
        tenants = sorted({job.spec.tenant for job in self.jobs.values() if job.user == given.user})
        used = [admin.UserTenantUsageProto(tenant=name, gpu_hours_used=12.5, node_hours_used=3.125) for name in tenants]
        return admin.UserUsageResponse(
            user=given.user, tenants=_shuffled(used), total_gpu_hours=12.5 * len(used),
            period_start="2026-08-29T00:00:00Z", period_end="2026-11-27T00:00:00Z",
        )  # fmt: skip

    def _CreateTenant(self, given: admin.CreateTenantRequest, _sent: Mapping[str, str]) -> Any:
        self.tenants[given.name] = admin.TenantResponse(tenant_id=given.name, name=given.name, quota=given.quota)
        return self.tenants[given.name]

    def _CreateBackup(self, given: admin.CreateBackupRequest, _sent: Mapping[str, str]) -> Any:
        path = _path(given.backup_path)
        if path.startswith("/missing/"):
            return admin.CreateBackupResponse(success=False, message="No such file or directory (os error 2)")
        self.backups.add(path)
        return admin.CreateBackupResponse(
            success=True, message="backup created", backup_timestamp=stamp(), node_count=len(self.nodes),
            allocation_count=len(self.jobs), tenant_count=len(self.tenants),
        )  # fmt: skip

    def _BackupVerify(self, given: admin.BackupVerifyRequest, _sent: Mapping[str, str]) -> Any:
        if _path(given.backup_path) not in self.backups:
            return admin.BackupVerifyResponse(valid=False, message="No such file or directory (os error 2)")
        return admin.BackupVerifyResponse(valid=True, message="backup is valid", backup_timestamp=stamp(60))

    def _RestoreBackup(self, given: admin.RestoreBackupRequest, _sent: Mapping[str, str]) -> Any:
        path = _path(given.backup_path)
        if not self.data_dir:
            raise Refused(Code.UNAVAILABLE, "no data_dir configured")
        if path not in self.backups:
            return admin.RestoreBackupResponse(success=False, message="No such file or directory (os error 2)")
        return admin.RestoreBackupResponse(success=True, message="snapshot restored; restart to load it")

    def _ListServices(self, _given: admin.ListServicesRequest, _sent: Mapping[str, str]) -> Any:
        return admin.ListServicesResponse()

    def _LookupService(self, given: admin.LookupServiceRequest, _sent: Mapping[str, str]) -> Any:
        return admin.LookupServiceResponse(name=given.name)


def _path(path: str) -> str:
    if not path:
        raise Refused(Code.INVALID_ARGUMENT, "backup_path is required")
    return path


def _shuffled(rows: Sequence[Any]) -> list[Any]:
    """In no order, as out of a hash map."""
    return random.sample(list(rows), len(rows))

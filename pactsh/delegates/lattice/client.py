"""The client of lattice (gRPC): its calls, and what its answers mean.

Plain calls, one at a time, each with a deadline; only reads are repeated. What the server is asked to do and does not
(limits, pages, most filters, an order) is done here; who it is for goes in `x-lattice-user`, unverified there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from pactsh.delegates.lattice import admin_pb2 as admin
from pactsh.delegates.lattice import allocations_pb2 as allocations
from pactsh.delegates.lattice import model
from pactsh.delegates.lattice import nodes_pb2 as nodes
from pactsh.delegates.lattice.channel import Channel
from pactsh.delegates.lattice.reading import (
    dag_of,
    job_of,
    node_of,
    raft_of,
    tenant_usage_of,
    time_text,
    user_usage_of,
)
from pactsh.delegates.lattice.words import DAG_STATES, HOLDING, JOB_STATES, NODE_STATES
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import NotFoundError, PactError, UsageError

_MOST_PAGES = 1000


class Lattice:
    """lattice's methods, for one person: `with Lattice(…) as lattice`. Every call raises `PactError`s:
    `UnreachableError` within `timeout_s`, `AuthError`, `NotFoundError`, `UsageError`."""

    def __init__(self, settings: LatticeSettings, *, user: str = "", timeout_s: float = 30) -> None:
        self.user = user
        self._channel = Channel(settings, user=user, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        self._channel.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    # -- jobs

    def jobs(self, *, vcluster: str = "", state: str = "", user: str = "", tenant: str = "") -> list[model.Job]:
        """Jobs, the newest first."""
        known_word(state, JOB_STATES, "state")
        request = allocations.ListAllocationsRequest(vcluster=vcluster, state=state, user=user, tenant=tenant)
        found = [job_of(one) for one in self._pages("AllocationService/List", request, "allocations")]
        wanted = {"vcluster": vcluster, "state": state, "user": user, "tenant": tenant}
        kept = [job for job in found if all(not text or getattr(job, name) == text for name, text in wanted.items())]
        return sorted(kept, key=lambda job: (job.created or "", job.id), reverse=True)

    def job(self, id_: str) -> model.Job:
        """One job; raises `NotFoundError`, and `UsageError` for what is no job's id."""
        return job_of(self._call("AllocationService/Get", allocations.GetAllocationRequest(allocation_id=id_)))

    def cancel_job(self, id_: str, *, owner: str) -> None:
        """Cancel it. lattice lets owners cancel, and whoever does not say who they are: so it is not told of others,
        whose right pact has settled before, and of whom the journal keeps the name."""
        request = allocations.CancelRequest(allocation_id=id_)
        done = self._channel.call("AllocationService/Cancel", request, again=False, named=owner == self.user)
        if not done.success:
            raise PactError(f"lattice did not cancel job {id_}")

    def jobs_on(self, names: Iterable[str]) -> dict[str, list[model.Job]]:
        """The jobs that hold each of these nodes; a node's own list of jobs is always empty in lattice."""
        wanted: dict[str, list[model.Job]] = {name: [] for name in names}
        for job in self.jobs():
            if job.state in HOLDING:
                for name in job.nodes:
                    if name in wanted:
                        wanted[name].append(job)
        return wanted

    # -- DAGs

    def dags(self, *, tenant: str = "", state: str = "", user: str = "") -> list[model.Dag]:
        """DAGs, the newest first."""
        known_word(state, DAG_STATES, "state")
        request = allocations.ListDagsRequest(tenant=tenant, state=state, user=user)
        found = [dag_of(one) for one in self._pages("AllocationService/ListDags", request, "dags")]
        kept = [
            dag
            for dag in found
            if state in {"", dag.state}
            and (not tenant or any(job.tenant == tenant for job in dag.jobs))
            and (not user or any(job.user == user for job in dag.jobs))
        ]
        return sorted(kept, key=lambda dag: (dag.created or "", dag.id), reverse=True)

    def dag(self, id_: str) -> model.Dag:
        """One DAG; raises `NotFoundError`."""
        return dag_of(self._call("AllocationService/GetDag", allocations.GetDagRequest(dag_id=id_)))

    def cancel_dag(self, id_: str) -> int:
        """Cancel what is left of it; returns how many jobs that were."""
        done = self._act("AllocationService/CancelDag", allocations.CancelDagRequest(dag_id=id_))
        if not done.success:
            raise PactError(f"lattice cancelled nothing of DAG {id_}")
        return int(done.allocations_cancelled)

    def held(self) -> dict[str, int]:
        """How many jobs hold each node that is held, of all of them, without a `Job` for each that ever was."""
        found: dict[str, int] = {}
        for one in self._pages("AllocationService/List", allocations.ListAllocationsRequest(), "allocations"):
            if one.state in HOLDING:
                for name in one.assigned_nodes:
                    found[name] = found.get(name, 0) + 1
        return found

    # -- nodes

    def nodes(self, *, state: str = "", vcluster: str = "", tenant: str = "") -> list[model.Node]:
        """Nodes, the worst state first, then by name."""
        known_word(state, NODE_STATES, "state")
        request = nodes.ListNodesRequest(state=state, vcluster=vcluster, tenant=tenant)
        found = [node_of(one) for one in self._pages("NodeService/ListNodes", request, "nodes")]
        kept = [n for n in found if state in {"", n.state} and vcluster in {"", n.owner_vcluster}]
        rank = {word: place for place, word in enumerate(NODE_STATES)}
        return sorted(kept, key=lambda n: (rank.get(n.state, -1), n.id))

    def node(self, name: str) -> model.Node:
        """One node; raises `NotFoundError`."""
        return node_of(self._call("NodeService/GetNode", nodes.GetNodeRequest(node_id=name)))

    def drain(self, name: str, reason: str) -> int:
        """Let nothing new start there; returns how many jobs are still running."""
        done = self._act("NodeService/DrainNode", nodes.DrainNodeRequest(node_id=name, reason=reason))
        return int(done.active_allocations)

    def undrain(self, name: str) -> None:
        """Take a drained node back into service."""
        self._act("NodeService/UndrainNode", nodes.UndrainNodeRequest(node_id=name))

    def disable(self, name: str, reason: str) -> None:
        """Take it out of scheduling; what runs there goes on."""
        self._act("NodeService/DisableNode", nodes.DisableNodeRequest(node_id=name, reason=reason))

    def enable(self, name: str) -> None:
        """Put it back into scheduling."""
        self._act("NodeService/EnableNode", nodes.EnableNodeRequest(node_id=name))

    def health(self) -> model.Health:
        """Whether it answers."""
        found = self._call("NodeService/Health", nodes.HealthRequest())
        return model.Health(found.status, found.version)

    # -- administration

    def queue(self, vcluster: str) -> model.Queue:
        """How many jobs wait and run in a vCluster."""
        found = self._call("AdminService/GetVClusterQueue", admin.GetVClusterQueueRequest(vcluster_id=vcluster))
        return model.Queue(found.vcluster_id or vcluster, found.pending, found.running, found.total)

    def raft(self) -> model.Raft:
        """The quorum."""
        return raft_of(self._call("AdminService/GetRaftStatus", admin.GetRaftStatusRequest()))

    def audit(self, *, user: str = "", action: str = "") -> list[model.AuditEntry]:
        """The audit, the newest first."""
        request = admin.QueryAuditRequest(user_id=user, action=action)
        found = [
            model.AuditEntry(e.id, e.tenant_id, e.user_id, e.action, e.details, time_text(e, "timestamp"))
            for e in self._pages("AdminService/QueryAudit", request, "entries")
        ]
        return sorted(found, key=lambda entry: (entry.time or "", entry.id), reverse=True)

    def accounting(self, tenant: str) -> model.Accounting:
        """A tenant's accounting: zeros, whatever it has used."""
        found = self._call("AdminService/GetAccountingUsage", admin.GetAccountingUsageRequest(tenant_id=tenant))
        return model.Accounting(
            found.tenant_id or tenant, found.cpu_hours, found.gpu_hours, found.storage_bytes, found.allocation_count
        )

    def tenant_usage(self, tenant: str, days: int) -> model.TenantUsage:
        """What a tenant has used; raises `NotFoundError`."""
        request = admin.GetTenantUsageRequest(tenant_id=tenant, days=days)
        return tenant_usage_of(self._call("AdminService/GetTenantUsage", request))

    def user_usage(self, user: str, days: int) -> model.UserUsage:
        """What a user has used; raises `NotFoundError` for one of whom lattice has nothing."""
        found = user_usage_of(self._call("AdminService/GetUserUsage", admin.GetUserUsageRequest(user=user, days=days)))
        if not found.tenants:
            raise NotFoundError(f"lattice has no usage of user {user}")
        return found

    def create_backup(self, path: str) -> model.Backup:
        """Write a backup to a path on lattice's own disk."""
        done = self._act("AdminService/CreateBackup", admin.CreateBackupRequest(backup_path=path))
        if not done.success:
            raise PactError(f"lattice could not write {path}: {done.message or 'it does not say why'}")
        return model.Backup(
            path, done.message, time_text(done, "backup_timestamp"), done.node_count, done.allocation_count,
            done.tenant_count, done.audit_entry_count,
        )  # fmt: skip

    def verify_backup(self, path: str) -> model.BackupCheck:
        """Whether the backup there can be used."""
        found = self._call("AdminService/BackupVerify", admin.BackupVerifyRequest(backup_path=path))
        return model.BackupCheck(path, found.valid, found.message, time_text(found, "backup_timestamp"))

    def restore_backup(self, path: str) -> str:
        """Put it in place; it counts when lattice is started anew. Returns what lattice says."""
        done = self._act("AdminService/RestoreBackup", admin.RestoreBackupRequest(backup_path=path))
        if not done.success:
            raise PactError(f"lattice did not restore {path}: {done.message or 'it does not say why'}")
        return str(done.message)

    # -- helpers

    def _call(self, method: str, request: Any) -> Any:
        return self._channel.call(method, request, again=True)

    def _act(self, method: str, request: Any) -> Any:
        return self._channel.call(method, request, again=False)

    def _pages(self, method: str, request: Any, field: str) -> Iterable[Any]:
        """All rows. Today's lattice sends them at once; a later one may page."""
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            reply = self._call(method, request)
            yield from getattr(reply, field)
            if not reply.next_cursor:
                return
            if reply.next_cursor in seen:
                raise PactError(f"lattice sends the same page of {method} again and again")
            seen.add(reply.next_cursor)
            request.cursor = reply.next_cursor


def known_word(word: str, words: Iterable[str], what: str) -> None:
    """Raise `UsageError` for a word that lattice would not know: it would drop the filter, or give another list."""
    if word and word not in words:
        raise UsageError(f"{what} {word[:40]!r}: expected one of {', '.join(words)}")


Connect = Callable[[], Lattice]

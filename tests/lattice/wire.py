"""A lattice as its wire shows it: what is there was put there by its own calls, so that the real one may stand in."""

from __future__ import annotations

from typing import Any

from pactsh.delegates.lattice import admin_pb2 as admin
from pactsh.delegates.lattice import allocations_pb2 as allocations
from pactsh.delegates.lattice import nodes_pb2 as nodes
from pactsh.delegates.lattice.channel import Channel
from pactsh.delegates.lattice.client import Lattice
from pactsh.delegates.settings import LatticeSettings


class Wire:
    """A lattice that is known by its endpoint alone: what is there was put there through its own calls."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def client(self, user: str = "alice") -> Lattice:
        return Lattice(LatticeSettings(self.endpoint), user=user, timeout_s=10)

    def _call(self, method: str, request: Any, user: str = "") -> Any:
        channel = Channel(LatticeSettings(self.endpoint), user=user, timeout_s=10)
        channel.open()
        try:
            return channel.call(method, request, again=False)
        finally:
            channel.close()

    def submit(self, user: str, *, tenant: str = "physics", vcluster: str = "ml-training", **spec: Any) -> str:
        """A job; it stays pending as long as there is no node."""
        fields = {"tenant": tenant, "vcluster": vcluster, "project": "llm", "entrypoint": "./train.sh", **spec}
        request = allocations.SubmitRequest(single=allocations.AllocationSpec(**fields))
        return str(self._call("AllocationService/Submit", request, user).allocation_ids[0])

    def submit_dag(self, user: str, count: int, *, tenant: str = "physics") -> str:
        request = allocations.SubmitRequest()
        for number in range(count):
            request.dag.allocations.add(
                id=f"step{number}", tenant=tenant, vcluster="ml-training", project="llm", entrypoint="./step.sh"
            )
        return str(self._call("AllocationService/Submit", request, user).dag_id)

    def register(self, name: str) -> None:
        request = nodes.RegisterNodeRequest(
            node_id=name, cpu_cores=64, memory_gb=512, gpu_type="GH200", gpu_count=4, agent_address="127.0.0.1:9"
        )
        assert self._call("NodeService/RegisterNode", request).success

    def tenant(self, name: str, **quota: Any) -> None:
        request = admin.CreateTenantRequest(name=name, quota=admin.TenantQuotaSpec(max_nodes=10, **quota))
        request.isolation_level = "standard"
        self._call("AdminService/CreateTenant", request)

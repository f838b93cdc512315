"""lattice as far as somebody may see it: what is in other vClusters is in no list, and refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pactsh.delegates.lattice.client import Lattice
from pactsh.errors import ForbiddenError

if TYPE_CHECKING:
    from pactsh.cli.latticeread import Sight
    from pactsh.delegates.lattice.model import Dag, Job, Node
    from pactsh.delegates.settings import LatticeSettings


class Sighted(Lattice):
    """Its lists of jobs, DAGs and nodes, and one of each, for who has this sight. All else is as in `Lattice`: tenants,
    users and the quorum are in no vCluster."""

    def __init__(self, settings: LatticeSettings, sight: Sight, *, timeout_s: float = 30) -> None:
        super().__init__(settings, user=sight.user, timeout_s=timeout_s)
        self.sight = sight

    def jobs(self, *, vcluster: str = "", state: str = "", user: str = "", tenant: str = "") -> list[Job]:
        """Jobs that they see, the newest first."""
        found = super().jobs(vcluster=vcluster, state=state, user=user, tenant=tenant)
        return [job for job in found if self.sight.sees(job.vcluster)]

    def job(self, id_: str) -> Job:
        """One job; raises `ForbiddenError` as well."""
        found = super().job(id_)
        self._check(f"job {id_}", found.vcluster)
        return found

    def dags(self, *, tenant: str = "", state: str = "", user: str = "") -> list[Dag]:
        """DAGs that they see all jobs of, the newest first."""
        found = super().dags(tenant=tenant, state=state, user=user)
        return [dag for dag in found if all(self.sight.sees(job.vcluster) for job in dag.jobs)]

    def dag(self, id_: str) -> Dag:
        """One DAG; raises `ForbiddenError` as well."""
        found = super().dag(id_)
        for job in found.jobs:
            self._check(f"DAG {id_}", job.vcluster)
        return found

    def nodes(self, *, state: str = "", vcluster: str = "", tenant: str = "") -> list[Node]:
        """Nodes that they see in pact, and those that lattice has given to a vCluster that they see."""
        found = super().nodes(state=state, vcluster=vcluster, tenant=tenant)
        return [node for node in found if self._sees(node)]

    def node(self, name: str) -> Node:
        """One node; raises `ForbiddenError` as well."""
        found = super().node(name)
        if not self._sees(found):
            raise ForbiddenError(f"{self.user} may not read of node {name}", hint="pact group list shows what you see")
        return found

    def _sees(self, node: Node) -> bool:
        return self.sight.sees(node.owner_vcluster) or node.id in self.sight.nodes

    def _check(self, what: str, vcluster: str) -> None:
        if not self.sight.sees(vcluster):
            where = f"in vCluster {vcluster}" if vcluster else "in no vCluster"
            raise ForbiddenError(
                f"{what} is {where}, of which {self.user} may not read", hint="pact group list shows those that you see"
            )

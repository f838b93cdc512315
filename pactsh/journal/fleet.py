"""`pact.v1.Nodes` and `pact.v1.Policy`: what is known of the nodes, and the vClusters' policies."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

from pactsh.auth.names import check_node
from pactsh.errors import ForbiddenError, NotFoundError, UsageError
from pactsh.journal.access import Reach, agent_node_of, reach_of
from pactsh.journal.documents import parse_object
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.judging import Judge
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.projections import REPORT_INTERVAL_S, REVOKED, NodeView, PolicyView, Presence, Projections, Report
from pactsh.rpc import pact_pb2 as pb

_MAX_DETAILS = 64 << 10
_MAX_TEXT = 256
_BULKY = "cap"  # what a node has: of use to who asks about one node
_LIST_BYTES = 256 << 10  # of a message, one node more at most
_FIELDS_BYTES = 128  # of a node, about, besides its details
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)


class FleetService:
    """The handlers. `judge` is asked about what people read here."""

    def __init__(self, ledger: Ledger, views: Projections, judge: Judge) -> None:
        self._store, self._judge = ledger.store, judge
        self._views = views
        self._presence = Presence(time.monotonic)

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {
            "Nodes/List": self.list_nodes,
            "Nodes/Get": self.get_node,
            "Nodes/Report": self.report,
            "Policy/Get": self.get_policy,
            "Policy/Watch": self.watch_policy,
        }

    async def list_nodes(self, caller: Caller, request: pb.NodesRequest) -> AsyncIterator[pb.NodeList]:
        """Nodes within the caller's reach, by name."""
        await self._views.catch_up(self._store)
        scope = f"vcluster:{request.vcluster}" if request.vcluster else ""
        await self._judge.check_read(caller.known, "status", scope, {})
        reach = reach_of(caller.known)
        batch, size = pb.NodeList(), 0
        for name in sorted({*self._views.nodes, *self._presence.nodes()}):
            vcluster = self._vcluster(name)
            if request.vcluster not in {"", vcluster} or not reach.sees(f"node:{name}", {name: vcluster}):
                continue
            node = self._node(name, brief=request.brief)
            batch.nodes.append(node)
            size += len(node.details) + _FIELDS_BYTES
            if size >= _LIST_BYTES:
                yield batch
                batch, size = pb.NodeList(), 0
        if batch.nodes:
            yield batch

    async def get_node(self, caller: Caller, request: pb.NodeRequest) -> pb.Node:
        """One node."""
        await self._views.catch_up(self._store)
        known = request.node in self._views.nodes or self._presence.get(request.node) is not None
        if not known or not self._sees(reach_of(caller.known), request.node):
            raise NotFoundError(f"no node {request.node!r}", hint="pact node list shows those there are")
        vcluster = self._views.nodes.get(request.node, NodeView(request.node)).vcluster
        scope = f"node:{request.node}"
        await self._judge.check_read(caller.known, "status", scope, {request.node: vcluster})
        return self._node(request.node)

    async def report(self, caller: Caller, request: pb.NodeReport) -> pb.NodeReportReply:
        """Take an agent's report of its own node, in the vCluster that it was enrolled in."""
        node = agent_node_of(caller.known)
        if request.vcluster:
            check_node(request.vcluster)
            await self._views.catch_up(self._store)
            if self._bound(node) not in ("", request.vcluster):
                raise _elsewhere(node, self._bound(node), request.vcluster)
        if any(len(text) > _MAX_TEXT for text in (request.ssh_address, request.state, request.version)):
            raise UsageError("report refused: a field is too long")
        details = parse_object(request.details or b"{}", "report refused: details", _MAX_DETAILS)
        self._presence.report(
            node,
            Report(
                at=time.monotonic(),
                time=now_text(),
                vcluster=request.vcluster,
                ssh_address=request.ssh_address,
                state=request.state,
                version=request.version,
                details=request.details,
                brief=_encoder.encode({k: v for k, v in details.items() if k != _BULKY}).encode("ascii"),
            ),
        )
        return pb.NodeReportReply(interval_s=REPORT_INTERVAL_S)

    def counts(self, reach: Reach) -> tuple[int, int]:
        """How many nodes are within reach, those that were revoked left out, and how many of them are present; `views`
        are caught up."""
        known = {*self._views.nodes, *self._presence.nodes()}
        seen = [name for name in known if self._sees(reach, name) and not self._is_revoked(name)]
        return len(seen), sum(self._is_present(name) for name in seen)

    def _is_revoked(self, name: str) -> bool:
        view = self._views.nodes.get(name)
        return view is not None and view.state == REVOKED

    def _is_present(self, name: str) -> bool:
        """Whether it reports; of one that was revoked what it said before does not count."""
        return self._presence.is_present(name) and not self._is_revoked(name)

    def _bound(self, node: str) -> str:
        """The vCluster that a node is in, "" where none is known."""
        return self._views.nodes.get(node, NodeView(node)).vcluster

    def _sees(self, reach: Reach, node: str) -> bool:
        return reach.sees(f"node:{node}", {node: self._vcluster(node)})

    def _vcluster(self, name: str) -> str:
        """The vCluster that a node is shown in: the one it is in, else the one it says."""
        report, view = self._presence.get(name), self._views.nodes.get(name)
        if view is not None and (view.vcluster or view.state == REVOKED):
            return view.vcluster
        return report.vcluster if report is not None else ""

    def _node(self, name: str, *, brief: bool = False) -> pb.Node:
        """The entries' view, with the last report over it."""
        view = self._views.nodes.get(name, NodeView(name, state=""))
        report = self._presence.get(name)
        node = pb.Node(
            node=name,
            vcluster=view.vcluster,
            ssh_address=view.ssh_address,
            state=view.state,
            version=view.version,
            last_seen=view.last_seen,
            present=self._is_present(name),
        )
        if view.state != REVOKED and report is not None:
            node.vcluster = self._vcluster(name)
            node.ssh_address = report.ssh_address or view.ssh_address
            node.state = report.state or view.state
            node.version = report.version or view.version
            node.last_seen = max(view.last_seen, report.time)
            node.details = report.brief if brief else report.details
        node.overlay_wanted = self._views.overlays.get(node.vcluster, PolicyView()).version
        return node

    async def get_policy(self, caller: Caller, request: pb.PolicyRequest) -> pb.PolicyDocument:
        """A vCluster's policy document and overlay."""
        await self._views.catch_up(self._store)
        self._check_policy(caller, request)
        return self._policy(request.vcluster)

    async def watch_policy(self, caller: Caller, request: pb.PolicyRequest) -> AsyncIterator[pb.PolicyDocument]:
        """Both now and after each change, as long as the caller may read them: a node may be moved meanwhile."""
        sent = (-1, -1)
        while True:
            await self._views.catch_up(self._store)
            self._check_policy(caller, request)
            seen = self._views.seq  # while the document is sent, others fold in what comes next
            document = self._policy(request.vcluster)
            if (document.seq, document.overlay_seq) != sent:
                sent = (document.seq, document.overlay_seq)
                yield document
            await self._store.wait_beyond(seen)

    def _policy(self, vcluster: str) -> pb.PolicyDocument:
        view = self._views.policies.get(vcluster, PolicyView())
        overlay = self._views.overlays.get(vcluster, PolicyView())
        return pb.PolicyDocument(
            vcluster=vcluster,
            document=view.document,
            seq=view.seq,
            overlay=overlay.document,
            overlay_seq=overlay.seq,
            judged=self._judge.is_in_force,
        )

    def _check_policy(self, caller: Caller, request: pb.PolicyRequest) -> None:
        check_node(request.vcluster)  # same form of name
        identity = caller.known
        if node := agent_node_of(identity):
            if self._bound(node) != request.vcluster:
                raise _elsewhere(node, self._bound(node), request.vcluster)
        elif not reach_of(identity).sees(f"vcluster:{request.vcluster}", {}):
            raise ForbiddenError(f"{identity.principal} may not read the policy of {request.vcluster}")


def _elsewhere(node: str, bound: str, claimed: str) -> ForbiddenError:
    return ForbiddenError(
        f"{node} was enrolled in vCluster {bound}, not in {claimed}" if bound else f"{node} is in no vCluster yet",
        hint=f"a new join token moves it: pact-journal join-token {node} --vcluster {claimed}",
    )

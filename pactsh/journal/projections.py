"""Views folded from the entries: nodes, open sessions, policies. Rebuildable at any time.

`Projections.apply` is the fold, pure in the entries; `Presence` is what agents report in
between, which is no history and is kept in memory alone.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pactsh.journal import stale
from pactsh.journal.chain import canonical_json
from pactsh.journal.store import Query, Store
from pactsh.model import approval, revocation
from pactsh.model.entry import Entry, JsonObject

TYPES = (
    "node.enrolled", "agent.start", "agent.stop", "session.start", "session.end", "policy.updated", "overlay.updated",
    revocation.TYPE, *approval.TYPES, *stale.TYPES,
)  # fmt: skip
_DOCUMENTS = {"policy.updated": "policy", "overlay.updated": "overlay"}
_STATES = {"node.enrolled": "enrolled", "agent.start": "started", "agent.stop": "stopped"}
REVOKED = "revoked"  # a node's state until it is enrolled again
PRESENT_FOR_S = 45.0
REPORT_INTERVAL_S = 15


class NodeView(msgspec.Struct, frozen=True):
    """A node as the entries tell it. `vcluster` is the one its join token named: what it says of itself counts only
    where that named none (enrolments before tokens did), and then the first time alone."""

    node: str
    vcluster: str = ""
    ssh_address: str = ""
    state: str = "enrolled"
    version: str = ""
    last_seen: str = ""


class SessionView(msgspec.Struct, frozen=True):
    """An open session."""

    session: str
    scope: str
    principal: str
    started: str
    kind: str = ""


class PolicyView(msgspec.Struct, frozen=True):
    """A vCluster's policy or overlay document (JSON), its version, and the entry that set it; 0 when none did."""

    document: bytes = b"{}"
    seq: int = 0
    version: int = 0


def _text(body: JsonObject | None, key: str) -> str:
    value = (body or {}).get(key)
    return value if isinstance(value, str) else ""


class Projections:
    """The fold. `apply` entries in order of `seq`; one that was applied already changes nothing."""

    def __init__(self) -> None:
        self.seq = 0
        self.nodes: dict[str, NodeView] = {}
        self.sessions: dict[str, SessionView] = {}
        self.policies: dict[str, PolicyView] = {}
        self.overlays: dict[str, PolicyView] = {}
        self.approvals = approval.ApprovalsView()
        self.revoked: dict[revocation.Key, revocation.Revocation] = {}
        self.stale = stale.StaleView()

    def apply(self, entry: Entry) -> None:
        """Fold one entry in."""
        if entry.seq <= self.seq:
            return
        self.seq = entry.seq
        kind, _, name = entry.scope.partition(":")
        if entry.type in {"node.enrolled", "agent.start", "agent.stop"} and kind == "node":
            self._apply_node(name, entry)
        elif entry.type in {"session.start", "session.end"}:
            self._apply_session(entry)
        elif entry.type in approval.TYPES:
            approval.fold(self.approvals, entry)
        elif entry.type in stale.TYPES:
            self.stale.apply(entry)
        elif entry.type == revocation.TYPE:
            made = revocation.fold(self.revoked, entry)
            if made is not None and made.kind == revocation.NODE and made.subject in self.nodes:
                self.nodes[made.subject] = msgspec.structs.replace(self.nodes[made.subject], state=REVOKED)
        elif entry.type in _DOCUMENTS and kind == "vcluster":
            field = _DOCUMENTS[entry.type]
            document = (entry.body or {}).get(field)
            if isinstance(document, dict):
                views = self.policies if field == "policy" else self.overlays
                version = document.get("version")
                views[name] = PolicyView(
                    canonical_json(document).encode(), entry.seq, version if isinstance(version, int) else 0
                )

    def _apply_session(self, entry: Entry) -> None:
        """A node starts and ends its own sessions, whatever numbers it names: none hides another's."""
        open_ = self.sessions.get(entry.session)
        if open_ is not None and open_.scope != entry.scope:
            return
        if entry.type == "session.end":
            self.sessions.pop(entry.session, None)
            return
        self.sessions[entry.session] = SessionView(
            entry.session, entry.scope, entry.author.principal, entry.time, _text(entry.body, "kind")
        )

    def _apply_node(self, name: str, entry: Entry) -> None:
        old = self.nodes.get(name, NodeView(name))
        if entry.type == "agent.start":  # a new agent process: sessions of the old one are over
            gone = [key for key, session in self.sessions.items() if session.scope == entry.scope]
            for key in gone:
                del self.sessions[key]
        said = _text(entry.body, "vcluster")
        self.nodes[name] = NodeView(
            node=name,
            vcluster=said or old.vcluster if entry.type == "node.enrolled" else old.vcluster or said,
            ssh_address=_text(entry.body, "ssh_address") or old.ssh_address,
            state=_STATES[entry.type],
            version=_text(entry.body, "version") or old.version,
            last_seen=max(old.last_seen, entry.time),
        )

    async def catch_up(self, store: Store) -> None:
        """Fold in everything that `store` has and this has not seen."""
        tip = (await store.last()).seq
        while self.seq < tip:
            records = await store.query(Query(types=TYPES, from_seq=self.seq + 1, to_seq=tip, limit=2000))
            for record in records:
                self.apply(record.entry())
            if len(records) < 2000:
                self.seq = max(self.seq, tip)


class Report(msgspec.Struct, frozen=True):
    """What an agent last said of its node; `at` is monotonic, `time` as entries have it. `brief` is `details` without
    what the node has."""

    at: float
    time: str
    vcluster: str
    ssh_address: str
    state: str
    version: str
    details: bytes
    brief: bytes = b"{}"


class Presence:
    """The agents' reports. A node is present for 45 s after each."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._reports: dict[str, Report] = {}

    def report(self, node: str, report: Report) -> None:
        """Take a report in place of the one before."""
        self._reports[node] = report

    def get(self, node: str) -> Report | None:
        """The last report."""
        return self._reports.get(node)

    def is_present(self, node: str) -> bool:
        """Whether the node has reported in time."""
        report = self._reports.get(node)
        return report is not None and self._monotonic() - report.at <= PRESENT_FOR_S

    def nodes(self) -> list[str]:
        """Nodes that ever reported since the journal started."""
        return sorted(self._reports)

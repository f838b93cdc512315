"""Emergencies that are over their time: which nodes are to be taken out of scheduling, and put back. Pure.

Folded from the entries: `emergency.stale` and `emergency.end` of nodes' agents, and the journal's own delegations,
which name the entry of the emergency. So a journal that starts anew goes on where the last one ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from pactsh.journal.drafts import BEGUN, DONE
from pactsh.model.entry import Author

if TYPE_CHECKING:
    from pactsh.model.entry import Entry

JOURNAL = Author("pact-journal", (), "service")
STALE, END = "emergency.stale", "emergency.end"
TYPES = (STALE, END, BEGUN, DONE)


class Emergency(msgspec.Struct, frozen=True):
    """One whose time has run out, on a node; `seq` is the entry that says so.

    `cordon`: what became of the cordon: `wanted`, `begun`, `done` (and ours to undo), or `left`, where it failed for
    good or was so already. `ended`: the emergency has ended since. `undoing`: the uncordon is begun, so that one whose
    time runs out now (`next_seq`, 0 for none) needs a cordon of its own after that.
    """

    node: str
    seq: int
    began_by: str
    cordon: Literal["wanted", "begun", "done", "left"] = "wanted"
    ended: bool = False
    undoing: bool = False
    next_seq: int = 0
    next_by: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """What is to be done to a node: to be cordoned, uncordoned, or, `forget`, told that there was no time for it."""

    action: Literal["cordon", "uncordon", "forget"]
    node: str
    seq: int
    began_by: str

    @property
    def id(self) -> str:
        """Under which it is on record: the same for whoever begins it, so that it is begun once."""
        return f"dg-{self.seq:016x}{'02' if self.action == 'uncordon' else '01'}"

    @property
    def reason(self) -> str:
        """What lattice is told, and by which the cordon is known again."""
        return f"pact: emergency over its time (seq:{self.seq})"


class StaleView:
    """The fold."""

    def __init__(self) -> None:
        self._nodes: dict[str, Emergency] = {}

    def wanted(self) -> list[Wanted]:
        """What is to be done now, the oldest first."""
        found = [(one, _action(one)) for one in self._nodes.values()]
        todo = [Wanted(action, one.node, one.seq, one.began_by) for one, action in found if action is not None]
        return sorted(todo, key=lambda wanted: wanted.seq)

    def apply(self, entry: Entry) -> None:
        """Fold one entry in."""
        kind, _, node = entry.scope.partition(":")
        if kind != "node":
            return
        known = self._nodes.get(node)
        if entry.type == STALE:
            self._stale(known, node, entry)
        elif entry.type == END and known is not None:
            self._keep(msgspec.structs.replace(known, ended=True, next_seq=0))
        elif entry.type in {BEGUN, DONE} and entry.author == JOURNAL:
            if known is not None:
                self._delegated(known, entry)
            elif entry.type == BEGUN:
                self._begun_late(node, entry)

    def _stale(self, known: Emergency | None, node: str, entry: Entry) -> None:
        said = (entry.body or {}).get("began_by")
        began_by = said if isinstance(said, str) else ""
        if known is not None and known.undoing:
            self._keep(msgspec.structs.replace(known, next_seq=entry.seq, next_by=began_by))
        elif known is not None and known.cordon in {"begun", "done"}:
            self._keep(msgspec.structs.replace(known, ended=False))  # our cordon of the one before is still there
        else:
            self._nodes[node] = Emergency(node, entry.seq, began_by)

    def _delegated(self, known: Emergency, entry: Entry) -> None:
        body = entry.body or {}
        if body.get("id") == Wanted("uncordon", known.node, known.seq, "").id:
            if entry.type == BEGUN:
                self._keep(msgspec.structs.replace(known, undoing=True))
            elif known.next_seq:
                self._nodes[known.node] = Emergency(known.node, known.next_seq, known.next_by)
            else:
                del self._nodes[known.node]
            return
        if body.get("id") != Wanted("cordon", known.node, known.seq, "").id:
            return
        if entry.type == BEGUN:
            self._keep(msgspec.structs.replace(known, cordon="begun"))
            return
        details = body.get("details")
        is_ours = body.get("status") == 0 and not (isinstance(details, dict) and details.get("unchanged"))
        self._keep(msgspec.structs.replace(known, cordon="done" if is_ours else "left"))

    def _begun_late(self, node: str, entry: Entry) -> None:
        """A cordon that was begun while the emergency ended: it is not to stay."""
        body = entry.body or {}
        seq, said = body.get("emergency"), body.get("began_by")
        began_by = said if isinstance(said, str) else ""
        if isinstance(seq, int) and body.get("id") == Wanted("cordon", node, seq, began_by).id:
            self._nodes[node] = Emergency(node, seq, began_by, "begun", ended=True)

    def _keep(self, one: Emergency) -> None:
        """Nothing is left to do about one that has ended and was not cordoned by us."""
        if one.ended and one.cordon in {"wanted", "left"}:
            self._nodes.pop(one.node, None)
        else:
            self._nodes[one.node] = one


def _action(one: Emergency) -> Literal["cordon", "uncordon", "forget"] | None:
    if one.cordon == "done":
        return "uncordon" if one.ended else None
    if one.cordon == "begun":
        return "forget" if one.ended else "cordon"
    return "cordon" if one.cordon == "wanted" and not one.ended else None

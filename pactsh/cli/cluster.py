"""`pact cluster`: what keeps pact's journal, and lattice's quorum, in one view; each without the other if need be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pactsh.cli.aside import bounded
from pactsh.cli.bothsides import Trouble, trouble_of
from pactsh.cli.changes import lasts
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.entries import short_time
from pactsh.cli.journaltext import age_s, head_text
from pactsh.cli.render import Out
from pactsh.errors import PactError
from pactsh.model.capwords import size_text

if TYPE_CHECKING:
    from pactsh.delegates.lattice.model import Raft
    from pactsh.rpc import pact_pb2 as pb

_MEMBERS: Mapping[str, str] = {"sqlite": "one file, one member: nothing is replicated"}
"""What there is to say of the members of each store."""


@dataclass(frozen=True, slots=True)
class Args:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class JournalView:
    """What the journal says of itself; `head` is in words, `systems` are those that it calls."""

    endpoint: str
    version: str
    started: str
    up: str
    store: str
    last_seq: int
    signed_seq: int
    signed_time: str | None
    head: str
    nodes: int
    nodes_present: int
    approvals_open: int
    systems: tuple[str, ...]
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Member:
    """One of lattice's quorum."""

    id: int
    address: str
    role: str
    match_index: int
    last_contact: str | None


@dataclass(frozen=True, slots=True)
class LatticeView:
    """lattice's quorum. `leader` is None where none is known, `members` are empty where lattice does not say."""

    endpoint: str
    leader: int | None
    term: int
    last_applied: int
    commit_index: int
    behind: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A side that could not be asked."""

    error: Trouble


@dataclass(frozen=True, slots=True)
class Cluster:
    """Both sides; lattice is None where none is configured."""

    journal: JournalView | Failed
    lattice: LatticeView | Failed | None

    @property
    def exit_status(self) -> int:
        """That of what went wrong: 5 for a side that can't be reached."""
        return max((side.error.code for side in (self.journal, self.lattice) if isinstance(side, Failed)), default=0)


def run(ctx: Context, _args: Args) -> Cluster:
    """Ask both."""
    from pactsh.cli.twosides import either

    limited = bounded(ctx)
    status, raft = either(
        limited, lambda journal: journal.status(), lambda lattice: lattice.raft(), limited.settings.timeout
    )
    journal = _journal(status, ctx) if not isinstance(status, PactError) else Failed(trouble_of(status))
    if raft is None or isinstance(raft, PactError):
        return Cluster(journal, None if raft is None else Failed(trouble_of(raft)))
    return Cluster(journal, _lattice(raft, ctx.settings.lattice_endpoint or ""))


def _journal(status: pb.JournalStatus, ctx: Context) -> JournalView:
    now = ctx.now()
    return JournalView(
        endpoint=ctx.settings.endpoint,
        version=status.version,
        started=status.started,
        up=lasts(age_s(status.started, now)),
        store=status.store,
        last_seq=status.last_seq,
        signed_seq=status.signed_seq,
        signed_time=status.signed_time or None,
        head=head_text(status, now),
        nodes=status.nodes,
        nodes_present=status.nodes_present,
        approvals_open=status.approvals_open,
        systems=tuple(status.systems),
        size_bytes=status.size_bytes,
        free_bytes=status.free_bytes,
    )


def _lattice(raft: Raft, endpoint: str) -> LatticeView:
    members = tuple(Member(m.id, m.address, m.role, m.match_index, m.last_contact) for m in raft.members)
    behind = max(0, raft.commit_index - raft.last_applied)
    return LatticeView(endpoint, raft.leader, raft.term, raft.last_applied, raft.commit_index, behind, members)


def render(result: Cluster, out: Out) -> None:
    """One part below the other."""
    out.styled(out.style("=== Pact Journal ===", "bold"))
    if isinstance(result.journal, Failed):
        _failed(result.journal, out)
    else:
        _render_journal(result.journal, out)
    out.line()
    out.styled(out.style("=== Lattice Scheduler ===", "bold"))
    if result.lattice is None:
        out.line("not configured: PACT_LATTICE_ENDPOINT, or lattice_endpoint in cli.toml, says where it is")
    elif isinstance(result.lattice, Failed):
        _failed(result.lattice, out)
    else:
        _render_lattice(result.lattice, out)


def _failed(side: Failed, out: Out) -> None:
    out.styled(out.style(side.error.message, "red", "bold"))
    if side.error.hint:
        out.line(f"hint: {side.error.hint}")


def _render_journal(view: JournalView, out: Out) -> None:
    members = _MEMBERS.get(view.store, "")
    facts = (
        ("Endpoint", view.endpoint),
        ("Version", f"{view.version}, up for {view.up}"),
        ("Store", view.store + (f" ({members})" if members else "")),
        ("Head", view.head),
        ("Nodes", f"{view.nodes_present} of {view.nodes} present"),
        ("Approvals", f"{view.approvals_open} open"),
        ("Database", f"{size_text(view.size_bytes)}, {size_text(view.free_bytes)} free"),
        ("Calls", ", ".join(view.systems) or "no other system"),
    )
    for name, value in facts:
        out.line(f"{name + ':':<13}{value}")


def _render_lattice(view: LatticeView, out: Out) -> None:
    leader = out.style("none known", "red", "bold") if view.leader is None else out.style(str(view.leader))
    behind = f" ({view.behind} behind)" if view.behind else ""
    out.line(f"{'Endpoint:':<13}{view.endpoint}")
    out.styled(f"{'Leader:':<13}{leader}")
    out.line(f"{'Term:':<13}{view.term}")
    out.line(f"{'Applied:':<13}{view.last_applied} of {view.commit_index}{behind}")
    if not view.members:
        out.line(f"{'Members:':<13}lattice does not say")
        return
    rows = [
        (str(m.id), m.address, m.role, str(m.match_index), short_time(m.last_contact) if m.last_contact else "never")
        for m in view.members
    ]
    out.table(("MEMBER", "ADDRESS", "ROLE", "MATCH", "LAST CONTACT"), rows)


command: Command[Args, Cluster] = Command(
    "cluster",
    help="Show what keeps the journal, and lattice's quorum.",
    run=run,
    render=render,
    args=Args,
)

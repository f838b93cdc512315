"""`pact apply`: what a spec says becomes the overlay of its vCluster, whole or not at all, and its nodes follow."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pactsh.cli.changes import counted, shown
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.overlays import Difference
from pactsh.cli.pending import Pending, request, settle_elsewhere
from pactsh.cli.render import Out
from pactsh.cli.settled import SettledError
from pactsh.errors import ApprovalError, UsageError

if TYPE_CHECKING:
    from pactsh.model.entry import Draft
    from pactsh.model.identity import Identity
    from pactsh.model.overlay import Overlay
    from pactsh.rpc.client import Journal

_WAIT_S = 90.0  # a node that was cut off needs a minute to put that back


@dataclass(frozen=True, slots=True)
class Args:
    """The file, and how it is applied: `replace`: what it does not name falls away."""

    spec: Path
    dry_run: bool
    message: str
    replace: bool
    no_wait: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it on a node: `applied`, `failed` (put back, for `reasons`), `pending`, `absent`. `superseded` are
    the entries of its own commits that it no longer needs."""

    node: str
    state: str
    reasons: tuple[str, ...] = ()
    superseded: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """An overlay, what is different in it, and its entry (`seq` is None where nothing was written)."""

    vcluster: str
    version: int
    changes: tuple[Difference, ...]
    seq: int | None
    nodes: tuple[Outcome, ...] = ()
    dry_run: bool = False

    @property
    def exit_status(self) -> int:
        """1 when a node could not apply it."""
        return int(any(node.state == "failed" for node in self.nodes))


def run(ctx: Context, args: Args) -> Iterator[Applied]:
    """Validate the whole spec, then write all its overlays; raises before anything is written."""
    from pactsh.cli.overlays import current_overlay, differences, operator
    from pactsh.model.overlay import merged, with_directories
    from pactsh.spec import load_spec

    message = " ".join(args.message.split())
    if not message.isprintable() or len(message) > 1000:
        raise UsageError("apply: -m: expected one line of text")
    planned: list[tuple[Overlay, tuple[Difference, ...]]] = []
    specs = load_spec(args.spec)
    allowed = [] if args.dry_run else [operator(ctx, "apply", spec.vcluster) for spec in specs]
    for spec in specs:
        old = current_overlay(ctx, spec.vcluster)
        wanted = with_directories(spec.values)
        new = merged(old, wanted, spec.contents, replace=args.replace, overwrite=spec.overwrite)
        planned.append((new, tuple(differences(old.values, new.values))))
    news = [(new, changes) for new, changes in planned if changes or new.overwrite or _is_failing(ctx, new)]
    for new, changes in planned:
        if args.dry_run or (new, changes) not in news:
            yield Applied(new.vcluster, new.version - (not args.dry_run), changes, None, dry_run=args.dry_run)
    if not allowed or not news:
        return
    seqs = _write(ctx, allowed[0], news, message)
    for (new, changes), seq in zip(news, seqs, strict=True):
        outcomes = () if args.no_wait else _outcomes(ctx, new, seq)
        yield Applied(new.vcluster, new.version, changes, seq, outcomes)


def _is_failing(ctx: Context, new: Overlay) -> bool:
    """Whether a node could not apply the version before: the same once more is a new try."""
    from pactsh.cli.remote import list_nodes

    nodes = list_nodes(ctx, new.vcluster) if new.version > 1 else []
    return any(node.overlay is not None and node.overlay.failing is not None for node in nodes)


def _write(ctx: Context, who: Identity, news: Sequence[tuple[Overlay, object]], message: str) -> list[int]:
    from pactsh.cli.overlays import draft_of
    from pactsh.cli.remote import ask

    drafts = [draft_of(ctx, who, new, message, number) for number, (new, _) in enumerate(news, 1)]
    seqs: dict[int, int] = {}
    waiting: list[Pending] = []
    for draft in drafts:  # all are written or asked for before the first is waited for
        try:
            seqs[draft.number] = ask(ctx, functools.partial(_append, draft))
        except ApprovalError:
            newest = ask(ctx, lambda journal: journal.list(1))
            waiting.append(request(ctx, "apply", draft))
            seqs[draft.number] = newest[0].seq
    for pending in waiting:
        try:
            settle_elsewhere(ctx, pending, "spec", pending.vcluster)
        except SettledError as settled:
            if settled.outcome.state != "done":
                raise
    return [seqs[draft.number] for draft in drafts]


async def _append(draft: Draft, journal: Journal) -> int:
    acks, _head = await journal.append([draft])
    return acks[0].seq


def _outcomes(ctx: Context, new: Overlay, seq: int) -> tuple[Outcome, ...]:
    """Wait for the nodes that are present."""
    from pactsh.cli.overlays import answers, reasons_of, superseded_of
    from pactsh.cli.remote import ask, list_nodes

    nodes = {node.node: bool(node.present) for node in list_nodes(ctx, new.vcluster)}
    present = [node for node, here in nodes.items() if here]
    found = ask(ctx, lambda journal: answers(journal, seq, new.version, present, _WAIT_S)) if present else {}
    outcomes: list[Outcome] = []
    for node in sorted(nodes):
        entry = found.get(node)
        if entry is None:
            outcomes.append(Outcome(node, "pending" if nodes[node] else "absent"))
        elif entry.type == "overlay.failed":
            outcomes.append(Outcome(node, "failed", tuple(reasons_of(entry))))
        else:
            outcomes.append(Outcome(node, "applied", (), superseded_of(entry)))
    return tuple(outcomes)


def render(result: Applied, out: Out) -> None:
    """What it changes, and what became of it."""
    if result.dry_run:
        for change in result.changes:
            render_difference(change, out)
        if not result.changes:
            out.line("(no difference)")
        out.line(f"Nothing was changed: the overlay of {result.vcluster} stays at version {result.version - 1}")
        return
    if result.seq is None:
        out.line(f"(no difference to the overlay of {result.vcluster}, version {result.version})")
        return
    out.line(f"Applied to vcluster {result.vcluster} ({counted(len(result.changes))}). Overlay updated.")
    for node in result.nodes:
        if node.superseded:
            numbers = ", ".join(f"seq:{number}" for number in node.superseded)
            out.line(f"Node deltas on {node.node} superseded ({numbers} now redundant).")
    for node in result.nodes:
        if (text := _warning(node)) is not None:
            out.styled(out.style("[WARN]", "yellow"), f"{node.node}: {text}", sep=" ")


def _warning(node: Outcome) -> str | None:
    return {
        "failed": f"not applied, and put back: {'; '.join(node.reasons)}",
        "pending": "has not answered yet",
        "absent": "is absent: it follows when it is back",
    }.get(node.state)


def render_difference(change: Difference, out: Out) -> None:
    """A line: added, taken away, or changed."""
    if change.old is None:
        out.styled(out.style(f"+ {change.key}: {shown(change.new)}", "green"))
    elif change.new is None:
        out.styled(out.style(f"- {change.key}: {shown(change.old)}", "red"))
    else:
        old, new = out.style(shown(change.old), "red"), out.style(shown(change.new), "green")
        out.styled(out.style(f"~ {change.key}:", "yellow"), old, "->", new, sep=" ")


command: Command[Args, Applied] = Command(
    "apply",
    help="""Validate and apply a vCluster spec.

    What SPEC.toml says is laid over the vCluster's overlay, and its nodes make it their state, or put all back and say
    why. The values of a node's own commits stay in force there.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["spec"], type=click.Path(dir_okay=False, path_type=Path), metavar="SPEC.toml"),
        click.Option(["--dry-run"], is_flag=True, help="Show what would be different and change nothing."),
        click.Option(["-m", "--message"], default="", metavar="MSG", help="What it is for."),
        click.Option(["--replace"], is_flag=True, help="What the spec does not name falls away."),
        click.Option(["--no-wait"], is_flag=True, help="Don't wait for the nodes."),
    ],
)

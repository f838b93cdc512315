"""`pact promote`: what was committed on one node, as a spec for all nodes of its vCluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pactsh.cli.apply import render_difference
from pactsh.cli.arguments import NODE
from pactsh.cli.changes import counted, shown
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.overlays import Difference
from pactsh.cli.render import Out
from pactsh.errors import ConflictError, NotFoundError, PactError, UsageError

if TYPE_CHECKING:
    from pactsh.model.delta import Change, Delta

_MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class Args:
    """The node; whose conflicting commits are to fall away, and whose stay."""

    node: str
    dry_run: bool
    overwrite: tuple[str, ...]
    keep: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Promoted:
    """The spec as TOML, how many deltas it was made of, what it changes in the overlay, and what can't be in one."""

    node: str
    vcluster: str
    deltas: int
    toml: str
    changes: tuple[Difference, ...]
    unmapped: tuple[str, ...]
    dry_run: bool


def run(ctx: Context, args: Args) -> Promoted:
    """Fold the node's commits; raises `ConflictError` where other nodes committed something else for the same key."""
    from pactsh.cli.overlays import committed, current_overlay, differences
    from pactsh.cli.remote import list_nodes, one_node
    from pactsh.model.overlay import merged
    from pactsh.spec import render_spec, values_of

    if both := sorted(set(args.overwrite) & set(args.keep)):
        raise UsageError(f"promote: {both[0]}: either --overwrite or --keep")
    vcluster = one_node(ctx, args.node).vcluster
    peers = {node.node for node in list_nodes(ctx, vcluster)}
    deltas = {node: some for node, some in committed(ctx).items() if node in peers}
    own = deltas.get(args.node, ())
    if not own:
        raise NotFoundError(f"promote: nothing is committed on {args.node}", hint="pact diff --committed shows what is")
    overwrite = _settled(args, deltas)
    values, unmapped = values_of(change for delta in own for change in delta.changes)
    contents = _contents(ctx, args.node, values.get("files", {}))
    old = current_overlay(ctx, vcluster)
    header = (
        f"Generated overlay fragment for vcluster: {vcluster}",
        f"From {len(own)} committed node deltas on {args.node}",
    )
    return Promoted(
        args.node,
        vcluster,
        len(own),
        render_spec(vcluster, values, contents, unmapped=unmapped, header=header, overwrite=overwrite),
        tuple(differences(old.values, merged(old, values, contents).values)),
        tuple(f"{change.name} {shown(change.after)}" for change in unmapped),
        args.dry_run,
    )


def _settled(args: Args, deltas: Mapping[str, Sequence[Delta]]) -> dict[str, tuple[str, ...]]:
    """The keys of other nodes' deltas that are to fall away; raises `ConflictError` for those nobody has decided on."""
    from pactsh.model.fold import conflicts

    found = conflicts(args.node, deltas)
    if odd := sorted({*args.overwrite, *args.keep} - {node for node, _, _ in found}):
        raise UsageError(f"promote: {odd[0]} has committed nothing else for these keys")
    open_ = [item for item in found if item[0] not in {*args.overwrite, *args.keep}]
    if open_:
        told = "; ".join(_told(*item) for item in open_[:_MOST_TOLD])
        more = f"; and {len(open_) - _MOST_TOLD} more" if len(open_) > _MOST_TOLD else ""
        node = open_[0][0]
        raise ConflictError(f"promote: {told}{more}", hint=f"--overwrite {node} or --keep {node}")
    wanted: dict[str, list[str]] = {}
    for node, change, _ in found:
        if node in args.overwrite:
            wanted.setdefault(node, []).append(change.name)
    return {node: tuple(sorted(set(names))) for node, names in wanted.items()}


def _told(node: str, change: Change, delta: Delta) -> str:
    return f"{node} has {change.name} = {shown(change.after)} ({delta.by}, seq:{delta.seq})"


def _contents(ctx: Context, node: str, files: Mapping[str, str]) -> dict[str, str]:
    """The texts of the files, where the node can be asked for them; else the spec names them by their digest."""
    from pactsh.cli.diff import Deltas
    from pactsh.cli.nodecall import ask_node

    if not files:
        return {}
    try:
        words = ("diff", "--committed", "--contents")
        found = ask_node(ctx, node, Deltas, "deltas", {"contents": True}, words)
    except PactError as error:
        ctx.notice(f"pact: {node}: contents of files are left out: {error.message}")
        return {}
    return found.contents


def render(result: Promoted, out: Out) -> None:
    """The TOML; with --dry-run what it would change."""
    if not result.dry_run:
        for line in result.toml.splitlines():
            out.line(line)
        return
    for change in result.changes:
        render_difference(change, out)
    for text in result.unmapped:
        out.line(f"# {text}: has no place in an overlay")
    out.line(f"{counted(len(result.changes))} of the overlay of {result.vcluster}")


command: Command[Args, Promoted] = Command(
    "promote",
    help="""Turn a node's committed deltas into an overlay.

    Prints a spec for `pact apply`. Where other nodes have committed something else for the same keys it stops until
    each is settled.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["node"], type=NODE),
        click.Option(["--dry-run"], is_flag=True, help="Show what it would change in the overlay."),
        click.Option(["--overwrite"], multiple=True, type=NODE, metavar="NODE", help="Its own value falls away."),
        click.Option(["--keep"], multiple=True, type=NODE, metavar="NODE", help="It keeps its own value."),
    ],
)

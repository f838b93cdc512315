"""`pact blacklist`: patterns of what is no drift, of one node or, with `--vcluster`, in a vCluster's policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import msgspec

from pactsh.cli.arguments import NODE
from pactsh.cli.changes import counted
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.nodecall import ask_node
from pactsh.cli.render import Out
from pactsh.errors import ConflictError, NotFoundError, UsageError

if TYPE_CHECKING:
    from pactsh.policy.model import Policy


@dataclass(frozen=True, slots=True)
class ListArgs:
    """Whose patterns; None: this node's."""

    node: str | None


class Pattern(msgspec.Struct, frozen=True):
    """A pattern, and where it is from: built-in, vcluster or node."""

    pattern: str
    origin: str


class Patterns(msgspec.Struct, frozen=True):
    """All that are in force on a node, or those that a vCluster's policy adds."""

    patterns: tuple[Pattern, ...]
    node: str | None = None
    vcluster: str | None = None


def run_list(ctx: Context, args: ListArgs) -> Patterns:
    """Ask the node's agent; with `--vcluster` look into the policy."""
    if (vcluster := _vcluster(ctx, args.node)) is None:
        words = ("blacklist", "list")
        return ask_node(ctx, args.node, Patterns, "blacklist", {}, words)
    from pactsh.cli.policies import current_policy

    found = current_policy(ctx, vcluster).blacklist
    return Patterns(tuple(Pattern(pattern, "vcluster") for pattern in found), vcluster=vcluster)


def _vcluster(ctx: Context, node: str | None) -> str | None:
    if "vcluster" not in ctx.explicit:
        return None
    if node is not None:
        raise UsageError("blacklist: give --node or --vcluster, not both")
    return ctx.settings.vcluster


def render_list(result: Patterns, out: Out) -> None:
    """A line a pattern."""
    if not result.patterns:
        out.line("(no patterns)")
    for item in result.patterns:
        out.line(item.pattern if item.origin == "vcluster" and result.vcluster else f"{item.origin:<9} {item.pattern}")


@dataclass(frozen=True, slots=True)
class ChangeArgs:
    """The pattern, and whose."""

    pattern: str
    node: str | None


class Changed(msgspec.Struct, frozen=True):
    """What was done, for a node or a vCluster; `covered`: how many changes are no drift any more (None: not asked)."""

    pattern: str
    added: bool
    node: str | None = None
    vcluster: str | None = None
    covered: int | None = None


def run_add(ctx: Context, args: ChangeArgs) -> Iterator[Changed]:
    """Add it; raises what the agent or the journal raises."""
    yield _change(ctx, args, added=True)


def run_remove(ctx: Context, args: ChangeArgs) -> Iterator[Changed]:
    """Take it away; raises `NotFoundError` when it isn't there."""
    yield _change(ctx, args, added=False)


def _change(ctx: Context, args: ChangeArgs, *, added: bool) -> Changed:
    from pactsh.model.blacklist import checked_pattern

    pattern = checked_pattern(args.pattern) if added else args.pattern
    if (vcluster := _vcluster(ctx, args.node)) is None:
        verb = "add" if added else "remove"
        known = {"pattern": pattern, "added": added}
        words = ("blacklist", verb, "--", pattern)
        return ask_node(ctx, args.node, Changed, f"blacklist_{verb}", {"pattern": pattern}, words, **known)
    from pactsh.cli.policies import administrator, append_policy, current_policy
    from pactsh.policy.difference import differences
    from pactsh.policy.files import checked_policy

    who = administrator(ctx, vcluster)
    old = current_policy(ctx, vcluster)
    raw = msgspec.to_builtins(old) | {"blacklist": _with(old, pattern, added=added)}
    new = msgspec.structs.replace(checked_policy(raw, "blacklist", vcluster), version=old.version + 1)
    append_policy(ctx, who, new, differences(old, new))
    return Changed(pattern, added, vcluster=vcluster)


def _with(policy: Policy, pattern: str, *, added: bool) -> list[str]:
    if added and pattern in policy.blacklist:
        raise ConflictError(f"blacklist: {pattern} is there already (vcluster)")
    if not added and pattern not in policy.blacklist:
        raise NotFoundError(
            f"blacklist: {pattern} is not a pattern of vCluster {policy.vcluster}",
            hint=f"pact blacklist list --vcluster {policy.vcluster} shows them",
        )
    return [*(known for known in policy.blacklist if known != pattern), *([pattern] if added else [])]


def render_change(result: Changed, out: Out) -> None:
    """One line: what, where, and what it covers."""
    where = result.node or f"vcluster {result.vcluster}"
    if not result.added:
        out.line(f"No longer blacklisted on {where}: {result.pattern}")
        return
    covered = f" ({counted(result.covered)} no drift any more)" if result.covered else ""
    out.line(f"Blacklisted on {where}: {result.pattern}{covered}")


class _Listing(Group):
    """Without a verb it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`pact blacklist [--node N]` is `pact blacklist list [--node N]`."""
        asks = {"--help", "--version"}.isdisjoint(args)
        if asks and (not args or args[0].startswith("-")) and self.commands.keys().isdisjoint(args):
            args = ["list", *args]
        return super().parse_args(ctx, args)


_NODE = click.Option(["--node"], type=NODE, help="The node; on a node: that one.")
_PATTERN = click.Argument(["pattern"], metavar="PATTERN")

LIST: Command[ListArgs, Patterns] = Command(
    "list",
    help="List the patterns in force on a node, or with --vcluster those of its policy.",
    run=run_list,
    render=render_list,
    args=ListArgs,
    params=[_NODE],
)
ADD: Command[ChangeArgs, Changed] = Command(
    "add",
    help="Count what PATTERN covers as no drift, at once.\n\n"
    "/PLACE/** is the place and all below it, /PLACE/* what is directly in it, anything else one key. "
    "A dimension may come first: kernel:vm.swappiness.",
    run=run_add,
    render=render_change,
    args=ChangeArgs,
    params=[_PATTERN, _NODE],
)
REMOVE: Command[ChangeArgs, Changed] = Command(
    "remove",
    help="Count it as drift again, at once.",
    run=run_remove,
    render=render_change,
    args=ChangeArgs,
    params=[_PATTERN, _NODE],
)

command = _Listing("blacklist", help="Show and change what is no drift.", commands=[LIST, ADD, REMOVE])

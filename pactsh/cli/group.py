"""`pact group`: the vClusters, their policy, and changes of it.

`show` and `list` ask as `pact log` does: a node's agent there, the journal from elsewhere. A change goes to the
journal, which checks it, takes it from platform admins alone, and refuses one not made from the policy in force.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pactsh.cli.arguments import NODE
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import ConflictError, PactError, UsageError

if TYPE_CHECKING:
    from pactsh.policy.model import Policy


@dataclass(frozen=True, slots=True)
class ListArgs:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Row:
    """A vCluster: how many nodes it has (None: not known here), and what its policy says of itself."""

    vcluster: str
    nodes: int | None
    version: int
    mode: str
    whitelist: str
    two_person_approval: bool


@dataclass(frozen=True, slots=True)
class Groups:
    """The vClusters that the caller may see, by name."""

    vclusters: tuple[Row, ...]


def run_list(ctx: Context, _args: ListArgs) -> Groups:
    """The vClusters that have nodes or a policy."""
    from pactsh.cli.policies import nodes_by_vcluster, policies

    nodes, known = nodes_by_vcluster(ctx), policies(ctx)
    rows = []
    for name in sorted({*nodes, *known} - {""}):
        policy = known.get(name) or _built_in(name)
        rows.append(
            Row(
                name,
                nodes.get(name, 0) if ctx.node is None else None,
                policy.version,
                policy.enforcement_mode,
                policy.whitelist_mode,
                policy.two_person_approval,
            )
        )
    return Groups(tuple(rows))


def _built_in(name: str) -> Policy:
    from pactsh.policy.model import Policy

    return Policy(name)


def render_list(result: Groups, out: Out) -> None:
    """A table, one row a vCluster."""
    if not result.vclusters:
        out.line("(no vClusters)")
        return
    rows = [
        (
            r.vcluster,
            "-" if r.nodes is None else str(r.nodes),
            str(r.version),
            r.mode,
            r.whitelist,
            "yes" if r.two_person_approval else "no",
        )
        for r in result.vclusters
    ]
    out.table(("VCLUSTER", "NODES", "POLICY", "MODE", "WHITELIST", "2PA"), rows)


@dataclass(frozen=True, slots=True)
class ShowArgs:
    """Which vCluster; only what learning mode proposes, ready to be pasted."""

    name: str
    proposals: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy: as a document, as TOML, and what is proposed for it (TOML and comments).

    `learning_since`: None unless learning mode is on; `refused` counts what the proposals are made from.
    """

    vcluster: str
    version: int
    policy: dict[str, object]
    toml: str
    learning_since: str | None
    refused: int
    proposals: tuple[str, ...]
    only_proposals: bool


def run_show(ctx: Context, args: ShowArgs) -> Shown:
    """The policy in force, and in learning mode what the refusals since then suggest."""
    from pactsh.catalog import load_catalog
    from pactsh.cli.policies import current_policy, learning_since, refusals
    from pactsh.policy.proposals import propose
    from pactsh.policy.toml import plain_document, render_toml

    policy = current_policy(ctx, args.name)
    since = learning_since(ctx, policy)
    refused = refusals(ctx, args.name, since) if since is not None else ()
    return Shown(
        args.name,
        policy.version,
        plain_document(policy),
        render_toml(policy),
        since,
        len(refused),
        propose(refused, policy, load_catalog()) if refused else (),
        args.proposals,
    )


def render_show(result: Shown, out: Out) -> None:
    """TOML that `set-policy --file` reads back; proposals are comments, unless they are all that is asked for."""
    if not result.only_proposals:
        origin = f"version {result.version}" if result.version else "the built-in one"
        out.line(f"# The policy of {result.vcluster}: {origin}.")
        for line in result.toml.splitlines():
            out.line(line)
        out.line()
    if result.learning_since is None:
        out.line('# No proposals: whitelist_mode is "strict", so nothing is collected.')
        return
    out.line(f"# Learning since {result.learning_since[:19]}Z: {result.refused} lines refused by the whitelist.")
    if not result.proposals:
        return
    if not result.only_proposals:
        out.line(f"# pact group show {result.vcluster} --proposals prints what follows ready to be pasted.")
    mark = "" if result.only_proposals else "#| "
    for line in result.proposals:
        out.line(f"{mark}{line}" if line and not line.startswith("#") else line)


@dataclass(frozen=True, slots=True)
class SetArgs:
    """Which vCluster, and its new policy: a whole file, or keys."""

    name: str
    file: Path | None
    set: tuple[str, ...]
    dry_run: bool
    yes: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change does, and the entry that made it; `seq` is None where nothing was written.

    `changes` are `{"key", "old", "new"}` with values as TOML, None for what isn't there.
    """

    vcluster: str
    version: int
    changes: tuple[dict[str, str | None], ...]
    seq: int | None
    dry_run: bool = False


def run_set(ctx: Context, args: SetArgs) -> Iterator[Changed]:
    """Check the new policy, show what it changes, and write it; raises before anything is written."""
    from pactsh.cli.policies import administrator, append_policy, current_policy
    from pactsh.policy.difference import differences

    if (args.file is None) == (not args.set):
        raise UsageError("group set-policy: give either --file or --set")
    who = administrator(ctx, args.name)
    old = current_policy(ctx, args.name)
    new = _wanted(args, old)
    changes = differences(old, new)
    told = tuple({"key": c.key, "old": c.old, "new": c.new} for c in changes)
    if not changes:
        yield Changed(args.name, old.version, (), None, args.dry_run)
        return
    if old.version == 0:
        ctx.notice(
            f"pact: the first policy of {args.name}: its containment, {new.containment}, takes the place of what "
            "the agent.toml of each node says"
        )
    if args.dry_run:
        yield Changed(args.name, old.version, told, None, True)
        return
    if not ctx.json:
        yield Changed(args.name, old.version, told, None)
    if not args.yes and not ctx.json:
        _confirm(args.name)
    seq = append_policy(ctx, who, new, changes)
    yield Changed(args.name, new.version, told if ctx.json else (), seq)


def _wanted(args: SetArgs, old: Policy) -> Policy:
    """The policy asked for, one version further. Raises `UsageError` naming file, line and key."""
    import msgspec

    from pactsh.cli.policies import with_settings
    from pactsh.policy.files import load_policy

    if args.file is None:
        return with_settings(old, args.set)
    new = load_policy(args.file, args.name)
    if new.version not in (0, old.version):
        raise ConflictError(
            f"group set-policy: {args.file} was made from version {new.version},"
            f" the policy of {args.name} is at version {old.version}",
            hint=f"compare with pact group show {args.name}, then leave version out",
        )
    return msgspec.structs.replace(new, version=old.version + 1)


def _confirm(name: str) -> None:
    """Ask, where somebody is there to answer."""
    if sys.stdin.isatty() and not click.confirm(f"Change the policy of {name}?", err=True):
        raise PactError("group set-policy: nothing was changed")


def render_set(result: Changed, out: Out) -> None:
    """The difference, a line a key, old -> new; then what came of it."""
    for change in result.changes:
        old, new = change["old"], change["new"]
        key = change["key"] or ""
        if old is None:
            out.styled(out.style(f"+ {key}: {new}", "green"))
        elif new is None:
            out.styled(out.style(f"- {key}: {old}", "red"))
        else:
            out.styled(out.style(f"~ {key}:", "yellow"), out.style(old, "red"), "->", out.style(new, "green"), sep=" ")
    if result.seq is not None:
        out.line(f"Policy of {result.vcluster} is now version {result.version} (seq:{result.seq})")
    elif not result.changes:
        out.line("(no difference)")
    elif result.dry_run:
        out.line(f"Nothing was changed: the policy of {result.vcluster} stays at version {result.version}")


LIST: Command[ListArgs, Groups] = Command(
    "list",
    help="List the vClusters with their nodes and policy.",
    run=run_list,
    render=render_list,
    args=ListArgs,
)
SHOW: Command[ShowArgs, Shown] = Command(
    "show",
    help="Show a vCluster's policy as TOML, and what learning mode proposes.",
    run=run_show,
    render=render_show,
    args=ShowArgs,
    params=[
        click.Argument(["name"], type=NODE, metavar="NAME"),
        click.Option(["--proposals"], is_flag=True, help="Print the proposals alone, ready to be pasted."),
    ],
)
SET_POLICY: Command[SetArgs, Changed] = Command(
    "set-policy",
    help="Change a vCluster's policy; shows the difference it makes. Platform admins only.",
    run=run_set,
    render=render_set,
    args=SetArgs,
    params=[
        click.Argument(["name"], type=NODE, metavar="NAME"),
        click.Option(
            ["--file"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="F",
            help="The whole policy, as TOML (pact group show NAME prints the one in force).",
        ),
        click.Option(["--set"], multiple=True, metavar="KEY=VALUE", help="Change one key; more than once."),
        click.Option(["--dry-run"], is_flag=True, help="Show the difference and change nothing."),
        click.Option(["--yes"], is_flag=True, help="Don't ask on a terminal."),
    ],
)

command = Group("group", help="Show and change vClusters and their policy.", commands=[LIST, SHOW, SET_POLICY])

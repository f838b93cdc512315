"""`pact exec`: one whitelisted command on nodes, streamed as it runs.

The argv travels quoted, so that the node's agent parses exactly the words that were typed here; there
is no shell on either side. One node: raw output and its own status. Several: prefixed lines, the worst
status. `--output json` prints one object a node.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pactsh.cli.arguments import NODES, NumberType
from pactsh.cli.careoptions import DRAIN_TIMEOUT_S, drain_option, drain_timeout_option, yes_option
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.fanout import Limits
from pactsh.cli.nodes import parse_nodes
from pactsh.cli.onnodes import Group, Result, Together, alone
from pactsh.cli.render import Out
from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.cli.delegating import Result as Step

_RULE = "-" * 15


@dataclass(frozen=True, slots=True)
class Args:
    """Which nodes, which argv, and the limits (`fanout.Limits`).

    `bypass`: outside the whitelist, which the node allows to platform admins alone.
    """

    nodes: str
    argv: tuple[str, ...]
    timeout: float
    total_timeout: float
    connect_timeout: float
    max_output: int
    fanout: int
    exclude: str = ""
    fold: bool = False
    bypass: bool = False
    yes: bool = False
    drain: bool = False
    drain_timeout: float = DRAIN_TIMEOUT_S


Shown = Result | Group


def run(ctx: Context, args: Args) -> Iterator[Shown]:
    """Run the command; results as they come. Raises for one node, reports in the result for several."""
    from pactsh.cli.stepping import stepwise
    from pactsh.language import join

    argv = _checked(args)
    line = join(argv)
    if args.drain or (ctx.node is None and ctx.settings.lattice_endpoint is not None):
        yield from _carefully(ctx, args, argv, line)
    else:
        yield from stepwise(_run(ctx, args, line))


def _carefully(ctx: Context, args: Args, argv: tuple[str, ...], line: str) -> Iterator[Shown]:
    """The same where there is a lattice, which knows what is disturbed by it."""
    from pactsh.cli import interrupts
    from pactsh.cli.disturbing import Act, Care, carefully, changes, is_guarded
    from pactsh.cli.sshclient import Gate
    from pactsh.cli.stepping import stepwise

    is_guarded(ctx, "exec", drain=args.drain)
    nodes = interrupts.run(Gate(ctx).resolve(args.nodes, args.exclude))
    if not args.drain and not changes(ctx, nodes, argv):
        yield from stepwise(_run(ctx, args, line, nodes))
        return
    act = Act(f"exec: {line}", lambda ready: stepwise(_run(ctx, args, line, ready)), _well, _not_drained)
    yield from carefully(ctx, nodes, act, Care(args.yes, args.drain, args.drain_timeout))


def _well(shown: Shown) -> tuple[str, ...]:
    """The nodes on which it ended well."""
    if shown.exit_status:
        return ()
    return (shown.node,) if isinstance(shown, Result) else parse_nodes(shown.nodes)


def _not_drained(step: Step) -> Shown:
    return Result(step.target, "failed", step.exit_status, message=step.text)


async def _run(ctx: Context, args: Args, line: str, known: tuple[str, ...] = ()) -> AsyncIterator[Shown]:
    from pactsh.cli.sshclient import Gate

    gate = Gate(ctx)
    nodes = known or await gate.resolve(args.nodes, args.exclude)
    limits = Limits(args.fanout, args.timeout, args.total_timeout, args.connect_timeout, args.max_output)
    if len(nodes) == 1 and not args.fold:
        async for result in alone(gate, nodes[0], line, limits, kept=ctx.json, notice=ctx.notice):
            yield result
    else:
        async for shown in Together(ctx, nodes, fold=args.fold).run(gate, line, limits):
            yield shown


def _checked(args: Args) -> tuple[str, ...]:
    """The words of the line; raises `UsageError` for what no line can carry."""
    from pactsh.policy.runners import BYPASS

    argv = args.argv[1:] if args.argv[0] == "--" else args.argv  # click leaves it in
    if not argv:
        raise UsageError("exec: no command", hint="pact exec NODES -- CMD [ARG]...")
    if any("\n" in word or "\0" in word for word in argv):
        raise UsageError("exec: an argument holds a newline or NUL, which no line can carry")
    if any(
        0xD800 <= ord(char) < 0xE000 for word in argv for char in word
    ):  # bytes that are no text, as Python has them
        raise UsageError("exec: an argument is not UTF-8, and no line can carry it")
    # Past the whitelist: the node decides whether it may, and records it as what it is.
    return (BYPASS, *argv) if args.bypass else argv


def render(result: Shown, out: Out) -> None:
    """What several nodes said alike, below their names; the output of others was printed as it came."""
    out.flush()
    if isinstance(result, Group):
        title = f"{result.nodes} ({result.count})" if result.count > 1 else result.nodes
        for text, stream in ((result.stdout, sys.stdout), (result.stderr, sys.stderr)):
            if text:
                for line in (_RULE, title, _RULE):
                    stream.write(out.style(line, "cyan") + "\n" if stream is sys.stdout else line + "\n")
                stream.write(text if text.endswith("\n") else text + "\n")
                stream.flush()
    sys.stdout.flush()


def _seconds(name: str, default: float, help_: str) -> click.Option:
    kind = NumberType(min=0)
    return click.Option([name], type=kind, default=default, show_default=True, metavar="SECONDS", help=help_)


class _Exec(Command[Args, Shown]):
    """Its options may follow NODES too, where `--` shows that they are not the command's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse."""
        ctx.allow_interspersed_args = "--" in args and self._is_prelude(ctx, args[: args.index("--")])
        return super().parse_args(ctx, args)

    def _is_prelude(self, ctx: click.Context, words: list[str]) -> bool:
        """Whether these are NODES and options of ours, and no word of a command."""
        ctx.allow_interspersed_args = True
        try:
            found, _, _ = self.make_parser(ctx).parse_args(list(words))
        except click.UsageError:
            return False
        return not isinstance(found.get("argv"), tuple)  # click's sign of what was not given is its own


command = _Exec(
    "exec",
    help="""Run one whitelisted command on nodes.

    NODES is a nodeset: node042, node[001-100]!node007, @ml-training (the nodes of a vCluster). Everything after -- is
    the command; its words reach it unchanged, no shell comes between. The exit status is the command's own; of several
    the worst.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["nodes"], metavar="NODES", type=NODES),
        click.Argument(["argv"], metavar="CMD [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED),
        click.Option(["-x", "--exclude"], type=NODES, default="", metavar="NODES", help="Leave these nodes out."),
        click.Option(["--fold", "-b"], is_flag=True, help="Show the same output of several nodes once, at the end."),
        click.Option(
            ["--fanout"],
            type=click.IntRange(1, 1024),
            default=64,
            show_default=True,
            metavar="N",
            help="Nodes at the same time.",
        ),
        _seconds("--timeout", 300.0, "Stop the command after this long on a node (0: never); exit status 5."),
        _seconds("--total-timeout", 0.0, "Stop everything after this long (0: never); exit status 5."),
        click.Option(
            ["--connect-timeout"],
            type=NumberType(min=0.1),
            default=15.0,
            show_default=True,
            metavar="SECONDS",
            help="How long a node may take to let us in.",
        ),
        click.Option(
            ["--max-output"],
            type=click.IntRange(min=1),
            default=10 << 20,
            show_default=True,
            metavar="BYTES",
            help="Stop the command when a node has printed more.",
        ),
        click.Option(
            ["--bypass"],
            is_flag=True,
            help="Run CMD outside the whitelist: platform admins only, marked in the journal.",
        ),
        yes_option(),
        drain_option(),
        drain_timeout_option(),
    ],
    context_settings={"allow_interspersed_args": False},
)

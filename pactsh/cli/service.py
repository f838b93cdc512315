"""`pact service`: how a node's services are, what they have said, and starting and stopping them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click
import msgspec

from pactsh.cli.arguments import NODE, NODES
from pactsh.cli.asknodes import Error, Failed, Waiting, ask_any
from pactsh.cli.careoptions import DRAIN_TIMEOUT_S, drain_option, drain_timeout_option, yes_option
from pactsh.cli.changes import lasts
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.nodes import fold_nodes, is_name
from pactsh.cli.render import Out
from pactsh.errors import UsageError
from pactsh.model.service import Service

if TYPE_CHECKING:
    from pactsh.cli.delegating import Result as Step

_LINES, _MOST_LINES = 50, 10_000
_NO_LIMIT_BYTES = 1 << 62
_DONE = {"start": "Started", "stop": "Stopped", "restart": "Restarted"}
_COLOURS = {"running": "green", "exited": "green", "failed": "red", "unhealthy": "red", "stopped": "dim"}
_WORST = {state: rank for rank, state in enumerate(("failed", "unhealthy", "waiting", "starting", "stopping"))}


@dataclass(frozen=True, slots=True)
class StatusArgs:
    """Which service; None: all that matter."""

    name: str | None
    node: str | None


class Services(msgspec.Struct, frozen=True):
    """The services of a node, and who keeps them: systemd, or pact's own supervisor."""

    node: str
    backend: str
    services: tuple[Service, ...]


class ServicesOfSeveral(Services, frozen=True):
    """The same of a node that was not asked alone."""


Status = Services | Failed | Waiting


def run_status(ctx: Context, args: StatusArgs) -> Status | Iterator[Status]:
    """Ask the nodes' agents."""
    params = {} if args.name is None else {"service": args.name}
    words = ("service", "status", *(() if args.name is None else ("--", args.name)))
    return ask_any(ctx, args.node, Services, ServicesOfSeveral, "service_status", params, words)


def badness(service: Service) -> tuple[int, str]:
    """A sorting key: failed ones first, then what is on its way, then by name."""
    return _WORST.get(service.state, len(_WORST)), service.name


def render_status(result: Status, out: Out) -> None:
    """A row a service, the worst first, then why those that are in a bad state are."""
    if isinstance(result, Failed | Waiting):
        return
    if isinstance(result, ServicesOfSeveral):
        out.behind(f"{result.node}: ", lambda page: _render_services(result, page))
    else:
        _render_services(result, out)


def _render_services(result: Services, out: Out) -> None:
    services = sorted(result.services, key=badness)
    if not result.services:
        out.line("(no services)")
        return
    rows = [
        (s.name, s.state, _number(s.pid), "-" if s.uptime_s is None else lasts(s.uptime_s), _number(s.restarts))
        for s in services
    ]
    out.table(
        ("SERVICE", "STATE", "PID", "UPTIME", "RESTARTS"),
        rows,
        styles=[("", _COLOURS.get(s.state, "yellow"), "", "", "") for s in services],
    )
    for service in services:
        if service.why:
            out.line(f"{service.name}: {service.why}")


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class ChangeArgs:
    """Which service, and where; whether to ask where jobs are on the nodes, and to drain them first."""

    name: str
    node: str | None
    yes: bool = False
    drain: bool = False
    drain_timeout: float = DRAIN_TIMEOUT_S


class Changed(msgspec.Struct, frozen=True):
    """What was done to a service, and which others went along; `warnings` are about what may come of it."""

    node: str
    backend: str
    verb: str
    service: Service
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class ChangedOfSeveral(Changed, frozen=True):
    """The same on a node that was not the only one."""


Change = Changed | Failed | Waiting


def run_start(ctx: Context, args: ChangeArgs) -> Change | Iterator[Change]:
    """Start it; raises what the agent raises."""
    return _change(ctx, args, "start")


def run_stop(ctx: Context, args: ChangeArgs) -> Change | Iterator[Change]:
    """Stop it; raises what the agent raises."""
    return _carefully(ctx, args, "stop")


def run_restart(ctx: Context, args: ChangeArgs) -> Change | Iterator[Change]:
    """Stop and start it; raises what the agent raises."""
    return _carefully(ctx, args, "restart")


def _carefully(ctx: Context, args: ChangeArgs, verb: str) -> Change | Iterator[Change]:
    """Do it; where there is a lattice, which knows what is disturbed by it, not before that was asked."""
    if not args.drain and (ctx.node is not None or ctx.settings.lattice_endpoint is None):
        return _change(ctx, args, verb)
    from pactsh.cli import interrupts
    from pactsh.cli.disturbing import Act, Care, carefully, is_guarded
    from pactsh.cli.sshclient import Gate

    is_guarded(ctx, f"service {verb}", drain=args.drain)
    if args.node is None:
        raise UsageError("service: not on a node: name one")
    nodes = (args.node,) if is_name(args.node) else interrupts.run(Gate(ctx).resolve(args.node))

    def do(ready: tuple[str, ...]) -> Iterator[Change]:
        found = _change(ctx, replace(args, node=fold_nodes(ready)), verb)
        return found if isinstance(found, Iterator) else iter((found,))

    act = Act(f"service {verb} {args.name}", do, _well, _not_drained)
    return carefully(ctx, nodes, act, Care(args.yes, args.drain, args.drain_timeout))


def _well(result: Change) -> tuple[str, ...]:
    """The node where it went well."""
    return (result.node,) if isinstance(result, Changed) else ()


def _not_drained(step: Step) -> Change:
    return Failed(step.target, Error(step.exit_status, step.kind, step.text, step.hint))


def _change(ctx: Context, args: ChangeArgs, verb: str) -> Change | Iterator[Change]:
    words = ("service", verb, "--", args.name)
    params = {"service": args.name}
    return ask_any(ctx, args.node, Changed, ChangedOfSeveral, f"service_{verb}", params, words)


def render_change(result: Change, out: Out) -> None:
    """One line: what, where, its process; then what else there is to say."""
    if isinstance(result, Failed | Waiting):
        return
    service = result.service
    pid = f" (pid {service.pid})" if service.pid is not None and result.verb != "stop" else ""
    state = "" if service.state in {"running", "stopped"} else f", now {service.state}"
    out.line(f"{_DONE.get(result.verb, result.verb)} {service.name} on {result.node}{pid}{state}")
    if result.others:
        out.line(f"  and with it: {', '.join(result.others)}")
    for text in result.warnings:
        out.styled(out.style("[WARN]", "yellow"), out.style(text), sep=" ")


@dataclass(frozen=True, slots=True)
class LogsArgs:
    """Whose, how many lines, and whether to go on with new ones."""

    name: str
    n: int
    follow: bool
    node: str | None


class Line(msgspec.Struct, frozen=True):
    """A line that a service has said."""

    node: str
    service: str
    line: str


@dataclass(frozen=True, slots=True)
class Streamed:
    """The lines of another node went by as they came; how that ended."""

    exit_status: int
    is_out: bool = True


def run_logs(ctx: Context, args: LogsArgs) -> Iterator[Line | Streamed]:
    """The last lines, oldest first, and with `--follow` those to come until Ctrl-C."""
    if ctx.node is None and args.node is None:
        raise UsageError("service: not on a node: name one")
    if ctx.node is not None:
        with ctx.agent() as agent:
            here = str(agent.ask("whoami")["node"])
            if args.node in {None, here}:
                params = {"service": args.name, "n": args.n, "follow": args.follow}
                for item in agent.call("service_logs", params, endless=args.follow):
                    for line in item["lines"]:
                        yield Line(str(item["node"]), str(item["service"]), str(line))
                return
    assert args.node is not None
    yield _elsewhere(ctx, args.node, args)


def _elsewhere(ctx: Context, node: str, args: LogsArgs) -> Streamed:
    """Have the node's own `pact` say it, and let it through as it comes."""
    from pactsh.cli.fanout import Limits
    from pactsh.cli.onnodes import alone
    from pactsh.cli.sshclient import Gate
    from pactsh.cli.stepping import stepwise
    from pactsh.language import join

    words = ("service", "logs", "-n", str(args.n), *(("--follow",) if args.follow else ()), "--", args.name)
    argv = ("pact", "--output", ctx.settings.output, *words)
    limits = Limits(1, 0.0 if args.follow else ctx.settings.timeout, max_output=_NO_LIMIT_BYTES)
    (ended,) = stepwise(alone(Gate(ctx), node, join(argv), limits, kept=False, notice=ctx.notice))
    return Streamed(ended.status)


def render_logs(result: Line | Streamed, out: Out) -> None:
    """The line; nothing for what went by already."""
    if isinstance(result, Line):
        out.line(result.line)


_NODE = click.Option(["--node"], type=NODE, help="The node; on a node: that one.")
_NODES = click.Option(["--node"], type=NODES, help="The node, or a nodeset; on a node: that one.")
_NAME = click.Argument(["name"], metavar="NAME")
_CARE = (yes_option(), drain_option(), drain_timeout_option())

STATUS: Command[StatusArgs, Status] = Command(
    "status",
    help="Show the services of a node, or one of them, failed ones first.",
    run=run_status,
    render=render_status,
    args=StatusArgs,
    params=[click.Argument(["name"], metavar="[NAME]", required=False), _NODES],
)
START: Command[ChangeArgs, Change] = Command(
    "start",
    help="Start a service, and wait until it has started.",
    run=run_start,
    render=render_change,
    args=ChangeArgs,
    params=[_NAME, _NODES],
)
STOP: Command[ChangeArgs, Change] = Command(
    "stop",
    help="Stop a service, and wait until it has ended.",
    run=run_stop,
    render=render_change,
    args=ChangeArgs,
    params=[_NAME, _NODES, *_CARE],
)
RESTART: Command[ChangeArgs, Change] = Command(
    "restart",
    help="Stop a service and start it again.",
    run=run_restart,
    render=render_change,
    args=ChangeArgs,
    params=[_NAME, _NODES, *_CARE],
)
LOGS: Command[LogsArgs, Line | Streamed] = Command(
    "logs",
    help="Show what a service has said, oldest first.",
    run=run_logs,
    render=render_logs,
    args=LogsArgs,
    params=[
        _NAME,
        click.Option(
            ["-n"],
            type=click.IntRange(0, _MOST_LINES),
            default=_LINES,
            metavar="N",
            help=f"The last N lines ({_LINES}).",
        ),
        click.Option(["--follow", "-f"], is_flag=True, help="Go on with new lines until Ctrl-C."),
        _NODE,
    ],
)

command = Group("service", help="Show and control a node's services.", commands=[STATUS, START, STOP, RESTART, LOGS])

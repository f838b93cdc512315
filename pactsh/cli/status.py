"""`pact status`: what a node says of itself, or a vCluster's nodes, worst first; `--watch` keeps showing it.

What isn't known is said to be unknown.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from pactsh.cli.arguments import NODES, NumberType
from pactsh.cli.bothsides import Answer, Everything, Trouble, contradictions, of_node, of_nodes
from pactsh.cli.changes import clock
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.entries import short_time
from pactsh.cli.nodestatus import FleetStatus, NodeStatus, fleet, warnings
from pactsh.cli.render import Out, screen_size
from pactsh.errors import NotFoundError, UnreachableError, UsageError

if TYPE_CHECKING:
    from pactsh.cli.latticelook import Look
    from pactsh.rpc.client import Journal

T = TypeVar("T")

EVERY_S = 2.0
LATTICE_AGAIN_S = 10.0
_STEP_S = 0.2  # between two looks at the size of the screen
_HEADER = ("NODE", "VCLUSTER", "STATE", "DRIFT", "WINDOW", "PRESENCE", "VERSION", "LAST SEEN")
_LATTICE_AT = _HEADER.index("VERSION")


@dataclass(frozen=True, slots=True)
class Args:
    """The nodes; None: this one, or the vCluster's. `watch`: seconds between two looks."""

    node: str | None
    watch: float | None


@dataclass(frozen=True, slots=True)
class Screen:
    """One look of several; `note` says why it is an old one."""

    status: NodeStatus | FleetStatus
    time: str
    note: str = ""


Result = NodeStatus | FleetStatus | Screen


def run(ctx: Context, args: Args) -> Result | Iterator[Result]:
    """Ask this node's agent, or the journal about others; and lattice, where one is configured."""
    if args.node is not None and "vcluster" in ctx.explicit:
        raise UsageError("status: give a NODE or --vcluster, not both")
    lattice = None
    if ctx.settings.lattice_endpoint is not None:
        from pactsh.cli.latticelook import Look

        lattice = Look(ctx, 0.0 if args.watch is None else LATTICE_AGAIN_S)
    if args.watch is None:
        return _look(ctx, args.node, lattice)
    return _looks(ctx, lambda: _look(ctx, args.node, lattice), args.watch)


def _look(ctx: Context, text: str | None, lattice: Look | None) -> NodeStatus | FleetStatus:
    if ctx.node is not None and "vcluster" not in ctx.explicit:
        with ctx.agent() as agent:
            here = msgspec.convert(agent.ask("status"), NodeStatus)
        if text in {None, here.node}:
            return here if lattice is None else lattice.here(here)
    if text is None:
        return _vcluster(ctx, lattice)
    return _node(ctx, text, lattice) if re.fullmatch(r"[a-z0-9-]+", text) else _nodes(ctx, text, lattice)


def _ask(
    ctx: Context,
    lattice: Look | None,
    question: Callable[[Journal], Awaitable[T]],
    *,
    vcluster: str = "",
    node: str = "",
) -> tuple[T, Answer | None]:
    """The journal's answer, and lattice's where one is configured."""
    if lattice is not None:
        return lattice.beside(ctx, question, vcluster=vcluster, node=node)
    from pactsh.cli.remote import ask

    return ask(ctx, question), None


def _vcluster(ctx: Context, lattice: Look | None) -> FleetStatus:
    from pactsh.cli.remote import status_of

    vcluster = ctx.settings.vcluster
    if vcluster is None:
        raise UsageError("status: not on a node: name a NODE or give --vcluster")
    found, answer = _ask(ctx, lattice, lambda journal: journal.nodes(vcluster, brief=True), vcluster=vcluster)
    if not found:
        raise NotFoundError(f"status: {vcluster}: no such vCluster, or no nodes in it", hint="see pact group list")
    nodes, side = of_nodes([*map(status_of, found)], answer, vcluster=vcluster)
    return fleet(vcluster, nodes, ctx.now().timestamp(), side=side)


def _node(ctx: Context, name: str, lattice: Look | None) -> NodeStatus:
    from pactsh.cli.remote import status_of

    found, answer = _ask(ctx, lattice, lambda journal: journal.node(name), node=name)
    return of_node(status_of(found), answer)


def _nodes(ctx: Context, text: str, lattice: Look | None) -> FleetStatus:
    from pactsh.cli.remote import chosen, one_vcluster, status_of

    only = one_vcluster(text)
    found, answer = _ask(ctx, lattice, lambda journal: journal.nodes(only, brief=True), vcluster=only)
    those, unknown = chosen(text, found)
    if not those:
        raise NotFoundError(f"status: {text}: no such node", hint="pact group list shows the vClusters")
    named = Everything() if text == "@*" else unknown
    nodes, side = of_nodes([*map(status_of, those)], answer, vcluster=only, named=named)
    return fleet(None, nodes, ctx.now().timestamp(), unknown, side)


def _looks(ctx: Context, look: Callable[[], NodeStatus | FleetStatus], every_s: float) -> Iterator[Result]:
    """Look again and again. A journal out of reach at the very first is an error; later the last look stays."""
    status, note = look(), ""
    looked = f"{ctx.now():%H:%M:%S}"
    while True:
        if ctx.json:
            yield status
            ctx.sleep(every_s)
        else:
            for _ in _changes(ctx, every_s):
                yield Screen(status, looked, note)
        try:
            status, note = look(), ""
            looked = f"{ctx.now():%H:%M:%S}"
        except UnreachableError as error:
            note = error.message
            if ctx.json:
                ctx.notice(f"pact: status: {note}")


def _changes(ctx: Context, seconds: float) -> Iterator[None]:
    """Once now, and whenever the screen has another size, until the time is over."""
    size = screen_size()
    yield
    while seconds > 0:
        ctx.sleep(min(_STEP_S, seconds))
        seconds -= _STEP_S
        if (now := screen_size()) != size:
            size = now
            yield


def render(result: Result, out: Out) -> None:
    """For a node the summary line first; for several a table."""
    if isinstance(result, Screen):
        out.screen(lambda page, height: _render_screen(result, page, height))
    elif isinstance(result, NodeStatus):
        _render_node(result, out, time.time())
    elif not result.nodes:
        out.line("(no nodes)")
    else:
        _table(result.nodes, out)
        _warn(result.warnings, out)
        out.line(summary(result))


def summary(result: FleetStatus) -> str:
    """How many there are, and in which states.

    >>> summary(fleet("v", [NodeStatus("a", "v", "COMMITTED", present=False)], 0.0))
    '1 node: 1 COMMITTED; 1 absent'
    """
    total = len(result.nodes)
    states = ", ".join(f"{number} {state}" for state, number in result.counts.items())
    return f"{total} node{'' if total == 1 else 's'}: {states}" + (f"; {result.absent} absent" if result.absent else "")


def _render_screen(result: Screen, out: Out, height: int | None) -> None:
    """What fits: of the nodes the worst. `height` is None where all fits."""
    status = result.status
    said = [out.style(result.time, "dim")]
    if result.note:
        said.append(out.style(f"as it was then: {result.note}", "red", "bold"))
    if isinstance(status, NodeStatus) or not status.nodes:
        out.styled(*said)
        render(status, out)
        return
    out.styled(*said, out.style(summary(status), "bold"))
    room = None if height is None else max(1, height // 4)
    told = status.warnings[:room]
    _warn(told, out)
    if len(told) < len(status.warnings):
        out.line(f"… {len(status.warnings) - len(told)} more warnings")
    shown = len(status.nodes)
    if height is not None:
        used = 1 + len(told) + (len(told) < len(status.warnings)) + 1  # and the header
        shown = shown if used + shown <= height else max(1, height - used - 1)
    _table(status.nodes[:shown], out)
    if shown < len(status.nodes):
        out.line(f"… {len(status.nodes) - shown} more")


def _table(nodes: tuple[NodeStatus, ...], out: Out) -> None:
    """With lattice's column where it could be asked of any."""
    header: tuple[str, ...] = _HEADER
    rows: list[tuple[str, ...]] = [_row(node) for node in nodes]
    views = [node.lattice for node in nodes]
    if any(view is not None and view.is_known for view in views):
        header = (*_HEADER[:_LATTICE_AT], "LATTICE", *_HEADER[_LATTICE_AT:])
        cells = ("-" if view is None else view.shown for view in views)
        rows = [(*row[:_LATTICE_AT], cell, *row[_LATTICE_AT:]) for row, cell in zip(rows, cells, strict=True)]
    out.table(header, rows, [[_colour(node)] * len(header) for node in nodes])


def _row(node: NodeStatus) -> tuple[str, ...]:
    window = "-" if node.window_s is None else clock(node.window_s)
    seen = short_time(node.last_seen) if node.last_seen else "never"
    version = node.version or "unknown"
    return node.node, node.vcluster, node.shown_state, _drift(node), window, _presence(node), version, seen


def _colour(node: NodeStatus) -> str:
    if node.emergency or node.present is False:
        return "red bold" if node.emergency else "red"
    failing = node.overlay is not None and node.overlay.failing is not None
    return "yellow" if node.drift or failing or node.degraded or node.unreadable or any(contradictions(node)) else ""


def _warn(texts: tuple[str, ...], out: Out) -> None:
    for text in texts:
        out.styled(out.style("[WARN]", "yellow"), out.style(text), sep=" ")


def _drift(status: NodeStatus) -> str:
    return "unknown" if status.drift is None else str(status.drift)


def _presence(status: NodeStatus) -> str:
    return "unknown" if status.present is None else "present" if status.present else "ABSENT"


def _render_node(status: NodeStatus, out: Out, now: float) -> None:
    colour = ("red", "bold") if status.emergency else ("bold",)
    out.styled(
        f"Node: {out.style(status.node, 'bold')}",
        f"State: {out.style(status.shown_state, *colour)}",
        f"Supervisor: {out.style(status.supervisor or 'no services')}",
    )
    facts = [("vCluster", status.vcluster), ("Drift", _drift(status))]
    if status.window_s is not None:
        facts.append(("Window", f"{clock(status.window_s)} left, then what is not committed is rolled back"))
    if status.overlay is not None and (status.overlay.version or status.overlay.failing):
        facts.append(("Overlay", f"version {status.overlay.version}"))
    if status.lattice is not None:
        facts.append(("Lattice", status.lattice.told))
        if isinstance(status.lattice.error, Trouble):
            facts.append(("Warning", status.lattice.error.message))
    facts += [("Warning", text.replace(" NODE)", f" {status.node})")) for text in warnings(status, now)]
    if status.journal is not None:
        link = "connected" if status.journal.connected else "UNREACHABLE"
        facts.append(("Journal", link + (f" since {status.journal.since}" if status.journal.since else "")))
    if status.degraded:
        facts.append(("Degraded", "yes: cached policy decides, entries wait in the spool"))
    if status.spool is not None:
        facts.append(("Spool", f"{status.spool.level}, {status.spool.pending} entries waiting"))
    if status.sessions is not None:
        facts.append(("Sessions", str(status.sessions)))
    if status.capabilities is not None:
        facts.append(("Has", status.capabilities))
    if status.containment is not None:
        facts.append(("Containment", status.containment))
    facts += [("Missing", text) for text in status.missing]
    if status.present is not None:
        facts.append(("Presence", f"{_presence(status)}, last seen {status.last_seen or 'never'}"))
    if status.version is not None:
        facts.append(("Agent", status.version + (f", up since {status.started_at}" if status.started_at else "")))
    for name, value in facts:
        out.line(f"{name + ':':<13}{value}")


class _Status(Command[Args, Result]):
    """`--watch` may stand without its number, and then before a NODE as well."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give it one where what follows is none."""
        for place, word in enumerate(args):
            after = args[place + 1] if place + 1 < len(args) else ""
            if word == "--watch" and not re.fullmatch(r"-?[0-9][0-9.]*", after):
                args = [*args[:place], f"--watch={EVERY_S:g}", *args[place + 1 :]]
        return super().parse_args(ctx, args)


command: Command[Args, Result] = _Status(
    "status",
    help="Show the state of a node or of a vCluster's nodes.\n\nOn a node NODE defaults to that node.",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["node"], type=NODES, required=False),
        click.Option(
            ["--watch"],
            type=NumberType(0.5, 86_400),
            metavar="[SECONDS]",
            help=f"Show it again and again ({EVERY_S:g} s), until Ctrl-C.",
        ),
    ],
)

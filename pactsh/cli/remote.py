"""Asking the journal over gRPC: from the settings to a client, and from its asyncio to plain calls.

A command is one thing after the other, so `run` stays synchronous; the event loop runs while it waits here.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pactsh.cli import interrupts
from pactsh.cli.bearer import require_bearer
from pactsh.cli.nodes import Groups, groups_in, resolve
from pactsh.cli.nodestatus import DeltaStatus, NodeStatus, OverlayStatus
from pactsh.cli.sources import Filter
from pactsh.cli.stepping import stepwise
from pactsh.errors import NotFoundError, PactError, UsageError
from pactsh.model.overlay import Overlay
from pactsh.rpc.client import Journal

if TYPE_CHECKING:
    from pactsh.cli.config import Settings
    from pactsh.cli.context import Context
    from pactsh.model.entry import Entry
    from pactsh.rpc import pact_pb2 as pb

T = TypeVar("T")


def open_journal(settings: Settings, environ: Mapping[str, str]) -> Journal:
    """A client, to be entered with `async with`. Raises `AuthError` without a token: there is no default."""
    require_bearer(settings, environ)
    return Journal(
        settings.endpoint,
        ca=read_ca(settings),
        token=lambda: require_bearer(settings, environ).token,
        timeout_s=settings.timeout,
    )


def read_ca(settings: Settings) -> bytes:
    """The CA's certificates (PEM); raises `UsageError` naming the file."""
    try:
        pem = settings.ca.read_bytes()
        # grpc would only complain on the terminal, and then find no issuer. asyncio has loaded ssl anyway.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ValueError, ssl.SSLError) as error:
        raise UsageError(f"ca: {settings.ca}: not a PEM certificate") from error
    except OSError as error:
        raise UsageError(
            f"ca: {settings.ca}: {error.strerror}", hint="--ca, PACT_CA or ca in cli.toml name the journal's CA"
        ) from error
    return pem


def ask(ctx: Context, question: Callable[[Journal], Awaitable[T]]) -> T:
    """Connect, ask one question, disconnect."""

    async def run() -> T:
        async with ctx.journal() as journal:
            return await question(journal)

    return interrupts.run(run())


def iterate(ctx: Context, question: Callable[[Journal], AsyncIterator[T]]) -> Iterator[T]:
    """Connect and yield what an asynchronous iterator yields; disconnects when the caller is done."""

    async def run() -> AsyncIterator[T]:
        async with ctx.journal() as journal:
            async for item in question(journal):
                yield item

    return stepwise(run())


class JournalSource:
    """Entries from the journal itself."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def list(self, wanted: Filter, n: int) -> Sequence[Entry]:
        """The last `n` that pass, newest first."""
        return ask(self._ctx, lambda journal: _list(journal, wanted, n))

    def follow(self, wanted: Filter, n: int, from_seq: int | None = None) -> Iterator[Entry]:
        """The last `n` that pass (or all from `from_seq` on), oldest first, then new ones as they come."""
        return iterate(self._ctx, lambda journal: self._follow(journal, wanted, n, from_seq))

    async def _follow(self, journal: Journal, wanted: Filter, n: int, from_seq: int | None) -> AsyncIterator[Entry]:
        if from_seq is None:
            # In this order, and from the later of both: nothing between the two answers is lost or repeated.
            newest = await _list(journal, Filter(), 1)
            entries = await _list(journal, wanted, n) if n else []
            for entry in reversed(entries):
                yield entry
            from_seq = max((e.seq for e in [*newest, *entries]), default=0) + 1
        watched = journal.watch(
            from_seq,
            scope=wanted.scope or "",
            type=wanted.type or "",
            author=wanted.author or "",
            on_lost=lambda error: self._ctx.notice(f"pact: {error.message}; trying again"),
        )
        async for entry in watched:
            if wanted.accepts(entry):  # `since` is not among the filters of a watch
                yield entry


async def _list(journal: Journal, wanted: Filter, n: int) -> Sequence[Entry]:
    return await journal.list(
        n,
        scope=wanted.scope or "",
        since=wanted.since or "",
        type=wanted.type or "",
        author=wanted.author or "",
    )


def list_nodes(ctx: Context, vcluster: str | None = None) -> list[NodeStatus]:
    """What all nodes, or those of a vCluster, reported last, by name."""
    return [status_of(node) for node in ask(ctx, lambda journal: journal.nodes(vcluster or "", brief=True))]


def one_node(ctx: Context, node: str) -> NodeStatus:
    """What one node reported last; raises `NotFoundError`."""
    return status_of(ask(ctx, lambda journal: journal.node(node)))


def capabilities_of(ctx: Context, text: str) -> tuple[list[tuple[str, dict[str, object] | None]], tuple[str, ...]]:
    """What the nodes of a nodeset have, None of one that reported nothing; and those that there are none of."""
    vcluster = one_vcluster(text)
    nodes, unknown = chosen(text, ask(ctx, lambda journal: journal.nodes(vcluster)))
    found = [(node.node, _details(node).get("cap")) for node in nodes]
    return [(name, cap if isinstance(cap, dict) else None) for name, cap in found], unknown


def named_nodes(ctx: Context, text: str) -> tuple[str, ...]:
    """The nodes that a nodeset names, whether there are any of these names or not; the journal is asked where it names
    vClusters. Raises `UsageError` for the text."""

    async def members(groups: Groups) -> Mapping[str, Iterable[str]]:
        grouped: dict[str, list[str]] = {}
        async with ctx.journal() as journal:
            for name in ("",) if groups.all else groups.names:
                for node in await journal.nodes(name, brief=True):
                    grouped.setdefault(node.vcluster, []).append(node.node)
        return grouped

    return interrupts.run(resolve(text, "", members))


def one_vcluster(text: str) -> str:
    """The vCluster that a nodeset is, where it is one and nothing else: then the journal need not tell of all nodes.

    >>> one_vcluster("@ml"), one_vcluster("@ml,n1")
    ('ml', '')
    """
    groups = groups_in(text)
    return groups.names[0] if not groups.all and len(groups.names) == 1 and text == f"@{groups.names[0]}" else ""


def chosen(text: str, nodes: Iterable[pb.Node]) -> tuple[list[pb.Node], tuple[str, ...]]:
    """Those of a nodeset, and the names that there are none of. Raises `UsageError` for the text."""
    found = {node.node: node for node in nodes}

    async def members(_groups: Groups) -> Mapping[str, Iterable[str]]:
        grouped: dict[str, list[str]] = {}
        for node in found.values():
            grouped.setdefault(node.vcluster, []).append(node.node)
        return grouped

    wanted = interrupts.run(resolve(text, "", members))
    return [found[name] for name in wanted if name in found], tuple(name for name in wanted if name not in found)


def overlay_of(document: pb.PolicyDocument, vcluster: str) -> Overlay:
    """The overlay of a vCluster; version 0 where none was ever applied. Raises `PactError`."""
    if not document.overlay_seq:
        return Overlay(vcluster)
    try:
        return msgspec.json.decode(document.overlay, type=Overlay)
    except ValueError as error:  # DecodeError, ValidationError
        text = f"the overlay in seq:{document.overlay_seq} can't be read: {error}"
        raise PactError(text, hint="is this pact older than the journal's?") from error


class _Details(msgspec.Struct, frozen=True):
    """What of an agent's report belongs to a node's state; the rest is left alone."""

    supervisor: str | None = None
    capabilities: str | None = None
    drift: int | None = None
    window_s: float | None = None
    overlay: OverlayStatus | None = None
    deltas: DeltaStatus | None = None
    degraded: bool = False
    emergency: bool = False
    containment: str | None = None
    missing: tuple[str, ...] = ()


_decoder = msgspec.json.Decoder(_Details)


def status_of(node: pb.Node) -> NodeStatus:
    """What a node reported last."""
    details, unreadable = _Details(), False
    try:
        details = _decoder.decode(node.details or b"{}")
    except ValueError:  # DecodeError, ValidationError
        unreadable = True
    overlay, left_s = details.overlay, details.window_s
    if overlay is not None and node.HasField("overlay_wanted"):
        overlay = OverlayStatus(overlay.version, overlay.failing, node.overlay_wanted)
    if left_s is not None and node.last_seen:  # what was left when it said so
        passed = datetime.now(UTC) - datetime.fromisoformat(node.last_seen)
        left_s = max(0.0, left_s - passed.total_seconds())
    return NodeStatus(
        node.node,
        node.vcluster,
        node.state or "unknown",
        supervisor=details.supervisor,
        capabilities=details.capabilities,
        drift=details.drift,
        window_s=left_s,
        overlay=overlay,
        deltas=details.deltas,
        degraded=details.degraded,
        emergency=details.emergency,
        containment=details.containment,
        missing=details.missing,
        version=node.version or None,
        last_seen=node.last_seen or None,
        present=node.present,
        unreadable=unreadable,
    )


def node_capabilities(ctx: Context, node: str) -> dict[str, object]:
    """What a node reported of its capabilities; raises `NotFoundError` when it reported none."""
    cap = _details(ask(ctx, lambda journal: journal.node(node))).get("cap")
    if not isinstance(cap, dict):
        raise NotFoundError(f"cap: {node}: it has reported no capabilities", hint="ask on the node itself: pact cap")
    return cap


def _details(node: pb.Node) -> dict[str, object]:
    try:
        details = json.loads(node.details or b"{}")
    except ValueError as error:
        raise PactError(f"node {node.node}: its report is not JSON") from error
    return details if isinstance(details, dict) else {}

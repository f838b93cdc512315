"""Asking the journal over gRPC: from the settings to a client, and from its asyncio to plain calls.

A command is one thing after the other, so `run` stays synchronous; the event loop runs while it waits here.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pactsh.cli.bearer import require_bearer
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

    return asyncio.run(run())


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


def list_nodes(ctx: Context, node: str | None, vcluster: str | None) -> list[dict[str, object]]:
    """What nodes reported last: one (raises `NotFoundError`), or all of a vCluster; fields of `NodeStatus`."""
    if node is not None:
        return [_status(ask(ctx, lambda journal: journal.node(node)))]
    nodes, wanted = ask(ctx, lambda journal: _nodes(journal, vcluster or ""))
    return [_status(found, wanted.get(found.vcluster)) for found in nodes]


async def _nodes(journal: Journal, vcluster: str) -> tuple[list[pb.Node], dict[str, int]]:
    """The nodes, and the version of each vCluster's overlay."""
    nodes = list(await journal.nodes(vcluster))
    names = sorted({node.vcluster for node in nodes} - {""})
    return nodes, {name: overlay_of(await journal.policy(name), name).version for name in names}


def overlay_of(document: pb.PolicyDocument, vcluster: str) -> Overlay:
    """The overlay of a vCluster; version 0 where none was ever applied. Raises `PactError`."""
    if not document.overlay_seq:
        return Overlay(vcluster)
    try:
        return msgspec.json.decode(document.overlay, type=Overlay)
    except ValueError as error:  # DecodeError, ValidationError
        text = f"the overlay in seq:{document.overlay_seq} can't be read: {error}"
        raise PactError(text, hint="is this pact older than the journal's?") from error


_SHOWN = ("drift", "overlay", "deltas", "degraded", "emergency", "containment", "missing")


def _status(node: pb.Node, wanted: int | None = None) -> dict[str, object]:
    details = _details(node)
    known = {k: details[k] for k in _SHOWN if k in details}
    if isinstance(overlay := known.get("overlay"), dict) and wanted is not None:
        known["overlay"] = {**overlay, "wanted": wanted}
    left_s = details.get("window_s")
    if isinstance(left_s, int | float) and node.last_seen:  # what was left when it said so
        passed = datetime.now(UTC) - datetime.fromisoformat(node.last_seen)
        known["window_s"] = max(0.0, left_s - passed.total_seconds())
    return known | {
        "node": node.node,
        "vcluster": node.vcluster,
        "state": node.state or "unknown",
        "version": node.version or None,
        "last_seen": node.last_seen or None,
        "present": node.present,
    }


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

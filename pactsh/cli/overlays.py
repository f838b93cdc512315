"""Where `pact apply` and `pact promote` get overlays and deltas from, and how an overlay is written and awaited."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pactsh.cli.sources import Filter, open_source
from pactsh.errors import ForbiddenError, UsageError
from pactsh.model.delta import Delta, State
from pactsh.model.entry import Author, Draft, Entry
from pactsh.model.fold import FOLDED, node_deltas
from pactsh.model.overlay import Overlay
from pactsh.policy.rbac import ADMIN

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.model.identity import Identity
    from pactsh.rpc.client import Journal

_MOST_ENTRIES = 100_000
ANSWERS = ("overlay.applied", "overlay.failed")


@dataclass(frozen=True, slots=True)
class Difference:
    """A key of an overlay and its values, None where it is not there."""

    key: str
    old: str | None
    new: str | None


def current_overlay(ctx: Context, vcluster: str) -> Overlay:
    """The overlay in force; version 0 where none was ever applied."""
    from pactsh.cli.remote import ask, overlay_of

    return overlay_of(ask(ctx, lambda journal: journal.policy(vcluster)), vcluster)


def differences(old: State, new: State) -> Iterator[Difference]:
    """Key by key, in order."""
    for name in sorted({*old, *new}):
        before, after = old.get(name, {}), new.get(name, {})
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                yield Difference(f"{name}:{key}", before.get(key), after.get(key))


def committed(ctx: Context) -> dict[str, tuple[Delta, ...]]:
    """The deltas of all nodes within reach, as the journal has them."""
    source = open_source(ctx)
    entries = [entry for kind in FOLDED for entry in source.list(Filter(type=kind), _MOST_ENTRIES)]
    return node_deltas(sorted(entries, key=lambda entry: entry.seq))


def operator(ctx: Context, verb: str, vcluster: str) -> Identity:
    """Who is asking, if that one may change what is declared for a vCluster; raises `ForbiddenError`, or `UsageError`
    inside a session."""
    if ctx.node is not None and ctx.node.fd is not None:
        raise UsageError(
            f"{verb}: a session speaks through its node's agent, which changes no overlay",
            hint="run it from your workstation",
        )
    from pactsh.cli.certificate import certified_identity

    who, _until = certified_identity(ctx)
    needed = (ADMIN, f"pact-ops-{vcluster}")
    if not set(needed) & set(who.roles):
        raise ForbiddenError(
            f"{verb}: {who.principal} may not change what is declared for {vcluster}", hint=f"needed: {needed[1]}"
        )
    return who


def draft_of(ctx: Context, who: Identity, overlay: Overlay, message: str, number: int) -> Draft:
    """The entry that puts an overlay in force."""
    return Draft(
        client=f"user:{who.principal}:{uuid.uuid4()}",
        number=number,
        time=ctx.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        type="overlay.updated",
        scope=f"vcluster:{overlay.vcluster}",
        author=Author(who.principal, who.roles, who.kind),
        message=f"version {overlay.version}: {message}" if message else f"version {overlay.version}",
        body={"overlay": msgspec.to_builtins(overlay)},
    )


async def answers(journal: Journal, seq: int, version: int, nodes: Iterable[str], timeout_s: float) -> dict[str, Entry]:
    """What the nodes made of that version of the overlay, in entry `seq`: the first entry of each that says so, of
    those who answer within the time."""
    waiting = {f"node:{node}" for node in nodes}
    found: dict[str, Entry] = {}
    try:
        async with asyncio.timeout(timeout_s):
            async for entry in journal.watch(seq + 1):
                theirs = entry.type in ANSWERS and (entry.body or {}).get("version") == version
                if theirs and entry.scope in waiting:
                    waiting.discard(entry.scope)
                    found[entry.scope.removeprefix("node:")] = entry
                if not waiting:
                    break
    except TimeoutError:
        pass
    return found


def reasons_of(entry: Entry) -> Sequence[str]:
    """Why a node could not apply it; empty where it did."""
    reasons = (entry.body or {}).get("reasons")
    return tuple(str(reason) for reason in reasons) if isinstance(reasons, list) else ()


def superseded_of(entry: Entry) -> tuple[int, ...]:
    """The entries of the node's own commits that fell away with it."""
    fallen = (entry.body or {}).get("superseded")
    numbers = [item.get("seq") for item in fallen if isinstance(item, dict)] if isinstance(fallen, list) else []
    return tuple(number for number in numbers if isinstance(number, int) and number)

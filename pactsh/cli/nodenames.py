"""Names of nodes and vClusters for Tab: what the journal said minutes ago, or says within a second.

Whatever goes wrong, there is nothing to offer: a question that nobody asked gets no error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping

import msgspec

from pactsh.auth import private
from pactsh.auth.state import state_directory
from pactsh.cli import interrupts
from pactsh.errors import PactError

KEPT_S = 300.0
_PATIENCE_S = 1.0


class Names(msgspec.Struct, frozen=True):
    """Nodes with their vClusters, of the journal and the sign-in that `binding` stands for, at a time."""

    binding: str
    at: float
    nodes: dict[str, str]


def known_names(environ: Mapping[str, str], now: float) -> Mapping[str, str]:
    """Nodes with their vClusters; asks the journal when what is kept is too old. Inside a session there are none."""
    if environ.get("PACT_SESSION_FD"):
        return {}
    try:
        return _names(environ, now)
    except (PactError, OSError, TimeoutError):
        return {}


def _names(environ: Mapping[str, str], now: float) -> Mapping[str, str]:
    from pactsh.cli.bearer import find_bearer
    from pactsh.cli.config import load_settings

    settings = load_settings({}, environ)
    bearer = find_bearer(settings, environ)
    if bearer is None:
        return {}
    path = state_directory(environ) / "names.json"
    try:
        kept = msgspec.json.decode(private.read_private(path) or b"", type=Names)
        if kept.binding == bearer.binding and 0 <= now - kept.at < KEPT_S:
            return kept.nodes
    except ValueError:
        pass
    from pactsh.cli.remote import open_journal

    async def ask() -> dict[str, str]:
        async with asyncio.timeout(_PATIENCE_S), open_journal(settings, environ) as journal:
            return {node.node: node.vcluster for node in await journal.nodes(brief=True)}

    found = interrupts.run(ask())
    private.make_private_directory(path.parent)
    data = msgspec.json.encode(Names(bearer.binding, now, found))
    if len(data) <= private.MAX_BYTES:
        private.write_private(path, data)
    return found


def completions(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """What the last part of a nodeset may go on as, with all that is before it.

    Nothing inside brackets: those are numbers.
    """
    start = max((text.rfind(operator) for operator in ",!&^"), default=-1) + 1
    before, last = text[:start], text[start:]
    if last.count("[") != last.count("]"):
        return
    names = known_names(environ, time.time())
    groups = sorted({f"@{vcluster}" for vcluster in names.values() if vcluster})
    yield from (before + word for word in (*sorted(names), *groups) if word.startswith(last))

"""Argument types of the command line: each owns parsing, completion, its error and its metavar.

`parse_since` is apart from click because it needs the clock, which only `run` is given.
"""

from __future__ import annotations

import math
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from pactsh.errors import UsageError

if TYPE_CHECKING:
    from click import Context, Parameter

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"([0-9]{1,6})\s*(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|w|weeks?)(\s+ago)?")


class NumberType(click.FloatRange):
    """A number within bounds; what is none (`nan`) is within no bounds."""

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> float:
        """Parse and check."""
        number = super().convert(value, param, ctx)
        if number is None or not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return float(number)


class ScopeType(click.ParamType[str]):
    """`global`, `vc:NAME` or `node:ID`; the value is the scope as entries spell it (`vcluster:NAME`)."""

    name = "scope"

    def get_metavar(self, param: Parameter, ctx: Context) -> str:  # noqa: ARG002  click's signature
        """How it shows in the help."""
        return "global|vc:NAME|node:ID"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> str:
        """Parse; fails with what was expected."""
        scope = parse_scope(str(value))
        if scope is None:
            self.fail(f"expected global, vc:NAME or node:ID, got {value!r}", param, ctx)
        return scope

    def shell_complete(self, ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The three forms."""
        return [CompletionItem(s) for s in ("global", "vc:", "node:") if s.startswith(incomplete)]


class EntryTypeType(click.ParamType[str]):
    """The type of a journal entry."""

    name = "type"

    def get_metavar(self, param: Parameter, ctx: Context) -> str:  # noqa: ARG002  click's signature
        """How it shows in the help."""
        return "TYPE"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> str:
        """Only a type that exists: a typo must not look like an empty journal."""
        known = entry_types()
        if value not in known:
            self.fail(f"no entry type {value!r}; one of {', '.join(known)}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The types that begin so."""
        return [CompletionItem(t) for t in entry_types() if t.startswith(incomplete)]


class NodeType(click.ParamType[str]):
    """The name of one node."""

    name = "node"

    def get_metavar(self, param: Parameter, ctx: Context) -> str:  # noqa: ARG002  click's signature
        """How it shows in the help."""
        return "NODE"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> str:
        """Parse; a host name of lower-case letters, digits and hyphens."""
        if not _NAME.fullmatch(str(value)):
            self.fail(f"expected a node name, got {value!r}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The nodes there are."""
        return [item for item in _node_names(incomplete) if not str(item.value).startswith("@")]


class NodesType(click.ParamType[str]):
    """A set of nodes (`nodes.parse_nodes`). What it says about vClusters is resolved by those who use it."""

    name = "nodes"

    def get_metavar(self, param: Parameter, ctx: Context) -> str:  # noqa: ARG002  click's signature
        """How it shows in the help."""
        return "NODES"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> str:  # noqa: ARG002
        """Check the form of one that names no vCluster; of others later."""
        from pactsh.cli.nodes import groups_in, parse_nodes

        text = str(value)
        if text and "@" not in text and not groups_in(text):
            parse_nodes(text)
        return text

    def shell_complete(self, ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The nodes and the vClusters there are, for the last part of a set."""
        return _node_names(incomplete)


def _node_names(incomplete: str) -> list[CompletionItem]:
    from pactsh.cli.nodenames import completions

    return [CompletionItem(text) for text in completions(incomplete, os.environ)]


SCOPE = ScopeType()
ENTRY_TYPE = EntryTypeType()
NODE = NodeType()
NODES = NodesType()


def entry_types() -> tuple[str, ...]:
    """The types of entry that the journal keeps, sorted."""
    from pactsh.journal.drafts import KNOWN_TYPES

    return tuple(sorted(KNOWN_TYPES))


def parse_scope(text: str) -> str | None:
    """The scope of `text` in the journal's spelling; None when it is none.

    >>> parse_scope("vc:ml-training"), parse_scope("node:node042"), parse_scope("node042")
    ('vcluster:ml-training', 'node:node042', None)
    """
    kind, colon, name = text.partition(":")
    if not colon:
        return "global" if text == "global" else None
    kinds = {"vc": "vcluster", "vcluster": "vcluster", "node": "node"}
    return f"{kinds[kind]}:{name}" if kind in kinds and _NAME.fullmatch(name) else None


def parse_since(text: str, now: datetime) -> str:
    """A moment in the past, as RFC 3339 UTC with microseconds; days begin at midnight UTC.

    `text` is RFC 3339 (UTC when it has no offset), `2h`, `3 days ago`, `today` or `yesterday`.
    Raises `UsageError` for anything else.

    >>> parse_since("3 days ago", datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-28T12:00:00.000000Z'
    """
    moment = _moment(text.strip().lower(), now.astimezone(UTC))
    if moment is None:
        raise UsageError(
            f"--since: no time: {text!r}",
            hint="RFC 3339 (2026-01-31T12:00:00Z), 2h, '3 days ago', today or yesterday",
        )
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(text: str, now: datetime) -> datetime | None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in {"today", "yesterday"}:
        return midnight - timedelta(days=text == "yesterday")
    try:
        if span := _SPAN.fullmatch(text):
            return now - timedelta(seconds=int(span[1]) * _UNITS[span[2][0]])
        moment = datetime.fromisoformat(text.upper())
        # astimezone here: a moment whose UTC falls outside the years 1 to 9999 is out of range too
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None

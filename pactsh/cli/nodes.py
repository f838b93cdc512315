"""Nodesets: which nodes a text names, and how a set of names is written shortly.

The syntax is ClusterShell's (clush(1), nodeset(1)): `node[001-100]`, `a,b`, `a!b` (all of a but those of b), `a&b`,
`a^b`, `@NAME` (the nodes of a vCluster), `@*` (all), `node*`. Groups are vClusters and nothing else: no file on this
machine and no program is asked, which is what the library does by itself. It is imported when a text needs it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pactsh.errors import UsageError

if TYPE_CHECKING:
    from ClusterShell.NodeSet import NodeSet

MOST = 100_000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLAIN = re.compile(r"[A-Za-z0-9_.,-]*")
_GROUP = re.compile(r"@([^,!&^\s]*)")
_LAST = ("last.ok", "last.failed")
_RANGE = re.compile(r"([0-9]{1,4000})-([0-9]{1,4000})")
_SOURCE = re.compile(r"@@|@[^,!&^\s]*:")  # ClusterShell's other sources of groups, and its lists of them
_LONGEST = 1 << 20
_HINT = "node042, node[001-100], node[001-100]!node007, @ml-training (a vCluster), @* (all)"


class Groups(NamedTuple):
    """What has to be known before a text can be resolved: these vClusters, or all nodes with their vClusters."""

    names: tuple[str, ...]
    all: bool

    def __bool__(self) -> bool:
        return self.all or bool(self.names)


Lookup = Callable[[Groups], Awaitable[Mapping[str, Iterable[str]]]]


def is_name(text: str) -> bool:
    """Whether it is the name of one node, and no more than that."""
    return _NAME.fullmatch(text) is not None


def groups_in(text: str) -> Groups:
    """The vClusters that `text` names.

    >>> groups_in("node[1-3],@ml-training"), groups_in("node*"), groups_in("@ml[1-2]")
    (Groups(names=('ml-training',), all=False), Groups(names=(), all=True), Groups(names=(), all=True))
    """
    names = tuple(name for name in dict.fromkeys(_GROUP.findall(text)) if name not in _LAST)
    is_plain = all(_NAME.fullmatch(name) for name in names)
    return Groups(names, False) if is_plain and not set("*?") & set(text) else Groups((), True)


def parse_nodes(text: str, members: Mapping[str, Iterable[str]] | None = None) -> tuple[str, ...]:
    """The names, each once, in order; `members` are the nodes of each vCluster. Raises `UsageError`.

    >>> parse_nodes("node[08-10],node09")
    ('node08', 'node09', 'node10')
    >>> parse_nodes("@ml!n2", {"ml": ["n1", "n2", "n3"]})
    ('n1', 'n3')
    """
    if len(text) > _LONGEST:
        raise _too_many(text)
    if _PLAIN.fullmatch(text):
        return _checked(text, dict.fromkeys(name for name in text.split(",") if name))
    if any(int(end) - int(start) >= MOST for start, end in _RANGE.findall(text)):
        raise _too_many(text)
    if (other := _SOURCE.search(text)) is not None:
        raise UsageError(f"nodes: {other[0]}: groups are vClusters here, there are no others", hint=_HINT)
    found = _expanded(text, members or {})
    if len(found) > MOST:
        raise _too_many(text)
    return _checked(text, (str(name) for name in found))


def _expanded(text: str, members: Mapping[str, Iterable[str]]) -> NodeSet:
    from ClusterShell.NodeSet import NodeSet, NodeSetException
    from ClusterShell.NodeUtils import GroupResolver, GroupResolverError, GroupSource, GroupSourceError
    from ClusterShell.RangeSet import RangeSetException

    known = {name: ",".join(names) for name, names in members.items()}
    source = GroupSource("vcluster", known, ",".join(names for names in known.values() if names))
    try:
        return NodeSet(text, resolver=GroupResolver(source))
    except (NodeSetException, RangeSetException, GroupResolverError, GroupSourceError) as error:
        why = str(error).replace('""', '"')
        raise UsageError(f"nodes: {text[:200]!r}: {why}", hint=_HINT) from None
    except (AssertionError, ValueError, RecursionError, OverflowError) as error:
        raise UsageError(f"nodes: {text[:200]!r}: {error}", hint=_HINT) from None


def _checked(text: str, names: Iterable[str]) -> tuple[str, ...]:
    found = tuple(names)
    wrong = [name for name in found if not _NAME.fullmatch(name)]
    if wrong:
        raise UsageError(f"nodes: expected names of nodes, got {wrong[0][:80]!r}", hint=_HINT)
    if not found:
        raise UsageError(f"nodes: {text[:200]!r} names no node", hint=_HINT)
    return found


def _too_many(text: str) -> UsageError:
    return UsageError(f"nodes: {text[:80]!r} names more than {MOST:,} nodes")


async def resolve(
    text: str, exclude: str, lookup: Lookup, last: Callable[[], Mapping[str, Iterable[str]]] = dict
) -> tuple[str, ...]:
    """The nodes of `text` but those of `exclude` (""); asks `lookup` when one of them names a vCluster, and `last` for
    the groups of the last run (`lastrun`).

    Raises `UsageError`, for a group without nodes too, and what `lookup` raises.
    """
    wanted, without = groups_in(text), groups_in(exclude)
    asked = Groups(tuple(dict.fromkeys(wanted.names + without.names)), wanted.all or without.all)
    members = dict(await lookup(asked)) if asked else {}
    members |= last() if any(f"@{name}" in text + exclude for name in _LAST) else {}
    for name in asked.names:
        if not members.get(name):
            raise UsageError(f"nodes: @{name}: no such vCluster, or no nodes in it", hint="see pact group list")
    for name in _LAST:
        if f"@{name}" in text and not members.get(name):
            raise UsageError(f"nodes: @{name}: there are no such nodes", hint="of the last pact exec on several nodes")
    found = parse_nodes(text, members)
    left_out = frozenset(parse_nodes(exclude, members)) if exclude else frozenset()
    left = tuple(name for name in found if name not in left_out)
    if not left:
        raise UsageError(f"nodes: {text!r} without {exclude!r} names no node")
    return left


def fold_nodes(names: Iterable[str]) -> str:
    """A set of names, written shortly.

    >>> fold_nodes(["node2", "node1", "node3", "login"]), fold_nodes(["node7"])
    ('login,node[1-3]', 'node7')
    """
    several = list(names)
    if len(several) < 2:
        return "".join(several)
    from ClusterShell.NodeSet import NodeSet

    return str(NodeSet.fromlist(several, resolver=-1))


def counted_nodes(names: Iterable[str]) -> str:
    """The same with how many they are, where they are several.

    >>> counted_nodes(["n1", "n2"]), counted_nodes(["n1"])
    ('n[1-2] (2)', 'n1')
    """
    several = list(names)
    return f"{fold_nodes(several)} ({len(several)})" if len(several) > 1 else fold_nodes(several)

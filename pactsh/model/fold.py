"""The committed deltas of nodes, folded from the journal's entries: what each node has, were it told so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from pactsh.model.delta import Change, Delta
from pactsh.model.entry import Entry

FOLDED = ("commit", "rollback", "overlay.applied")


class _Made(msgspec.Struct):
    """The `delta` of a commit."""

    id: str
    changes: tuple[Change, ...]


class _Fallen(msgspec.Struct):
    """Some keys of a delta."""

    id: str
    keys: tuple[str, ...]


class _Ended(msgspec.Struct):
    """What a rollback or an overlay says of deltas; `restored` are in force again, with these keys."""

    dropped: tuple[str, ...] = ()
    superseded: tuple[_Fallen, ...] = ()
    restored: tuple[_Fallen, ...] = ()


def node_deltas(entries: Iterable[Entry]) -> dict[str, tuple[Delta, ...]]:
    """The deltas by node, each node's oldest first; `entries` are of the types in `FOLDED`, oldest first. One that
    can't be read, of another version, changes nothing."""
    found: dict[str, dict[str, Delta]] = {}
    ever: dict[str, Delta] = {}
    for entry in entries:
        kind, _, node = entry.scope.partition(":")
        if kind != "node":
            continue
        deltas = found.setdefault(node, {})
        try:
            if entry.type == "commit":
                made = _committed(entry)
                deltas[made.id] = ever[made.id] = made
            elif entry.type in FOLDED:
                ended = msgspec.convert(entry.body or {}, _Ended)
                _end(deltas, ended)
                _restore(deltas, ever, ended)
        except msgspec.ValidationError:
            continue
    return {node: tuple(deltas.values()) for node, deltas in found.items()}


def _committed(entry: Entry) -> Delta:
    made = msgspec.convert(entry.delta, _Made)
    expires = datetime.fromisoformat(entry.time).timestamp() + entry.ttl if entry.ttl else 0.0
    by = entry.author.principal
    return Delta(made.id, made.changes, by, entry.time, entry.message, entry.seq, expires)


def _restore(deltas: dict[str, Delta], ever: Mapping[str, Delta], ended: _Ended) -> None:
    if not ended.restored:
        return
    for back in ended.restored:
        if (delta := ever.get(back.id)) is not None:
            changes = tuple(change for change in delta.changes if change.name in back.keys)
            deltas[back.id] = msgspec.structs.replace(delta, changes=changes)
    ordered = sorted(deltas.values(), key=lambda delta: delta.seq)
    deltas.clear()
    deltas.update((delta.id, delta) for delta in ordered)


def _end(deltas: dict[str, Delta], ended: _Ended) -> None:
    for id_ in ended.dropped:
        deltas.pop(id_, None)
    for fallen in ended.superseded:
        delta = deltas.get(fallen.id)
        if delta is None:
            continue
        left = tuple(change for change in delta.changes if change.name not in fallen.keys)
        if left:
            deltas[fallen.id] = msgspec.structs.replace(delta, changes=left)
        else:
            del deltas[fallen.id]


def conflicts(node: str, deltas: Mapping[str, Iterable[Delta]]) -> list[tuple[str, Change, Delta]]:
    """Where other nodes have committed something else for a key that `node` has: node, change and delta, in order."""
    own = {change.name: change.after for delta in deltas.get(node, ()) for change in delta.changes}
    return [
        (other, change, delta)
        for other in sorted(deltas)
        for delta in deltas[other]
        for change in delta.changes
        if other != node and change.name in own and change.after != own[change.name]
    ]

"""How an overlay's values, which leave things open, meet a node's, which say everything; and its deltas. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import msgspec

from pactsh.model.delta import Change, Delta, State
from pactsh.model.entry import JsonObject
from pactsh.model.overlay import satisfies


def is_met(dimension: str, wanted: str, now: str | None) -> bool:
    """As `satisfies`, and a mount may spell its options as the kernel does: mount(8) has taken those wanted."""
    if dimension == "mounts" and now is not None:
        return satisfies(dimension, f"{wanted.partition(' options=')[0]} options=", now)
    return satisfies(dimension, wanted, now)


def resolved(
    values: State, found: State, known: State | None = None, is_so: Callable[[str, str, str], bool] = satisfies
) -> dict[str, dict[str, str]]:
    """What was found for each wanted value that is so: it is what is declared from now on. What is `known` stays."""
    return {
        name: {**dict(_met(name, wanted, found.get(name, {}), is_so)), **(known or {}).get(name, {})}
        for name, wanted in values.items()
    }


def _met(
    name: str, wanted: Mapping[str, str], found: Mapping[str, str], is_so: Callable[[str, str, str], bool]
) -> Iterator[tuple[str, str]]:
    for key, text in wanted.items():
        if (now := found.get(key)) is not None and is_so(name, text, now):
            yield key, now


def reduced(
    deltas: Iterable[Delta], values: State, overwritten: Collection[str]
) -> tuple[tuple[Delta, ...], list[JsonObject]]:
    """The deltas without what the overlay's values say as well, or are to say in their place (`overwritten`, by name);
    and what fell away, for the entry. Of a key that several name the last counts, and falls away with those before."""
    kept: list[Delta] = []
    fallen: list[JsonObject] = []
    deltas = tuple(deltas)
    said: dict[str, list[tuple[bool, float]]] = {}
    for delta in deltas:
        for change in delta.changes:
            said.setdefault(change.name, []).append((_is_redundant(change, values), delta.expires))
    # One that ends by itself uncovers what was said before: that must be redundant too.
    all_gone = {
        name
        for name, each in said.items()
        if each[-1][0] and (not each[-1][1] or all(redundant for redundant, _ in each))
    }
    for delta in deltas:
        gone = [c for c in delta.changes if c.name in overwritten or c.name in all_gone]
        if gone:
            fallen.append({"id": delta.id, "seq": delta.seq, "keys": [change.name for change in gone]})
        if left := tuple(change for change in delta.changes if change not in gone):
            kept.append(msgspec.structs.replace(delta, changes=left) if gone else delta)
    return tuple(kept), fallen


def _is_redundant(change: Change, values: Mapping[str, Mapping[str, str]]) -> bool:
    wanted = values.get(change.dimension, {}).get(change.key)
    return wanted is not None and satisfies(change.dimension, wanted, change.after)

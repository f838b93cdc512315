"""Changes of a node's configuration: what differs, and what was committed.

A change is one key of one dimension, from a value to a value, as text; None stands for "not there". A delta is what
one commit made of some changes. Both are values: nothing here looks at a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

DIMENSIONS = ("kernel", "mounts", "files", "network", "services", "packages", "gpu")
# In facts/upstream-constants.md, section 9.
WEIGHTS: Mapping[str, float] = {name: 2.0 if name in {"kernel", "gpu"} else 1.0 for name in DIMENSIONS}
MADE_LINKS = frozenset({"dummy", "bridge", "vlan"})
"""Kinds of network links that pact makes; of others it sets what they are set to."""
SHORTEST_TTL_S, LONGEST_TTL_S = 900, 864_000


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key: `before` is declared, `after` is (or was) found on the node."""

    dimension: str
    key: str
    before: str | None
    after: str | None

    @property
    def name(self) -> str:
        """`DIMENSION:KEY`, as `--only` takes it.

        >>> Change("kernel", "vm.swappiness", "60", "10").name
        'kernel:vm.swappiness'
        """
        return f"{self.dimension}:{self.key}"


class Drifted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change that nobody has committed: who made it ("" where that isn't known), and since when it is so.

    `since` as entries have their time.
    """

    change: Change
    by: str
    since: str


class Delta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one commit made. `seq` is 0 until the journal has numbered its entry.

    `expires` (seconds since the epoch, 0: never) ends it.
    """

    id: str
    changes: tuple[Change, ...]
    by: str
    time: str
    message: str
    seq: int = 0
    expires: float = 0.0


State = Mapping[str, Mapping[str, str]]
"""Keys and values of each dimension."""


def declared(baseline: State, deltas: Iterable[Delta]) -> dict[str, dict[str, str]]:
    """The state that deltas make of the baseline: the later one wins.

    >>> delta = Delta("1", (Change("kernel", "a", "1", "2"), Change("mounts", "/x", "t", None)), "alice", "", "")
    >>> declared({"kernel": {"a": "1"}, "mounts": {"/x": "t"}}, [delta])
    {'kernel': {'a': '2'}, 'mounts': {}}
    """
    state = {dimension: dict(values) for dimension, values in baseline.items()}
    for delta in deltas:
        for change in delta.changes:
            values = state.setdefault(change.dimension, {})
            if change.after is None:
                values.pop(change.key, None)
            else:
                values[change.key] = change.after
    return state

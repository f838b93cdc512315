"""Drift: how what is found on a node differs from what is declared, and how much that is. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from pactsh.model.delta import WEIGHTS, Change, State

SHORTEST_WINDOW_S = 60
# Places that change all the time and say nothing about the configuration.
BLACKLIST = (
    "/tmp/**", "/var/tmp/**", "/var/log/**", "/proc/**", "/sys/**", "/dev/**", "/run/user/**", "/run/pact/**",  # noqa: S108
    "/run/lattice/**", "/run/credentials/**", "/run/containerd/**", "/run/netns/**", "/var/lib/containers/**",
    "/var/lib/docker/**", "/var/lib/kubelet/**", "/var/lib/pact/**",
    # Written by the system itself: name servers by DHCP, the clock's drift, caches, locks; pact's own keys, renewed.
    "/etc/resolv.conf", "/etc/adjtime", "/etc/ld.so.cache", "/etc/mtab", "/etc/.updated", "/etc/.pwd.lock",
    "/etc/pact/agent.pem", "/etc/pact/agent.key", "/etc/pact/ssh_host_cert.pub", "/etc/pact/tls/**",
    "/etc/pact/keys/**", "/etc/pact/ca/**",
)  # fmt: skip


def differences(declared: State, actual: State, ignored: Callable[[str, str], bool]) -> tuple[Change, ...]:
    """The keys whose values differ, in order; only of dimensions that `actual` has. `ignored(dimension, key)`
    says what is known noise."""
    return tuple(
        change
        for dimension in sorted(actual)
        for change in _of_one(dimension, declared.get(dimension, {}), actual[dimension])
        if not ignored(change.dimension, change.key)
    )


def _of_one(dimension: str, declared: Mapping[str, str], actual: Mapping[str, str]) -> Iterator[Change]:
    for key in sorted(declared.keys() | actual.keys()):
        before, after = declared.get(key), actual.get(key)
        if before != after:
            yield Change(dimension, key, before, after)


def magnitude(changes: Iterable[Change]) -> float:
    """The weighted Euclidean norm of how many keys differ in each dimension.

    >>> magnitude([])
    0.0
    >>> magnitude([Change("mounts", "/a", None, "x"), Change("mounts", "/b", None, "x")])
    2.0
    """
    counts = Counter(change.dimension for change in changes)
    return math.sqrt(sum(WEIGHTS.get(dimension, 1.0) * count**2 for dimension, count in counts.items()))


def window_s(base_s: int, sensitivity: float, size: float) -> int:
    """How long a window for drift of that magnitude is, in whole seconds, never under a minute.

    >>> window_s(900, 2.0, 1.0), window_s(900, 2.0, 5.0), window_s(900, 2.0, 1000.0)
    (300, 81, 60)
    """
    return max(SHORTEST_WINDOW_S, int(base_s / (1 + size * sensitivity)))


def is_systems(change: Change) -> bool:
    """Whether it is the system's own doing, where no person's command runs: a module that the kernel loads when it
    needs it, an address or a route that DHCP moves.

    >>> is_systems(Change("network", "address:eth0:10.0.0.7/24", None, "scope=global dynamic"))
    True
    >>> is_systems(Change("network", "address:eth0:10.0.0.7/24", None, "scope=global"))
    False
    """
    if change.dimension == "network":
        words = {*(change.before or "").split(), *(change.after or "").split()}
        return not words.isdisjoint({"dynamic", "proto=dhcp"})
    return change.before is None and change.key.startswith("module:")


def is_undoable(change: Change) -> bool:
    """Whether pact can undo it at all. What is installed and how well a GPU is it can only report.

    >>> is_undoable(Change("packages", "bash", "5.2-1", "5.2-2")), is_undoable(Change("gpu", "0", "healthy", "LOST"))
    (False, False)
    """
    return change.dimension != "packages" and (change.dimension != "gpu" or "." in change.key)


# What undoing has to do with: a service may use a mount, a mount the network.
_NETWORK = {"link": 0, "address": 1, "route": 2}
_DEPENDANTS_FIRST = ("services", "mounts", "network", "files", "packages", "gpu", "kernel")


_RANKS = {name: float(number) for number, name in enumerate(_DEPENDANTS_FIRST)}


def _rank(change: Change, mounts: tuple[str, ...] = ()) -> float:
    """The network's own settings are those of links: they go with their link, and need it to be there. So do files in
    what is `mounts` (places, with `/` at the end)."""
    if change.dimension == "files" and f"{change.key}/".startswith(mounts):
        return _RANKS["mounts"] - 0.5
    if change.dimension == "kernel" and change.key.startswith("net."):
        return _RANKS["network"] - 0.5
    return _RANKS.get(change.dimension, 0.0)


def _within(change: Change) -> tuple[int, str]:
    """What others of the same dimension need comes first: an address needs its link, a route its address."""
    if change.dimension == "network":
        return _NETWORK.get(change.key.partition(":")[0], 0), change.key
    return 0, change.key


def undoing_order(changes: Iterable[Change]) -> list[Change]:
    """Changes in the order in which they are undone: what was added is taken away, dependants first and the deepest
    first; then what was changed or taken away is put back, the other way round."""
    changes = tuple(changes)
    added = [change for change in changes if change.before is None]
    others = [change for change in changes if change.before is not None]
    mounts = tuple(f"{change.key}/" for change in others if change.dimension == "mounts")
    added.sort(key=_within, reverse=True)
    added.sort(key=_rank)
    others.sort(key=_within)
    others.sort(key=lambda change: _rank(change, mounts), reverse=True)
    return added + others

"""How well GPUs are, and when that changes: an entry of its own, whatever is declared, ignored or drift. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

HEALTHY = "healthy"


def health_of(found: Mapping[str, str], known: dict[str, str] | None) -> dict[str, str] | None:
    """The health of each GPU by number, as the dimension `gpu` found it; what is known where no driver tells of any.

    >>> health_of({"count": "1", "0": "healthy", "0.compute": "default"}, None)
    {'0': 'healthy'}
    >>> health_of({}, {"0": "healthy"})
    {'0': 'healthy'}
    """
    return {key: value for key, value in found.items() if key.isdecimal()} if "count" in found else known


def health_changes(
    before: Mapping[str, str] | None, after: Mapping[str, str] | None
) -> Iterator[tuple[str, str | None, str | None]]:
    """What has become of which GPU; None: it was, or is, not there. At the first look all are expected to be healthy.

    >>> list(health_changes({"0": "healthy", "1": "healthy"}, {"0": "DEGRADED (lost)"}))
    [('0', 'healthy', 'DEGRADED (lost)'), ('1', 'healthy', None)]
    >>> list(health_changes(None, {"0": "healthy", "1": "DEGRADED (lost)"}))
    [('1', None, 'DEGRADED (lost)')]
    """
    known, now = before or {}, after or {}
    for gpu in sorted(known.keys() | now.keys(), key=int):
        was, is_ = known.get(gpu), now.get(gpu)
        if was != is_ and not (before is None and is_ == HEALTHY):
            yield gpu, was, is_


def health_entry(gpu: str, place: str, before: str | None, after: str | None) -> tuple[JsonObject, str]:
    """The body and the message of an entry about one; `place` is its PCI address, "" where that isn't known.

    >>> health_entry("3", "0000:d8:00.0", "healthy", "DEGRADED (XID 79)")[1]
    'gpu 3 (0000:d8:00.0): healthy -> DEGRADED (XID 79)'
    """
    body: JsonObject = {"gpu": gpu, "pci": place or None, "before": before, "after": after}
    where = f" ({place})" if place else ""
    return body, f"gpu {gpu}{where}: {before or 'not there'} -> {after or 'not there'}"

"""What a start of the agent does to make its node what is declared."""

from __future__ import annotations

import msgspec

from pact_agent.declared import Declared
from pact_agent.observers import Observers
from pact_agent.saved import Overlaid, Undoing
from pact_agent.undo import Undone, undo
from pactsh.model.delta import Change, State
from pactsh.model.overlay import satisfies


def take_baseline(declared: Declared, observers: Observers, actual: State, boot: str) -> None:
    """After a boot: anew what no boot keeps, before anything declared is put back."""
    if declared.boot != boot:
        fresh = {name: dict(values) for name, values in actual.items() if not observers.lasting(name)}
        declared.take_baseline(declared.baseline | fresh, boot)


def still(observers: Observers, work: Undoing, *, rebooted: bool) -> Undoing:
    """What is left of a rollback: a boot has undone the rest, and its old values are nobody's any more."""
    if not rebooted:
        return work
    changes = tuple(change for change in work.changes if observers.lasting(change.dimension))
    return msgspec.structs.replace(work, changes=changes)


async def converge(observers: Observers, declared: Declared, actual: State, *, rebooted: bool) -> Undone | None:
    """Give every key that the overlay or a delta names the value it declares, unless it is drift that somebody may yet
    commit. None when there is nothing to do."""
    known = {item.change.name: item.change.after for item in declared.now.drift}
    if rebooted:
        await _resolve_again(observers, declared, actual)
    state = declared.state()
    wanted = [
        Change(name, key, state.get(name, {}).get(key), now)
        for name, key in sorted(named(declared))
        for now in [actual.get(name, {}).get(key)]
    ]
    wanted = [c for c in wanted if c.before != c.after and (c.name not in known or known[c.name] != c.after)]
    return await undo(observers, wanted) if wanted else None


def named(declared: Declared) -> set[tuple[str, str]]:
    """The keys that the overlay or a delta names: dimension and key."""
    found = {(change.dimension, change.key) for delta in declared.now.deltas for change in delta.changes}
    if (overlaid := declared.now.overlay) is not None:
        found |= {(name, key) for name, wanted in overlaid.overlay.values.items() for key in wanted}
    return found


async def _resolve_again(observers: Observers, declared: Declared, actual: State) -> None:
    """What an overlay leaves open may be something else after a boot: as it is found now, where that will do."""
    overlaid = declared.now.overlay
    if overlaid is None:
        return
    fresh = {name: dict(resolved) for name, resolved in overlaid.resolved.items()}
    for name in fresh:
        if name in observers.names and not observers.lasting(name):
            found = actual.get(name, {})
            wanted = overlaid.overlay.values[name]
            fresh[name] |= {
                key: now for key, now in found.items() if key in wanted and satisfies(name, wanted[key], now)
            }
    if fresh != overlaid.resolved:
        overlay = Overlaid(overlaid.overlay, fresh)
        await declared.step(msgspec.structs.replace(declared.now, overlay=overlay))

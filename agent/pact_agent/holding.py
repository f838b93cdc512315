"""Drift whose commit waits for a second person: held until that one has decided, then committed, left, or undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from pact_agent.clock import Clock
from pact_agent.declared import Declared
from pact_agent.saved import Held
from pactsh.errors import ConflictError
from pactsh.model.delta import Drifted

_GRACE_S = 60.0  # beyond the end that the journal knows: its word may be on the way


async def hold(declared: Declared, clock: Clock, id_: str, drift: Sequence[Drifted], left_s: float) -> None:
    """Let nothing undo that drift for so long. The window of any other goes on."""
    saved = declared.now
    held = Held(id_, {i.change.name: i.change.after for i in drift}, clock.monotonic() + left_s + _GRACE_S)
    await declared.step(msgspec.structs.replace(saved, held=(*saved.held, held)))


def free(declared: Declared, chosen: tuple[Drifted, ...]) -> tuple[Drifted, ...]:
    """The same; raises `ConflictError` for drift that somebody is to decide on already: asking again and again would
    hold off its end for ever."""
    for item in chosen:
        for held in declared.now.held:
            if item.change.name in held.values:
                raise ConflictError(
                    f"commit: {item.change.name} waits for a second person already ({held.id})",
                    hint="pact approve list shows it",
                )
    return chosen


async def release(declared: Declared, id_: str) -> dict[str, str | None]:
    """Hold it no longer; the values that were held, by name."""
    saved = declared.now
    values = {name: value for held in saved.held if held.id == id_ for name, value in held.values.items()}
    if values:
        rest = tuple(held for held in saved.held if held.id != id_)
        await declared.step(msgspec.structs.replace(saved, held=rest))
    return values


def check_unchanged(chosen: Sequence[Drifted], expected: Mapping[str, object] | None) -> None:
    """Raises `ConflictError` where drift is not what it was when somebody was asked about it; None: nobody was."""
    check_same({item.change.name: item.change.after for item in chosen}, expected)


def check_same(found: Mapping[str, object], expected: Mapping[str, object] | None) -> None:
    """The same of values by name. More than was asked about is another thing, too."""
    if expected is None or found == expected:
        return
    names = [name for name in (*found, *expected) if found.get(name, "") != expected.get(name, "")]
    raise ConflictError(
        f"{names[0] if names else 'it'} has changed since the approval was asked for",
        hint="pact diff shows what it is now",
    )

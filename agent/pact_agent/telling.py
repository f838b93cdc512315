"""What is told of drift and of its end, in words and in entries. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from pact_agent.drift import magnitude
from pact_agent.parts import in_parts
from pact_agent.saved import Saved
from pact_agent.undo import Undone
from pactsh.errors import NotFoundError, PactError
from pactsh.model.delta import Change, Drifted

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_MOST_TOLD = 5


def notice(fresh: Sequence[Drifted], left_s: float | None) -> str:
    """Of what has just been found; `left_s` is the length of the window it is in, None where none is open."""
    first = fresh[0].change
    more = f" and {len(fresh) - 1} more" if len(fresh) > 1 else ""
    end = "" if left_s is None else f"; committed within {_minutes(left_s)}, or undone"
    return f"drift: {first.name} {_shown(first.before)} -> {_shown(first.after)}{more}{end}"


def ending(drift: Sequence[Drifted], left_s: float) -> Callable[[str], str]:
    """Of a window that ends, for each person: what of theirs is rolled back then, else what nobody is known to have
    changed, which is everybody's concern."""

    def told(principal: str) -> str:
        theirs = [item for item in drift if principal in _makers(item)]
        nobodys = [item for item in drift if not item.by]
        items, whose = (theirs, "of yours") if theirs else (nobodys, "by nobody known")
        if not items:
            return ""
        more = f" and {len(items) - 1} more" if len(items) > 1 else ""
        what = f"{counted(len(items))} {whose} ({items[0].change.name}{more})"
        return f"{what} not committed: rolled back in {_left(left_s)}"

    return told


def declared_anew(before: Sequence[Drifted], after: Sequence[Drifted], version: int) -> Callable[[str], str]:
    """Of an overlay, for each person: what it says of keys that they have changed and not committed. `before` and
    `after` is what has drifted; a key that is in the first alone is now as it is declared."""
    now = {item.change.name: item.change for item in after}

    def told(principal: str) -> str:
        said, kept = [], False
        for item in before:
            name, change = item.change.name, now.get(item.change.name)
            if principal not in _makers(item):
                continue
            if change is None:
                said.append(f"{name} is declared as you have it")
            elif change.before != item.change.before:
                kept = True
                mine, theirs = _shown(change.after), _shown(change.before)
                said.append(f"{name}, which you changed to {mine}, is declared as {theirs}")
        more = f"; and {len(said) - _MOST_TOLD} more keys of yours" if len(said) > _MOST_TOLD else ""
        end = "; what you do not commit becomes what is declared" if kept else ""
        return f"version {version} of the overlay: {'; '.join(said[:_MOST_TOLD])}{more}{end}" if said else ""

    return told


def _makers(item: Drifted) -> list[str]:
    """Who made it (see `Actors.author_of`)."""
    return item.by.split(", ") if item.by else []


def _left(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60} min" if whole >= 60 and whole % 60 == 0 else f"{whole} s" if whole < 60 else _minutes(whole)


def found_bodies(fresh: Sequence[Drifted], changes: Sequence[Change], left_s: float | None) -> list[JsonObject]:
    """The same for the journal, in as many entries as it takes; none for nothing new. `changes` are all there are."""
    about: JsonObject = {
        "magnitude": round(magnitude(changes), 3),
        "window_s": None if left_s is None else round(left_s),
    }
    parts = in_parts([msgspec.to_builtins(item) for item in fresh]) if fresh else []
    return [about | {"changes": part} for part in parts]


def resisting(undone: Undone) -> Iterator[str]:
    """Of the first few changes that are still there: why, and who is in the way."""
    stayed = undone.resisting
    for failed in stayed[:_MOST_TOLD]:
        held = "; ".join(f"{h.command}{f' (pid {h.pid})' if h.pid else ''} holds {h.path}" for h in failed.holders)
        yield f"{failed.change.name}: {failed.why}" + (f": {held}" if held else "")
    if len(stayed) > _MOST_TOLD:
        yield f"and {len(stayed) - _MOST_TOLD} more, in the journal's entry"


def nothing_to_undo(drift: Sequence[Change]) -> PactError:
    """Why a rollback has nothing to do: nothing has drifted, or only what pact can't undo."""
    if not drift:
        return NotFoundError("rollback: there is nothing to undo", hint="pact diff, pact diff --committed")
    names = ", ".join(change.name for change in drift[:_MOST_TOLD])
    return NotFoundError(
        f"rollback: nothing here is undone by pact: {names}", hint="what is installed, and a GPU, pact only reports"
    )


def overlay_item(saved: Saved) -> dict[str, object]:
    """Which version of the vCluster's overlay a node has (0: none), and why it has no newer one."""
    failing = saved.failing
    return {
        "version": saved.overlay.overlay.version if saved.overlay is not None else 0,
        "failing": None if failing is None else {"version": failing.version, "reasons": [*failing.reasons]},
    }


def counted(number: int) -> str:
    """A number of changes.

    >>> counted(1), counted(2)
    ('1 change', '2 changes')
    """
    return f"{number} change{'' if number == 1 else 's'}"


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value if len(value) <= 60 else f"{value[:57]}..."


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"

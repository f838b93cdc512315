"""What a commit takes and makes: its arguments checked, its delta and entry, and why there may be nothing to commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from pact_agent.clock import timestamp
from pact_agent.declared import delta_fields
from pact_agent.parts import length
from pact_agent.saved import Saved
from pactsh.errors import ConflictError, NotFoundError, PactError, UsageError
from pactsh.model.delta import LONGEST_TTL_S, SHORTEST_TTL_S, Change, Delta, Drifted

_LONGEST_MESSAGE = 1000
_JUST_NOW_S = 900
_MOST_BYTES = 900 << 10  # of the 1 MiB of an entry


def checked_message(text: str) -> str:
    """The message on one line; raises `UsageError` for one that says nothing or can't be read."""
    message = " ".join(text.split())
    if len(message) > _LONGEST_MESSAGE:
        raise UsageError(f"commit: a message of {len(message)} characters: at most {_LONGEST_MESSAGE}")
    if not message or not message.isprintable():
        raise UsageError("commit: say what it is for, in one line", hint="pact commit -m 'more hugepages for A'")
    return message


def check_ttl(ttl: int | None) -> None:
    """Raises `UsageError` for one out of bounds; None is for ever."""
    if ttl is not None and not SHORTEST_TTL_S <= ttl <= LONGEST_TTL_S:
        raise UsageError(f"commit: --ttl {ttl}: between {SHORTEST_TTL_S} and {LONGEST_TTL_S} seconds")


def named(drift: Sequence[Drifted], names: Sequence[str]) -> tuple[tuple[Drifted, ...], tuple[str, ...]]:
    """The drift of these names with what it can't be without, all of it without any; and the names that have none."""
    if not names:
        return tuple(drift), ()
    missing = tuple(name for name in names if name not in {item.change.name for item in drift})
    wanted = [item.change for item in drift if item.change.name in names]
    found = (item for item in drift if item.change in wanted or any(_needs(c, item.change) for c in wanted))
    return tuple(found), missing


def _needs(change: Change, other: Change) -> bool:
    """Whether one is nothing without the other: a file without its directory, an address without its link. A directory
    that is gone has nothing in it.

    >>> _needs(Change("files", "/etc/a/b", None, "file"), Change("files", "/etc/a", None, "dir"))
    True
    >>> _needs(Change("files", "/etc/a", "dir", None), Change("files", "/etc/a/b", "file", None))
    True
    """
    if change.dimension != other.dimension:
        return False
    if change.dimension == "files":
        inner, outer = (change, other) if change.after is not None else (other, change)
        return inner.key.startswith(f"{outer.key}/")
    if change.dimension == "network" and other.before is None and change.after is not None:
        name = other.key.removeprefix("link:")
        return change.key.startswith(f"address:{name}:") or f"dev={name}" in change.after.split()
    return False


def made_of(chosen: Sequence[Drifted], id_: str, by: str, message: str, moment: datetime, ttl: int | None) -> Delta:
    """The delta that a commit makes of some drift."""
    expires = moment.timestamp() + ttl if ttl else 0.0
    return Delta(id_, tuple(item.change for item in chosen), by, timestamp(moment), message, expires=expires)


def committed(saved: Saved, delta: Delta) -> Saved:
    """What is kept once that is committed: it is no drift any more, and no rollback undoes it."""
    left = tuple(item for item in saved.drift if item.change not in delta.changes)
    undoing = saved.undoing
    if undoing is not None:
        theirs = {change.name for change in delta.changes}
        rest = tuple(change for change in undoing.changes if change.name not in theirs)
        undoing = msgspec.structs.replace(undoing, changes=rest) if rest else None
    window = saved.window if left else None
    return msgspec.structs.replace(saved, deltas=(*saved.deltas, delta), drift=left, window=window, undoing=undoing)


def check_length(delta: Delta) -> None:
    """Raises `UsageError` for one that no entry holds: a commit is one entry, or none."""
    if length(delta_fields(delta)) > _MOST_BYTES:
        raise UsageError(
            f"commit: {len(delta.changes)} changes are too many for one entry", hint="name some of them with --only"
        )


def check_lasting(chosen: Sequence[Drifted], deltas: Sequence[Delta], ttl: int | None) -> None:
    """Raises `UsageError` where something is to last longer than what it needs: a file in a directory that a commit
    with a time of its own has made."""
    for item in chosen:
        for delta in deltas:
            for change in delta.changes:
                if delta.expires and ttl is None and change.after is not None and _needs(item.change, change):
                    raise UsageError(
                        f"commit: {item.change.name} needs {change.name}, whose commit ends by itself",
                        hint="give this one a --ttl too, or commit the other one anew without",
                    )


def nothing_to_commit(
    deltas: Sequence[Delta], missing: Sequence[str], now: datetime, undone: datetime | None = None
) -> PactError:
    """Why there is nothing: somebody may have committed it just now, and not undone it since (`undone`), or the keys in
    `missing` at any time."""
    last = next((delta for delta in reversed(deltas) if _is_it(delta, missing, now, undone)), None)
    if last is not None:
        theirs = [change.name for change in last.changes]
        keys = ", ".join([*(name for name in theirs if name in missing), *(n for n in theirs if n not in missing)][:3])
        number = f"seq:{last.seq}" if last.seq else "not yet in the journal"
        return ConflictError(
            f"commit: nothing is left to commit: {last.by} committed {keys} ({number}): {last.message}",
            hint="pact diff --committed shows what is committed",
        )
    what = f"{', '.join(missing)} has not drifted" if missing else "nothing has drifted"
    return NotFoundError(f"commit: {what}", hint="pact diff shows what has")


def _is_it(delta: Delta, missing: Sequence[str], now: datetime, undone: datetime | None) -> bool:
    if missing:
        return bool({change.name for change in delta.changes} & set(missing))
    made = datetime.fromisoformat(delta.time)
    return (now - made).total_seconds() < _JUST_NOW_S and (undone is None or made > undone)

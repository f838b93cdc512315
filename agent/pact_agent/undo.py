"""Undoing: every value put back in its turn, all that can be, and what could not with the reason and who is in the way.

A rollback is on record before it begins and when it ends. One that nobody waits for is tried again until nothing is
in its way; one that the agent's own end cut short is finished by the next start.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from pact_agent.clock import Clock
from pact_agent.declared import Declared
from pact_agent.dimensions import ApplyError, Holder
from pact_agent.drift import differences, is_undoable, undoing_order
from pact_agent.observers import Observers
from pact_agent.parts import in_parts
from pact_agent.recorder import Recorder
from pact_agent.saved import Undoing
from pactsh.model.blacklist import covers
from pactsh.model.delta import Change, Delta, State
from pactsh.model.entry import Author

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_RETRY_S = 10.0
_MOST_TRIES = 6  # of what nobody holds: it will not be undone by waiting


class Failed(msgspec.Struct, frozen=True):
    """A change that is still there."""

    change: Change
    why: str
    holders: tuple[Holder, ...] = ()


class Undone(msgspec.Struct, frozen=True):
    """What came of it, as a second look found it."""

    done: tuple[Change, ...]
    failed: tuple[Failed, ...]

    @property
    def resisting(self) -> tuple[Failed, ...]:
        """What should have been undone, and was not."""
        return tuple(failed for failed in self.failed if is_undoable(failed.change))

    @property
    def reported(self) -> tuple[Change, ...]:
        """What pact can only report."""
        return tuple(failed.change for failed in self.failed if not is_undoable(failed.change))

    def bodies(self) -> list[JsonObject]:
        """For an entry, or for several where one doesn't hold it."""
        done = in_parts([msgspec.to_builtins(change) for change in self.done])
        failed = in_parts([msgspec.to_builtins(failed) for failed in self.failed])
        bodies: list[JsonObject] = [{"undone": [*part], "failed": []} for part in done]
        bodies[-1]["failed"] = [*failed[0]]
        rest: list[JsonObject] = [{"undone": [], "failed": [*part]} for part in failed[1:]]
        return bodies + rest


class GoingBack(msgspec.Struct, frozen=True):
    """What a rollback would do: changes undone, deltas that fall away (ids), deltas in force again."""

    changes: list[Change]
    drop: tuple[str, ...] = ()
    add: tuple[Delta, ...] = ()


async def undo(observers: Observers, changes: Iterable[Change]) -> Undone:
    """Give every key the value it had before, then look whether it has it. Never raises for one that resists."""
    wanted = undoing_order(changes)
    resisted: dict[Change, Failed] = {}
    for change in wanted:
        try:
            await observers.apply(change.dimension, change.key, change.before)
        except ApplyError as error:
            resisted[change] = Failed(change, error.message, error.holders)
    found = await observers.look({change.dimension for change in wanted})
    done: list[Change] = []
    failed: list[Failed] = []
    for change in wanted:
        if change.dimension not in found:
            failed.append(resisted.get(change) or Failed(change, f"{change.dimension} can't be looked at"))
        elif _is_so(change, found[change.dimension].get(change.key)):
            done.append(change)  # also one that resisted: undoing another may have done it
        else:
            failed.append(resisted.get(change) or Failed(change, "it does not have the value that was written"))
    return Undone(tuple(done), tuple(failed))


def _is_so(change: Change, now: str | None) -> bool:
    """Whether it has the value it had before; the kernel says several numbers in its own way, and a setting that went
    with its link or its module can have none."""
    if change.dimension == "kernel" and now is None and not change.key.startswith("module:"):
        return True
    if change.dimension == "kernel" and change.before is not None and now is not None:
        return change.before.split() == now.split()
    return change.before == now


def _after(deltas: Sequence[Delta], drop: Collection[str], add: Sequence[Delta]) -> tuple[Delta, ...]:
    """The deltas that are left, and those that are back, in the order of the journal; what it has not numbered last."""
    back = {delta.id for delta in add}
    left = [delta for delta in deltas if delta.id not in drop and delta.id not in back]
    return tuple(sorted((*left, *add), key=lambda delta: delta.seq or math.inf))


class Rollbacks:
    """Of one node, one at a time."""

    def __init__(self, observers: Observers, declared: Declared, recorder: Recorder, clock: Clock) -> None:
        self._observers, self._declared, self._recorder, self._clock = observers, declared, recorder, clock
        self._retry_at = 0.0
        self._hopeless: set[tuple[str, str | None]] = set()

    @property
    def under_way(self) -> Undoing | None:
        """The one that is not finished."""
        return self._declared.now.undoing

    def may_undo(self, change: Change) -> bool:
        """Whether it can be undone, as far as is known: not what pact only reports, what was tried in vain, what is
        being undone already, or what a second person has yet to decide on."""
        work = self.under_way
        waits = work is not None and any(other.name == change.name for other in work.changes)
        waits = waits or any(
            change.name in held.values and held.values[change.name] == change.after for held in self._declared.now.held
        )
        return is_undoable(change) and not waits and (change.name, change.after) not in self._hopeless

    def without(
        self, drop: Collection[str], add: Sequence[Delta], actual: State, ignored: Callable[[str, str], bool]
    ) -> tuple[list[Change], set[str]]:
        """What differs from what is declared without the deltas of these ids and with those, and the names of their
        keys: these count though they are `ignored` by now, or what they did would stay behind with nobody's name on
        it."""
        gone = [delta for delta in self._declared.now.deltas if delta.id in drop]
        theirs = {change.name for delta in (*gone, *add) for change in delta.changes}

        def is_noise(dimension: str, key: str) -> bool:
            return f"{dimension}:{key}" not in theirs and ignored(dimension, key)

        wanted = self._declared.with_deltas(_after(self._declared.now.deltas, drop, add))
        return [*differences(wanted, actual, is_noise)], theirs

    def left_by(self, drop: Collection[str], actual: State, ignored: Callable[[str, str], bool]) -> list[Change]:
        """What is to be undone on the node when these deltas fall away: their keys, where nobody has changed them again
        meanwhile."""
        wanted, theirs = self.without(drop, (), actual, ignored)
        theirs -= {item.change.name for item in self._declared.now.drift}
        return [change for change in wanted if change.name in theirs and self.may_undo(change)]

    def going_back(
        self, then: Sequence[Delta], now: float, actual: State, ignored: Callable[[str, str], bool]
    ) -> GoingBack:
        """To these deltas in place of those there are; one whose time is over by `now` (epoch) does not come back."""
        have, wanted = {delta.id for delta in self._declared.now.deltas}, {delta.id for delta in then}
        drop = tuple(delta.id for delta in self._declared.now.deltas if delta.id not in wanted)
        add = tuple(delta for delta in then if delta.id not in have and not 0 < delta.expires <= now)
        return GoingBack(self.without(drop, add, actual, ignored)[0], drop, add)

    @property
    def retry_at(self) -> float | None:
        """When the one that something is in the way of is tried again (monotonic); None when there is none."""
        return None if self.under_way is None else self._retry_at

    async def begin(
        self,
        author: Author,
        reason: str,
        changes: Sequence[Change],
        *,
        session: str = "",
        to: int = 0,
        drop: tuple[str, ...] = (),
        add: tuple[Delta, ...] = (),
    ) -> Undone:
        """Record that these changes will be undone, and undo them; with them what an earlier rollback waits for."""
        if (left := self.under_way) is not None:
            theirs = {change.name for change in changes}
            changes = (*(change for change in left.changes if change.name not in theirs), *changes)
            drop = (*left.drop, *drop)
        work = Undoing(secrets.token_hex(8), author, session, reason, tuple(changes), to, drop, add=add)
        saved = msgspec.structs.replace(self._declared.now, undoing=work, window=None)
        names = in_parts([change.name for change in changes])
        bodies: list[JsonObject] = [{"id": work.id, "reason": reason, "to": to, "changes": [*part]} for part in names]
        drafts = (self._recorder.draft("rollback.begun", author, body, session=session) for body in bodies)
        await self._declared.step(saved, *drafts)
        return await self.go_on(work)

    async def go_on(self, work: Undoing) -> Undone:
        """Undo it, or what is left of it. Of tries that change nothing only the first is recorded."""
        work = self._as_declared(work) if work.tries else work
        undone = await undo(self._observers, work.changes)
        saved = self._declared.now
        rest = () if work.reason == "asked" else self._worth_another(work, undone)
        again = msgspec.structs.replace(work, changes=rest, tries=work.tries + 1) if rest else None
        self._retry_at = self._clock.monotonic() + _RETRY_S
        if again is not None and work.tries and not undone.done and rest == work.changes:
            if work.tries < _MOST_TRIES:
                await self._declared.step(msgspec.structs.replace(saved, undoing=again))
            return undone
        after = msgspec.structs.replace(
            saved,
            deltas=_after(saved.deltas, work.drop, work.add),
            drift=tuple(item for item in saved.drift if item.change not in undone.done),
            undoing=again,
        )
        about: JsonObject = {"id": work.id, "reason": work.reason, "to": work.to, "dropped": [*work.drop]}
        if work.add:
            about["restored"] = [{"id": delta.id, "keys": [c.name for c in delta.changes]} for delta in work.add]
        drafts = (
            self._recorder.draft("rollback", work.author, about | body, session=work.session)
            for body in undone.bodies()
        )
        await self._declared.step(after, *drafts)
        return undone

    def _as_declared(self, work: Undoing) -> Undoing:
        """The same, to what is declared by now: a commit that ended, or another overlay, may have changed it."""
        state = self._declared.state()
        changes = (msgspec.structs.replace(c, before=state.get(c.dimension, {}).get(c.key)) for c in work.changes)
        return msgspec.structs.replace(work, changes=tuple(changes))

    async def leave(self, pattern: str) -> None:
        """What that pattern covers is not undone any more."""
        if (work := self.under_way) is not None:
            rest = tuple(change for change in work.changes if not covers(pattern, change.dimension, change.key))
            left = msgspec.structs.replace(work, changes=rest) if rest else None
            await self._declared.step(msgspec.structs.replace(self._declared.now, undoing=left))

    def _worth_another(self, work: Undoing, undone: Undone) -> tuple[Change, ...]:
        """What is tried again: what somebody holds, until they let go; anything else a few times."""
        rest = []
        for failed in undone.failed:
            if failed.holders or (work.tries + 1 < _MOST_TRIES and is_undoable(failed.change)):
                rest.append(failed.change)
            else:
                self._hopeless.add((failed.change.name, failed.change.after))
        return tuple(change for change in work.changes if change in rest)

"""A new overlay of the vCluster on this node: applied whole, or put back and told.

A crash on the way leaves the work on record; the next start does it again from the beginning, which changes nothing
that is done already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence

import msgspec

from pact_agent.declared import Declared
from pact_agent.dimensions import ApplyError
from pact_agent.drift import undoing_order
from pact_agent.observers import Observers
from pact_agent.parts import in_parts
from pact_agent.recorder import Recorder
from pact_agent.records import Unnumbered
from pact_agent.resolving import is_met, reduced, resolved
from pact_agent.saved import Applying, Failing, Interrupted, Overlaid
from pactsh.errors import PactError
from pactsh.model.delta import Change, Delta, State
from pactsh.model.entry import Author, JsonObject
from pactsh.model.overlay import Overlay, completed, satisfies

_REPORTED = frozenset({"packages", "gpu"})  # what pact does not change: a difference stays, as drift
_MOST_REASONS = 20


class Overlaying:
    """Of one node, whose vCluster's overlay it makes its own. `reached()` says whether the journal still answers: an
    overlay that cuts the node off could not be taken back."""

    def __init__(
        self,
        observers: Observers,
        declared: Declared,
        recorder: Recorder,
        agent: Author,
        node: str,
        reached: Callable[[], Awaitable[bool]],
    ) -> None:
        self._reached = reached
        self._observers, self._declared, self._recorder = observers, declared, recorder
        self._agent, self._node = agent, node
        self._waiting: Overlay | None = None

    def arrived(self, overlay: Overlay) -> None:
        """The vCluster's, to be taken. That none was ever applied (version 0) says something only to a node that was in
        another vCluster before, and goes by that one's: what was declared there is no more."""
        have = self._declared.now.overlay
        if overlay.version or (have is not None and have.overlay.vcluster != overlay.vcluster):
            self._waiting = overlay

    def is_waiting(self) -> bool:
        """Whether there is one to be taken that this node has not had yet, nor failed at."""
        if self._waiting is not None and not self._is_news(self._waiting):
            self._waiting = None
        return self._waiting is not None

    async def take(self) -> str:
        """Apply what is waiting; what came of it, in words. Raises `PactError` when it must wait longer."""
        overlay = self._waiting
        assert overlay is not None
        await self._begin(overlay)
        if self._waiting is overlay:
            self._waiting = None
        failing = self._declared.now.failing
        what = "is applied" if failing is None else "could not be applied, and is put back"
        return f"the overlay of {overlay.vcluster}, version {overlay.version}, {what}"

    def _is_news(self, overlay: Overlay) -> bool:
        saved = self._declared.now
        theirs = (overlay.version, overlay.checksum)
        if saved.failing is not None and (saved.failing.version, saved.failing.checksum) == theirs:
            return False
        have = saved.overlay.overlay if saved.overlay is not None else Overlay(overlay.vcluster)
        return (have.version, have.checksum) != theirs

    async def _begin(self, overlay: Overlay) -> None:
        """Apply it: every key that it names or no longer names, but those that a delta or drift of this node says."""
        await self._observers.keep(text.encode() for text in overlay.contents.values())
        found = await self._observers.look()
        if unread := sorted(set(overlay.values) & set(self._observers.names) - found.keys()):
            raise PactError(f"the overlay waits: {', '.join(unread)} can't be read")
        work = Applying(msgspec.structs.replace(overlay, contents={}), tuple(self._changes(overlay, found)))
        about: JsonObject = {"version": overlay.version, "checksum": overlay.checksum}
        parts = in_parts([change.name for change in work.changes])
        drafts = (self._draft("overlay.begun", {**about, "changes": [*part]}, overlay) for part in parts)
        await self._declared.step(msgspec.structs.replace(self._declared.now, applying=work), *drafts)
        await self.go_on(work)

    def _draft(self, kind: str, body: JsonObject, overlay: Overlay, why: str = "") -> Unnumbered:
        message = f"version {overlay.version}" + (f": {why}" if why else "")
        return self._recorder.draft(kind, self._agent, body, message=message[:500])

    def _changes(self, overlay: Overlay, found: State) -> Iterator[Change]:
        saved = self._declared.now
        before = saved.overlay.overlay.values if saved.overlay is not None else {}
        values = self._spelled(overlay, found)
        own = {c.name for delta in reduced(saved.deltas, values, self._overwritten(overlay))[0] for c in delta.changes}
        own |= {item.change.name for item in saved.drift}
        for name in sorted({*before, *values} - _REPORTED):
            actual, wanted = found.get(name, {}), values.get(name, {})
            for key in sorted({*before.get(name, {}), *wanted}):
                now = actual.get(key)
                if f"{name}:{key}" in own:
                    continue
                if key not in wanted:
                    then = self._declared.baseline.get(name, {}).get(key)
                    if then != now:
                        yield Change(name, key, then, now)
                elif not satisfies(name, wanted[key], now):
                    yield Change(name, key, completed(name, wanted[key], now), now)

    def _spelled(self, overlay: Overlay, found: State) -> State:
        """The overlay's values as this node spells them."""
        files = overlay.values.get("files", {})
        if not files:
            return overlay.values
        there = found.get("files", {})
        return overlay.values | {"files": {p: self._observers.spelled(p, w, there.get(p)) for p, w in files.items()}}

    def _overwritten(self, overlay: Overlay) -> frozenset[str]:
        return frozenset(overlay.overwrite.get(self._node, ()))

    def left_of(self, deltas: Iterable[Delta]) -> tuple[Delta, ...]:
        """Those that the overlay in force does not say in their place."""
        overlaid = self._declared.now.overlay
        if overlaid is None:
            return tuple(deltas)
        values = overlaid.overlay.values | overlaid.resolved
        return reduced(deltas, values, self._overwritten(overlaid.overlay))[0]

    async def resume(self, *, rebooted: bool) -> None:
        """Go on with what the agent's end cut short. After a boot it is begun anew, once: an overlay that takes the
        node down twice is not tried again."""
        saved = self._declared.now
        work, before = saved.applying, saved.interrupted
        if work is not None and not rebooted:
            await self.go_on(work)
        elif work is not None:
            checksum = work.overlay.checksum
            times = before.times + 1 if before.checksum == checksum else 1
            after = msgspec.structs.replace(saved, applying=None, interrupted=Interrupted(checksum, times))
            await self._declared.step(after)
            if times > 1:
                await self._refuse(work.overlay, ["the node went down twice while this was being applied"], (), ())
        elif saved.failing is not None and before.times < 2:  # tried once more
            await self._declared.step(msgspec.structs.replace(saved, failing=None))

    async def go_on(self, work: Applying) -> None:
        """Make the changes; when one fails, make all of them undone."""
        reasons = [reason async for reason in self._apply(undoing_order(work.changes))]
        found = await self._observers.look()
        values = self._spelled(work.overlay, found)
        if not reasons:
            reasons = [*_unmet(work.changes, values, found)]
        if not reasons and any(c.dimension == "network" for c in work.changes) and not await self._reached():
            reasons = ["network: the journal does not answer any more"]
        if reasons:
            await self._give_up(work, reasons)
            return
        saved = self._declared.now
        deltas, superseded = reduced(saved.deltas, values, self._overwritten(work.overlay))
        about: JsonObject = {"version": work.overlay.version, "checksum": work.overlay.checksum}
        bodies = [about | {"applied": part} for part in in_parts([msgspec.to_builtins(c) for c in work.changes])]
        bodies[0]["superseded"] = superseded
        after = msgspec.structs.replace(
            saved,
            deltas=deltas,
            overlay=Overlaid(work.overlay, resolved(values, found, is_so=is_met)),
            applying=None,
            failing=None,
            interrupted=Interrupted(),
        )
        drafts = (self._draft("overlay.applied", body, work.overlay) for body in bodies)
        await self._declared.step(after, *drafts)

    async def _apply(self, changes: Iterable[Change]) -> AsyncIterator[str]:
        for change in changes:
            try:
                await self._observers.apply(change.dimension, change.key, change.before)
            except ApplyError as error:
                yield f"{change.name}: {error.message}"

    async def _give_up(self, work: Applying, reasons: Sequence[str]) -> None:
        back = [Change(c.dimension, c.key, c.after, c.before) for c in work.changes]
        stuck = [reason async for reason in self._apply(undoing_order(back))]
        found = await self._observers.look()
        left = [c.name for c in back if found.get(c.dimension, {}).get(c.key) != c.before]
        await self._refuse(work.overlay, reasons, left, stuck)

    async def _refuse(
        self, overlay: Overlay, reasons: Sequence[str], left: Sequence[str], stuck: Sequence[str]
    ) -> None:
        failing = Failing(overlay.version, overlay.checksum, tuple(reasons[:_MOST_REASONS]))
        body: JsonObject = {
            "version": overlay.version,
            "checksum": overlay.checksum,
            "reasons": list(reasons[:_MOST_REASONS]),
            "left": [*left[:_MOST_REASONS]],
            "stuck": [*stuck[:_MOST_REASONS]],
        }
        entry = self._draft("overlay.failed", body, overlay, reasons[0])
        saved = msgspec.structs.replace(self._declared.now, applying=None, failing=failing)
        await self._declared.step(saved, entry)


def _unmet(changes: Iterable[Change], values: State, found: State) -> Iterator[str]:
    """What is not as wanted though nothing complained."""
    for change in changes:
        now = found.get(change.dimension, {}).get(change.key)
        wanted = values.get(change.dimension, {}).get(change.key)
        if wanted is None:
            if now != change.before:
                yield f"{change.name}: it does not have the value that it had before"
        elif not is_met(change.dimension, wanted, now):
            yield f"{change.name}: it does not have the value that was written"

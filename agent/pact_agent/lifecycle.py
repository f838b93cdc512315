"""The life of a change on this node: found as drift, in a commit window, then committed or undone.

Drift is what differs from the declared state. Everything here happens one after the other; what is decided goes to
disk and on record in one step (`declared`) before, or right after, it is done to the node, so that a crash leaves
work that the next start finishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from pact_agent import commits
from pact_agent import window as windows
from pact_agent.actors import Actors
from pact_agent.clock import Clock, timestamp
from pact_agent.cutoff import CutOff
from pact_agent.declared import Declared, delta_fields, named
from pact_agent.drift import differences, is_systems
from pact_agent.noise import Noise
from pact_agent.observers import Observers
from pact_agent.recorder import Recorder
from pact_agent.saved import Saved, Undoing, Window
from pact_agent.telling import counted, found_bodies, notice, resisting
from pact_agent.undo import Rollbacks, Undone, undo
from pactsh.errors import ConflictError, NotFoundError, PactError, RollbackError
from pactsh.model.delta import Change, Delta, Drifted
from pactsh.model.entry import Author
from pactsh.policy.model import Policy

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

_GATHER_S = 0.2
_SETTLING_S = 300.0  # after a boot: services come up, mount and set what they are there for


class Lifecycle:
    """Of one node. `tell(text, level)` reaches everybody who has a session here; `suspended()` holds automatic
    rollbacks off (an emergency)."""

    def __init__(
        self,
        observers: Observers,
        declared: Declared,
        recorder: Recorder,
        clock: Clock,
        *,
        agent: Author,
        policy: Callable[[], Policy],
        tell: Callable[[str, str], None],
        suspended: Callable[[], bool],
    ) -> None:
        self.noise = Noise(declared, recorder, policy, agent)
        self._observers, self._declared, self._recorder, self._clock = observers, declared, recorder, clock
        self._agent, self._policy, self._tell, self._suspended = agent, policy, tell, suspended
        self._busy = asyncio.Lock()
        self._actual: dict[str, dict[str, str]] = {}
        self._actors = Actors()
        self._cut_off = CutOff()
        self._rollbacks = Rollbacks(observers, declared, recorder, clock)

    # -- what is known

    @property
    def drift(self) -> tuple[Drifted, ...]:
        """What has drifted, as of the last look."""
        return self._declared.now.drift

    @property
    def deltas(self) -> tuple[Delta, ...]:
        """The committed deltas, oldest first."""
        return self._declared.now.deltas

    def window_left_s(self) -> float | None:
        """Time left in the commit window; None when none is open, or its end held off."""
        window = self._declared.now.window
        return None if window is None or self._suspended() else max(0.0, window.ends - self._clock.monotonic())

    def state(self) -> str:
        """As `pact status` shows it."""
        if self._declared.now.undoing is not None:
            return "CONVERGING"
        if self._policy().enforcement_mode == "observe":
            return "OBSERVE_ONLY"
        return "DRIFTED" if self.drift else "COMMITTED"

    # -- start and time

    async def start(self, boot: str) -> None:
        """Finish what the last end left, make the node what is declared, and undo what nobody committed before it
        was booted anew."""
        declared = self._declared
        async with self._busy:
            await declared.finish()
            for problem in declared.problems:
                await self._record("audit.degraded", {"reason": f"the node's state was begun anew: {problem}"})
            rebooted = declared.now.boot not in ("", boot)
            if declared.now.boot != boot:
                window = declared.now.window if not rebooted else None
                await declared.step(msgspec.structs.replace(declared.now, boot=boot, window=window))
            self._actual = await self._observers.look()
            self._take_baseline(boot)
            await self._converge()
            before = {item.change for item in declared.now.drift}
            if (left := self._rollbacks.under_way) is not None:
                await self._undone(await self._rollbacks.go_on(self._still(left, rebooted)), left.reason)
            else:
                await self._evaluate(await self._observers.look())
            stayed = [item.change for item in declared.now.drift if item.change in before]
            if rebooted and stayed and self._rollbacks.under_way is None and self._enforced():
                await self._by_itself("booted", stayed)

    def _take_baseline(self, boot: str) -> None:
        """After a boot: anew what no boot keeps, before anything declared is put back."""
        kept = self._declared.baseline
        if self._declared.boot != boot:
            fresh = {name: values for name, values in self._actual.items() if not self._observers.lasting(name)}
            self._declared.take_baseline(kept | fresh, boot)

    def _still(self, work: Undoing, rebooted: bool) -> Undoing:
        """What is left of a rollback: a boot has undone the rest, and its old values are nobody's any more."""
        if not rebooted:
            return work
        changes = tuple(change for change in work.changes if self._observers.lasting(change.dimension))
        return msgspec.structs.replace(work, changes=changes)

    def _enforced(self) -> bool:
        return self._policy().enforcement_mode == "enforce"

    async def _converge(self) -> None:
        """Give every key that a delta names the value it declares, unless it is drift that somebody may yet commit."""
        known = {item.change.name: item.change.after for item in self._declared.now.drift}
        named_keys = {(change.dimension, change.key) for delta in self.deltas for change in delta.changes}
        wanted = [
            Change(dimension, key, self._declared.state().get(dimension, {}).get(key), actual)
            for dimension, key in sorted(named_keys)
            for actual in [self._actual.get(dimension, {}).get(key)]
        ]
        wanted = [c for c in wanted if c.before != c.after and (c.name not in known or known[c.name] != c.after)]
        if wanted:
            for body in (await undo(self._observers, wanted)).bodies():
                await self._record("converged", body)

    async def run(self) -> None:
        """Look when woken or when it is time, and end windows, until cancelled."""
        self._observers.start()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s()):
                        await self._observers.woken.wait()
                        await asyncio.sleep(_GATHER_S)  # an editor writes, moves and marks: one change, not five
                try:
                    await self.tick()
                except PactError as error:
                    _log.error("drift: %s", error.message)
                    await asyncio.sleep(1)
                except Exception:  # noqa: BLE001  the top of a task: a fault in here must not take the shell along
                    _log.exception("drift")
                    await asyncio.sleep(10)
        finally:
            self._observers.close()

    def _wait_s(self) -> float | None:
        now, saved = self._clock.monotonic(), self._declared.now
        times = [at for at in (self._observers.next_due(),) if at is not None]
        if (retry_at := self._rollbacks.retry_at) is not None:
            times.append(retry_at)
        elif not self._suspended():
            wall = self._clock.now().timestamp()
            times += [now + delta.expires - wall for delta in self.deltas if delta.expires]
            times += [windows.next_event(saved.window)] if saved.window is not None else []
        return max(0.05, min(times) - now) if times else None

    async def tick(self) -> None:
        """What is due now."""
        async with self._busy:
            if names := self._observers.due():
                await self._evaluate(await self._observers.look(names))
            await self._end_window()

    async def _end_window(self) -> None:
        saved, now = self._declared.now, self._clock.monotonic()
        if (left := self._rollbacks.under_way) is not None:
            if now >= (self._rollbacks.retry_at or 0.0):
                await self._undone(await self._rollbacks.go_on(left), left.reason)
            return
        if self._suspended():
            return
        if over := self._declared.expired(self._clock.now().timestamp()):
            await self._evaluate(await self._observers.look())
            changes = self._left_by(over)
            await self._by_itself("ttl", changes, over)
            return
        window = await self._window_of(saved)
        if window is None:
            return
        if now >= window.ends:
            await self._evaluate(await self._observers.look())
            if self.drift:
                await self._by_itself("expired", [item.change for item in self.drift])
        elif (at := windows.to_tell(window, now)) is not None:
            await self._declared.step(msgspec.structs.replace(self._declared.now, window=windows.told(window, at)))
            self._tell(f"{counted(len(saved.drift))} not committed: rolled back in {at // 60} min", "warning")

    async def _window_of(self, saved: Saved) -> Window | None:
        """The open window, once it is as the policy of now wants it: where that begins to enforce, what has drifted
        before gets one; where it no longer does, there is none."""
        wanted = bool(saved.drift) and self._enforced()
        if wanted == (saved.window is not None):
            return saved.window
        window: Window | None = None
        if wanted:
            changes = [item.change for item in saved.drift]
            moment = timestamp(self._clock.now())
            window = windows.opened(None, changes, self._policy(), self._clock.monotonic(), moment)
        await self._declared.step(msgspec.structs.replace(saved, window=window))
        if window is not None:
            self._tell(notice(saved.drift, self.window_left_s()), "warning")
        return window

    def _left_by(self, drop: Collection[str]) -> list[Change]:
        """What is to be undone on the node when these deltas fall away: their keys, where nobody has changed them
        again meanwhile."""
        theirs = {change.name for delta in self.deltas if delta.id in drop for change in delta.changes}
        theirs -= {item.change.name for item in self.drift}
        wanted = differences(self._declared.without(drop), self._actual, self.noise.covers)
        return [change for change in wanted if change.name in theirs]

    # -- looking

    def acting(self, principal: str, dimension: str | None) -> AbstractContextManager[None]:
        """While a command of class `change` runs: what drifts meanwhile is this person's."""
        return self._actors.acting(principal, dimension)

    def look_soon(self) -> None:
        """Something else than the node has changed: the policy."""
        self._observers.woken.set()

    async def look(self, names: Collection[str] | None = None) -> None:
        """Look at the node now, and take in what is found."""
        async with self._busy:
            await self._evaluate(await self._observers.look(names))

    async def _evaluate(self, found: dict[str, dict[str, str]]) -> None:
        """Compare what was found with what is declared, and record what is new."""
        self._actual |= found
        self._declared.adopt(found)
        changes = await self._adopted(differences(self._declared.state(), found, self.noise.covers))
        saved = self._declared.now
        known = {(item.change.name, item.change.after): item for item in saved.drift}
        others = tuple(item for item in saved.drift if item.change.dimension not in found)
        now = timestamp(self._clock.now())
        drift: list[Drifted] = []
        fresh: list[Drifted] = []
        for change in changes:
            # What is found is the same, though another value may be declared by now: it stays whose it was.
            old = known.get((change.name, change.after))
            who, since = (old.by, old.since) if old else (self._actors.author_of(change), now)
            drift.append(Drifted(change, who, since))
            fresh += [] if old else drift[-1:]
        everything = tuple(sorted((*others, *drift), key=lambda item: item.change.name))
        self._cut_off.note(everything, self._clock.monotonic())
        if not fresh and everything == saved.drift:
            return
        await self._drifted(fresh, everything)

    async def _drifted(self, fresh: Sequence[Drifted], everything: tuple[Drifted, ...]) -> None:
        saved, mode = self._declared.now, self._policy().enforcement_mode
        changes = [item.change for item in everything]
        window = saved.window if everything else None
        if fresh and self._enforced():
            now = self._clock.monotonic()
            window = windows.opened(window, changes, self._policy(), now, timestamp(self._clock.now()))
        left_s = None if window is None else window.ends - self._clock.monotonic()
        bodies = found_bodies(fresh, changes, left_s)
        drafts = [self._recorder.draft("drift.detected", self._agent, body) for body in bodies]
        if saved.drift and not everything:
            drafts.append(self._recorder.draft("drift.cleared", self._agent, {"was": len(saved.drift)}))
        await self._declared.step(msgspec.structs.replace(saved, drift=everything, window=window), *drafts)
        if fresh and mode != "observe":
            self._tell(notice(fresh, self.window_left_s()), "warning")

    async def _adopted(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        known = {item.change.name for item in self.drift}
        known |= {change.name for delta in self.deltas for change in delta.changes}

        def is_theirs(change: Change) -> bool:
            if change.name in known or self._actors.author_of(change):
                return True
            settling = not self._observers.lasting(change.dimension) and self._clock.monotonic() < _SETTLING_S
            return not settling and not is_systems(change)

        return await self.noise.adopt(changes, is_theirs)

    # -- committing

    async def commit(
        self,
        author: Author,
        message: str,
        *,
        session: str = "",
        reached: float = -math.inf,
        only: Sequence[str] = (),
        ttl: int | None = None,
    ) -> tuple[Delta, int]:
        """Make drift a delta; `only` names some of it. Returns the delta and its entry's number in the spool.

        Raises `UsageError` for bad arguments, `NotFoundError` where nothing has drifted, `ConflictError` where
        somebody else committed it first, `PolicyError` where it may have cut off who is connected since `reached`.
        """
        message = commits.checked_message(message)
        commits.check_ttl(ttl)
        async with self._busy:
            await self._evaluate(await self._observers.look())
            chosen, missing = named(self.drift, only)
            if missing or not chosen:
                raise commits.nothing_to_commit(self.deltas, missing, self._clock.now())
            self._cut_off.check(chosen, reached)
            return await self._commit(author, message, session, chosen, ttl)

    async def _commit(
        self, author: Author, message: str, session: str, chosen: Sequence[Drifted], ttl: int | None
    ) -> tuple[Delta, int]:
        saved = self._declared.now
        delta = commits.made_of(chosen, secrets.token_hex(8), author.principal, message, self._clock.now(), ttl)
        commits.check_length(delta)
        left = tuple(item for item in saved.drift if item not in chosen)
        body: JsonObject = {"by": [*sorted({item.by for item in chosen if item.by})]}
        entry = self._recorder.draft(
            "commit", author, body, session=session, message=message, delta=delta_fields(delta), ttl=ttl
        )
        after = msgspec.structs.replace(
            saved, deltas=(*saved.deltas, delta), drift=left, window=saved.window if left else None
        )
        if (undoing := saved.undoing) is not None:  # what is declared now is not undone any more
            rest = tuple(change for change in undoing.changes if change not in delta.changes)
            undoing = msgspec.structs.replace(undoing, changes=rest) if rest else None
            after = msgspec.structs.replace(after, undoing=undoing)
        return delta, await self._declared.step(after, entry)

    async def extend(self, author: Author, minutes: int, *, session: str = "") -> float:
        """Lengthen the open window; returns the seconds left in it. Raises `ConflictError`, `UsageError`."""
        async with self._busy:
            saved, now = self._declared.now, self._clock.monotonic()
            window = windows.extended(saved.window, minutes, now)
            body: JsonObject = {"minutes": minutes, "left_s": round(window.ends - now)}
            entry = self._recorder.draft("window.extended", author, body, session=session)
            await self._declared.step(msgspec.structs.replace(saved, window=window), entry)
            return window.ends - now

    async def ignore(self, author: Author, pattern: str, *, session: str = "", end: bool = False) -> None:
        """Count what a pattern covers as no drift of this node, from now on; `end`: no longer. Raises what `Noise`
        raises."""
        async with self._busy:
            await (self.noise.remove if end else self.noise.add)(author, pattern, session)
            await self._evaluate(await self._observers.look())

    # -- undoing

    async def rollback(self, author: Author, *, to: int = 0, session: str = "") -> Undone:
        """Undo what nobody committed and, with `to`, what was committed after that entry. Raises `RollbackError` when
        something is still there, `NotFoundError` when there is nothing to undo."""
        async with self._busy:
            await self._evaluate(await self._observers.look())
            changes, drop = self.to_undo(to)
            if not changes and not drop:
                raise NotFoundError("rollback: there is nothing to undo", hint="pact diff, pact diff --committed")
            if self._rollbacks.under_way is not None:
                raise ConflictError("rollback: one is on its way on this node")
            undone = await self._undone(
                await self._rollbacks.begin(author, "asked", changes, session=session, to=to, drop=drop), "asked"
            )
        if undone.failed:
            raise RollbackError("; ".join(resisting(undone)), hint=f"{counted(len(undone.done))} undone all the same")
        return undone

    def to_undo(self, to: int) -> tuple[list[Change], tuple[str, ...]]:
        """What a rollback would undo, as of the last look, and the deltas that would fall away."""
        if not to:
            return [item.change for item in self.drift], ()
        drop = tuple(delta.id for delta in self.deltas if not 0 < delta.seq <= to)
        return list(differences(self._declared.without(drop), self._actual, self.noise.covers)), drop

    async def _by_itself(self, reason: str, changes: Sequence[Change], drop: tuple[str, ...] = ()) -> None:
        await self._undone(await self._rollbacks.begin(self._agent, reason, changes, drop=drop), reason)

    async def _undone(self, undone: Undone, reason: str) -> Undone:
        if undone.done:
            self._tell(f"rolled back: {counted(len(undone.done))} undone ({reason})", "warning")
        await self._evaluate(await self._observers.look())
        return undone

    async def _record(self, kind: str, body: JsonObject) -> None:
        await self._recorder.append(self._recorder.draft(kind, self._agent, body))

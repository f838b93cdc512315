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
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pact_agent import commits, holding
from pact_agent import window as windows
from pact_agent.clock import Clock
from pact_agent.convergence import converge, still, take_baseline
from pact_agent.declared import Declared, delta_fields
from pact_agent.drift import is_undoable
from pact_agent.drifting import Drifting
from pact_agent.noise import Noise
from pact_agent.observers import Observers
from pact_agent.overlaying import Overlaying
from pact_agent.recorder import Recorder
from pact_agent.telling import counted, declared_anew, nothing_to_undo, notice, overlay_item, resisting
from pact_agent.undo import GoingBack, Rollbacks, Undone
from pact_agent.windowkeeper import WindowKeeper
from pactsh.errors import PactError, RollbackError
from pactsh.model.blacklist import covers
from pactsh.model.delta import Change, Delta, Drifted
from pactsh.model.entry import Author
from pactsh.model.overlay import Overlay
from pactsh.policy.model import Policy

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

_GATHER_S = 0.2


class Lifecycle:
    """Of one node. `tell(text, level)` reaches everybody who has a session here, `tell_each` each with what is for
    them; `suspended()` holds automatic rollbacks off (an emergency); `reached()`: whether the journal answers."""

    def __init__(
        self,
        observers: Observers,
        declared: Declared,
        recorder: Recorder,
        clock: Clock,
        *,
        node: str,
        reached: Callable[[], Awaitable[bool]],
        agent: Author,
        policy: Callable[[], Policy],
        tell: Callable[[str, str], None],
        tell_each: Callable[[Callable[[str], str], str], None],
        suspended: Callable[[], bool],
    ) -> None:
        self.noise = Noise(declared, recorder, policy, agent)
        self.observers, self._declared, self._recorder, self._clock = observers, declared, recorder, clock
        self._agent, self._policy, self._suspended = agent, policy, suspended
        self._tell, self._tell_each = tell, tell_each
        self._busy = asyncio.Lock()
        self._undone_at: datetime | None = None
        self._drifting = Drifting(
            observers, declared, recorder, clock, self.noise, agent=agent, policy=policy, tell=self._tell_drift
        )
        self._rollbacks = Rollbacks(observers, declared, recorder, clock)
        self._overlaying = Overlaying(observers, declared, recorder, agent, node, reached)
        self._window = WindowKeeper(
            declared,
            recorder,
            clock,
            policy=policy,
            may_undo=self._rollbacks.may_undo,
            tell_drift=self._tell_drift,
            tell_each=tell_each,
        )

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
        settled = "DRIFTED" if self.drift else "COMMITTED"
        return "OBSERVE_ONLY" if self._policy().enforcement_mode == "observe" else settled

    def overlay(self) -> dict[str, object]:
        """Which version of the vCluster's overlay is applied here (0: none), and why a newer one is not."""
        return overlay_item(self._declared.now)

    async def start(self, boot: str) -> None:
        """Finish what the last end left, make the node as declared, undo what nobody committed before a boot."""
        declared = self._declared
        async with self._busy:
            await declared.finish()
            for problem in declared.problems:
                await self._record("audit.degraded", {"reason": f"the node's state was begun anew: {problem}"})
            rebooted = declared.now.boot not in ("", boot)
            if declared.now.boot != boot:
                window, held = (declared.now.window, declared.now.held) if not rebooted else (None, ())
                await declared.step(msgspec.structs.replace(declared.now, boot=boot, window=window, held=held))
            self._drifting.actual = await self.observers.look()
            take_baseline(declared, self.observers, self._drifting.actual, boot)
            await self._converge(rebooted=rebooted)
            before = {item.change for item in declared.now.drift}
            await self._overlaying.resume(rebooted=rebooted)
            left = self._rollbacks.under_way
            if left is not None and (left.reason == "asked" or not self._suspended()):
                left = still(self.observers, left, rebooted=rebooted)
                await self._undone(await self._rollbacks.go_on(left), left.reason)
            else:
                await self._look()
            stayed = [i.change for i in declared.now.drift if i.change in before and self._rollbacks.may_undo(i.change)]
            if (
                rebooted
                and stayed
                and self._rollbacks.under_way is None
                and self._policy().enforcement_mode == "enforce"
            ):
                await self._by_itself("booted", stayed)

    async def _converge(self, *, rebooted: bool) -> None:
        done = await converge(self.observers, self._declared, self._drifting.actual, rebooted=rebooted)
        for body in done.bodies() if done is not None else ():
            await self._record("converged", body)

    async def restore(self, deltas: Sequence[Delta], is_news: Callable[[], bool]) -> bool:
        """Take over what was committed here before the agent lost its files, and make the node so. False, and nothing
        is done, where it is news no more: some may have been rolled back since it was asked for."""
        async with self._busy:
            if not is_news():
                return False
            saved, known = self._declared.now, {delta.id for delta in self.deltas}
            lost = self._overlaying.left_of([delta for delta in deltas if delta.id not in known])
            after = msgspec.structs.replace(saved, deltas=(*lost, *saved.deltas), restored=True)
            await self._declared.step(after)
            if lost:
                await self._converge(rebooted=False)
            return True

    async def run(self) -> None:
        """Look when woken or when it is time, and end windows, until cancelled."""
        self.observers.start()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s()):
                        await self.observers.woken.wait()
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
            self.observers.close()

    def _wait_s(self) -> float | None:
        now, saved = self._clock.monotonic(), self._declared.now
        times = [at for at in (self.observers.next_due(),) if at is not None]
        if not self._suspended():
            times += [at for at in (self._rollbacks.retry_at,) if at is not None]
            wall = self._clock.now().timestamp()
            times += [now + delta.expires - wall for delta in self.deltas if delta.expires]
            times += [windows.next_event(saved.window)] if saved.window is not None else []
            times += [held.ends for held in saved.held]
        return max(0.05, min(times) - now) if times else None

    async def tick(self) -> None:
        """What is due now."""
        async with self._busy:
            if names := self.observers.due():
                await self._drifting.take_in(await self.observers.look(names))
                await self.observers.forget(self._drifting.digests)
            await self._end_window()
            await self._take_overlay()  # last: it may have to wait

    def overlay_arrived(self, overlay: Overlay) -> None:
        """The vCluster's overlay, which is taken over soon."""
        self._overlaying.arrived(overlay)
        self.look_soon()

    async def _take_overlay(self) -> None:
        if self._overlaying.is_waiting():
            await self._look()
            before = self.drift
            self._tell(await self._overlaying.take(), "warning")
            await self._look()
            if (overlaid := self._declared.now.overlay) is not None:
                self._tell_each(declared_anew(before, self.drift, overlaid.overlay.version), "warning")

    async def _end_window(self) -> None:
        if self._suspended():
            return
        now, left = self._clock.monotonic(), self._rollbacks.under_way
        if left is not None and now >= (self._rollbacks.retry_at or 0.0):
            await self._undone(await self._rollbacks.go_on(left), left.reason)
        for held in self._declared.now.held:
            if now >= held.ends:  # the journal has not said a word
                await holding.release(self._declared, held.id)
        if over := self._declared.expired(self._clock.now().timestamp()):
            await self._look()
            left_by = self._rollbacks.left_by(over, self._drifting.actual, self.noise.covers)
            await self._by_itself("ttl", left_by, over)
            return
        window = await self._window.current(self._declared.now)
        if window is None:
            return
        if now >= window.ends:
            await self._look()
            changes = [item.change for item in self.drift if self._rollbacks.may_undo(item.change)]
            if changes:
                await self._by_itself("expired", changes)
        else:
            await self._window.tell_end(window, now, self.drift)

    # -- looking

    def acting(self, principal: str, dimension: str | None) -> AbstractContextManager[None]:
        """While a command of class `change` runs: what drifts meanwhile is this person's."""
        return self._drifting.actors.acting(principal, dimension)

    def look_soon(self) -> None:
        """Something else than the node has changed: the policy."""
        self.observers.woken.set()

    async def look(self, names: Collection[str] | None = None) -> None:
        """Look at the node now, and take in what is found."""
        async with self._busy:
            await self._drifting.take_in(await self.observers.look(names))

    async def _look(self) -> None:
        await self._drifting.take_in(await self.observers.look())

    def _tell_drift(self, fresh: Sequence[Drifted]) -> None:
        self._tell(notice(fresh, self.window_left_s()), "warning")

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
        expected: Mapping[str, object] | None = None,
    ) -> tuple[Delta, int]:
        """Make drift a delta; `only` names some of it, `expected` just what it has to be. Returns the delta and its
        entry's number in the spool. Raises `UsageError` for bad arguments, `NotFoundError` where nothing has drifted,
        `ConflictError` where somebody was first, `PolicyError` where it may have cut off who was there (`reached`)."""
        async with self._busy:
            chosen = await self._chosen(message, only if expected is None else [*expected], ttl, reached)
            holding.check_unchanged(chosen, expected)
            return await self._commit(author, commits.checked_message(message), session, chosen, ttl)

    async def _chosen(self, message: str, only: Sequence[str], ttl: int | None, reached: float) -> tuple[Drifted, ...]:
        commits.checked_message(message)
        commits.check_ttl(ttl)
        await self._look()
        chosen, missing = commits.named(self.drift, only)
        if missing or not chosen:
            raise commits.nothing_to_commit(self.deltas, missing, self._clock.now(), self._undone_at)
        commits.check_lasting(chosen, self.deltas, ttl)
        self._drifting.cut_off.check(chosen, reached)
        return chosen

    async def propose(
        self, message: str, *, reached: float = -math.inf, only: Sequence[str] = (), ttl: int | None = None
    ) -> tuple[Drifted, ...]:
        """What a commit would take, for somebody to decide on; raises like `commit`."""
        async with self._busy:
            return holding.free(self._declared, await self._chosen(message, only, ttl, reached))

    async def hold(self, id_: str, drift: Sequence[Drifted], left_s: float) -> None:
        """Let nothing undo that drift while a second person decides, so long at most."""
        async with self._busy:
            await holding.hold(self._declared, self._clock, id_, drift, left_s)
        self.look_soon()

    async def release(self, id_: str, *, undo: bool) -> None:
        """A second person has decided, or nobody has in time: then what was held is undone."""
        async with self._busy:
            held = await holding.release(self._declared, id_)
            ours = [i.change for i in self.drift if held.get(i.change.name, "") == i.change.after]
            left = [change for change in ours if change.name in held and self._rollbacks.may_undo(change)]
            if undo and left:
                await self._by_itself("approval", left)
        self.look_soon()

    async def _commit(
        self, author: Author, message: str, session: str, chosen: Sequence[Drifted], ttl: int | None
    ) -> tuple[Delta, int]:
        saved = self._declared.now
        delta = commits.made_of(chosen, secrets.token_hex(8), author.principal, message, self._clock.now(), ttl)
        commits.check_length(delta)
        body: JsonObject = {"by": [*sorted({item.by for item in chosen if item.by})]}
        entry = self._recorder.draft(
            "commit", author, body, session=session, message=message, delta=delta_fields(delta), ttl=ttl
        )
        return delta, await self._declared.step(commits.committed(saved, delta), entry)

    async def extend(self, author: Author, minutes: int, *, session: str = "") -> float:
        """Lengthen the open window; returns the seconds left in it. Raises `ConflictError`, `UsageError`."""
        async with self._busy:
            return await self._window.extend(author, minutes, session)

    async def ignore(
        self, author: Author, pattern: str, *, session: str = "", reached: float = -math.inf, end: bool = False
    ) -> None:
        """Count what a pattern covers as no drift of this node, from now on; `end`: no longer. Raises what `Noise`
        raises, and `PolicyError` where it covers what may have cut off who is connected since `reached`."""
        async with self._busy:
            if not end:
                await self._look()
                covered = [i for i in self.drift if covers(pattern, i.change.dimension, i.change.key)]
                self._drifting.cut_off.check(covered, reached)
            await (self.noise.remove if end else self.noise.add)(author, pattern, session)
            if not end:
                await self._rollbacks.leave(pattern)
            await self._look()

    # -- undoing

    async def rollback(
        self,
        author: Author,
        *,
        to: int = 0,
        session: str = "",
        as_of: Sequence[Delta] | None = None,
        expected: Mapping[str, object] | None = None,
    ) -> Undone:
        """Undo what nobody committed; with `to`, go to what was committed as of that entry (`as_of`, if that is known).
        Raises `RollbackError` when something is still there, `NotFoundError` when there is nothing to do, and
        `ConflictError` where it is not just as `expected`."""
        async with self._busy:
            await self._look()
            back = self.to_undo(to, as_of)
            holding.check_same({change.name: change.after for change in back.changes}, expected)
            if not back.drop and not back.add and not any(is_undoable(change) for change in back.changes):
                raise nothing_to_undo(back.changes)
            done = await self._rollbacks.begin(
                author, "asked", back.changes, session=session, to=to, drop=back.drop, add=back.add
            )
            undone = await self._undone(done, "asked")
        if undone.resisting:
            raise RollbackError("; ".join(resisting(undone)), hint=f"{counted(len(undone.done))} undone all the same")
        return undone

    def to_undo(self, to: int, as_of: Sequence[Delta] | None = None) -> GoingBack:
        """What a rollback would do, as of the last look."""
        if not to:
            return GoingBack([item.change for item in self.drift])
        known = [delta for delta in self.deltas if 0 < delta.seq <= to] if as_of is None else as_of
        then = self._overlaying.left_of(known)
        now = self._clock.now().timestamp()
        return self._rollbacks.going_back(then, now, self._drifting.actual, self.noise.covers)

    async def _by_itself(self, reason: str, changes: Sequence[Change], drop: tuple[str, ...] = ()) -> None:
        await self._undone(await self._rollbacks.begin(self._agent, reason, changes, drop=drop), reason)

    async def _undone(self, undone: Undone, reason: str) -> Undone:
        if undone.done:
            self._undone_at = self._clock.now()
            self._tell(f"rolled back: {counted(len(undone.done))} undone ({reason})", "warning")
        await self._look()
        return undone

    async def _record(self, kind: str, body: JsonObject) -> None:
        await self._recorder.append(self._recorder.draft(kind, self._agent, body))

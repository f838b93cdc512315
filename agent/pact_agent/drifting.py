"""What is found on a node becomes drift: compared with what is declared, attributed, on record, in a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pact_agent import window as windows
from pact_agent.actors import Actors
from pact_agent.clock import Clock, timestamp
from pact_agent.convergence import named
from pact_agent.cutoff import CutOff
from pact_agent.declared import Declared
from pact_agent.drift import differences, is_systems, is_undoable
from pact_agent.gpuhealth import health_changes, health_entry, health_of
from pact_agent.noise import Noise
from pact_agent.observers import Observers
from pact_agent.recorder import Recorder
from pact_agent.telling import found_bodies
from pactsh.model.delta import Change, Drifted
from pactsh.model.entry import Author
from pactsh.policy.model import Policy

_SETTLING_S = 300.0  # after a boot: services come up, mount and set what they are there for


class Drifting:
    """Of one node. `actual` is what was found last; `tell` gets what is new, where the policy wants it told."""

    def __init__(
        self,
        observers: Observers,
        declared: Declared,
        recorder: Recorder,
        clock: Clock,
        noise: Noise,
        *,
        agent: Author,
        policy: Callable[[], Policy],
        tell: Callable[[Sequence[Drifted]], None],
    ) -> None:
        self._observers, self._declared, self._recorder, self._clock = observers, declared, recorder, clock
        self._noise, self._agent, self._policy, self._tell = noise, agent, policy, tell
        self.actual: dict[str, dict[str, str]] = {}
        self.actors, self.cut_off = Actors(clock), CutOff()

    def digests(self) -> set[str]:
        """Of the contents of files that are there, or may be wanted again."""
        values = self.actual.get("files", {}).values()
        return self._declared.digests() | {value.rpartition("=")[2] for value in values}

    async def take_in(self, found: dict[str, dict[str, str]]) -> None:
        """Compare what was found with what is declared, and record what is new."""
        self.actual |= found
        self._declared.adopt(found)
        changes = await self._adopted(differences(self._declared.state(), found, self._noise.covers))
        saved = self._declared.now
        known = {(item.change.name, item.change.after): item for item in saved.drift}
        others = tuple(item for item in saved.drift if item.change.dimension not in found)
        now = timestamp(self._clock.now())
        drift: list[Drifted] = []
        fresh: list[Drifted] = []
        for change in changes:
            # What is found is the same, though another value may be declared by now: it stays whose it was.
            old = known.get((change.name, change.after))
            who, since = (old.by, old.since) if old else (self.actors.author_of(change), now)
            drift.append(Drifted(change, who, since))
            fresh += [] if old else drift[-1:]
        everything = tuple(sorted((*others, *drift), key=lambda item: item.change.name))
        self.cut_off.note(everything, self._clock.monotonic())
        health = health_of(found.get("gpu", {}), saved.gpus)
        if not fresh and everything == saved.drift and health == saved.gpus:
            return
        await self._drifted(fresh, everything, health)

    async def _drifted(
        self, fresh: Sequence[Drifted], everything: tuple[Drifted, ...], health: dict[str, str] | None
    ) -> None:
        saved, mode = self._declared.now, self._policy().enforcement_mode
        changes = [item.change for item in everything]
        undoable = any(is_undoable(change) for change in changes)
        window = saved.window if undoable else None
        if fresh and undoable and mode == "enforce":
            now = self._clock.monotonic()
            window = windows.opened(window, changes, self._policy(), now, timestamp(self._clock.now()))
        left_s = None if window is None else window.ends - self._clock.monotonic()
        bodies = found_bodies(fresh, changes, left_s)
        drafts = [self._recorder.draft("drift.detected", self._agent, body) for body in bodies]
        for gpu, before, after in health_changes(saved.gpus, health):
            place = self._observers.place("gpu", gpu)
            body, text = health_entry(gpu, place, before, after)
            drafts.append(self._recorder.draft("gpu.health", self._agent, body, message=text))
        if saved.drift and not everything:
            drafts.append(self._recorder.draft("drift.cleared", self._agent, {"was": len(saved.drift)}))
        await self._declared.step(msgspec.structs.replace(saved, drift=everything, window=window, gpus=health), *drafts)
        if fresh and mode != "observe":
            self._tell(fresh)

    async def _adopted(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        known = {item.change.name for item in self._declared.now.drift}
        known |= {f"{name}:{key}" for name, key in named(self._declared)}

        def is_theirs(change: Change) -> bool:
            if change.name in known or self.actors.author_of(change):
                return True
            settling = not self._observers.lasting(change.dimension) and self._clock.monotonic() < _SETTLING_S
            return not settling and not is_systems(change)

        return await self._noise.adopt(changes, is_theirs)

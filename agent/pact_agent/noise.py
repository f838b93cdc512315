"""What differs on a node and is nobody's change: what is blacklisted, and the system's own doings, adopted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from pact_agent.declared import Declared
from pact_agent.drift import BLACKLIST
from pact_agent.parts import in_parts
from pact_agent.recorder import Recorder
from pactsh.errors import ConflictError, NotFoundError, UsageError
from pactsh.model.blacklist import MOST_PATTERNS, checked_pattern, is_covered
from pactsh.model.delta import Change
from pactsh.model.entry import Author
from pactsh.policy.model import Policy

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_PLACES = frozenset({"files", "mounts"})  # whose keys are paths: the built-in patterns are for them


class Noise:
    """Of one node. Its own patterns come over the built-in ones and those of the vCluster's policy."""

    def __init__(
        self,
        declared: Declared,
        recorder: Recorder,
        policy: Callable[[], Policy],
        agent: Author,
        built_in: Sequence[str] = BLACKLIST,
    ) -> None:
        self._declared, self._recorder, self._policy, self._agent = declared, recorder, policy, agent
        self._built_in = tuple(built_in)

    def covers(self, dimension: str, key: str) -> bool:
        """Whether that is no drift, whatever its value."""
        if dimension in _PLACES and is_covered(self._built_in, dimension, key):
            return True
        return is_covered((*self._policy().blacklist, *self._declared.now.ignored), dimension, key)

    def patterns(self) -> list[tuple[str, str]]:
        """All patterns, each with where it is from: built-in, vcluster, node."""
        own = self._declared.now.ignored
        lists = (("built-in", self._built_in), ("vcluster", self._policy().blacklist), ("node", own))
        return [(pattern, origin) for origin, some in lists for pattern in some]

    async def add(self, author: Author, pattern: str, session: str) -> None:
        """One more for this node. Raises `UsageError` for what is no pattern, `ConflictError` for one that is there."""
        checked_pattern(pattern)
        if (origin := dict(self.patterns()).get(pattern)) is not None:
            raise ConflictError(f"blacklist: {pattern} is there already ({origin})")
        own = self._declared.now.ignored
        if len(own) >= MOST_PATTERNS:
            raise UsageError(f"blacklist: a node has at most {MOST_PATTERNS} patterns")
        await self._keep("blacklist.added", author, pattern, session, (*own, pattern))

    async def remove(self, author: Author, pattern: str, session: str) -> None:
        """One less for this node. Raises `NotFoundError` for one that is not its own."""
        own = self._declared.now.ignored
        if pattern not in own:
            origin = dict(self.patterns()).get(pattern)
            hint = {
                "built-in": "that one is built in and stays",
                "vcluster": "that one is the vCluster's: pact blacklist remove PATTERN --vcluster NAME",
            }.get(origin or "", "pact blacklist list shows them")
            raise NotFoundError(f"blacklist: {pattern} is not a pattern of this node", hint=hint)
        await self._keep("blacklist.removed", author, pattern, session, tuple(p for p in own if p != pattern))

    async def _keep(self, kind: str, author: Author, pattern: str, session: str, own: tuple[str, ...]) -> None:
        entry = self._recorder.draft(kind, author, {"pattern": pattern}, session=session, message=pattern)
        await self._declared.step(msgspec.structs.replace(self._declared.now, ignored=own), entry)

    async def adopt(self, changes: Sequence[Change], is_theirs: Callable[[Change], bool]) -> tuple[Change, ...]:
        """The changes less those that are nobody's, which are declared from now on, on record: modules that the kernel
        loads when it needs them, and what the system sets up while it boots. `is_theirs`: that a person may have
        made it, or that somebody declared it."""
        theirs = [change for change in changes if not is_theirs(change)]
        if not theirs:
            return tuple(changes)
        self._declared.declare(theirs)
        for part in in_parts([msgspec.to_builtins(change) for change in theirs]):
            body: JsonObject = {"changes": part}
            await self._recorder.append(self._recorder.draft("drift.adopted", self._agent, body))
        return tuple(change for change in changes if change not in theirs)

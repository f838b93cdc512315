"""The declared state of a node and the steps that change it.

A step puts the new state on disk together with the entries that tell of it, then the entries into the spool. A crash
in between leaves them on disk, and the next start puts them there; so state and record can't part. Standing alone:
what is done to the node itself is `lifecycle`'s.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence

import msgspec

from pact_agent.recorder import Recorder
from pact_agent.records import Unnumbered, encode_value
from pact_agent.resolving import resolved
from pact_agent.saved import Active, Baseline, Overlaid, Saved, StateFiles
from pactsh.errors import PactError
from pactsh.model.delta import Change, Delta, declared
from pactsh.model.entry import JsonObject
from pactsh.model.overlay import completed

_log = logging.getLogger(__name__)
_DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")


class Declared:
    """What is declared of this node: baseline and deltas; and what is under way beside it. `changed` is called after
    each step."""

    def __init__(self, files: StateFiles, recorder: Recorder, changed: Callable[[], None] = lambda: None) -> None:
        self._files, self._recorder, self._changed = files, recorder, changed
        self._baseline, self._saved, self.problems = files.load()
        self._state: dict[str, dict[str, str]] | None = None
        self._recording = asyncio.Lock()

    @property
    def now(self) -> Saved:
        """All that is kept, as of the last step."""
        return self._saved

    @property
    def is_new(self) -> bool:
        """Whether nothing is left here of an earlier agent, or not all: the journal may know more."""
        return not self._saved.restored

    @property
    def boot(self) -> str:
        """The boot of the baseline, "" while there is none."""
        return self._baseline.boot

    @property
    def baseline(self) -> dict[str, dict[str, str]]:
        """What was found when nothing was declared."""
        return self._baseline.state

    def state(self) -> dict[str, dict[str, str]]:
        """Keys and values as they should be."""
        if self._state is None:
            self._state = declared(self.base(), self._saved.deltas)
        return self._state

    def base(self) -> dict[str, dict[str, str]]:
        """What is declared without this node's own deltas: the baseline, and the vCluster's overlay over it."""
        state = {name: dict(values) for name, values in self._baseline.state.items()}
        if (overlaid := self._saved.overlay) is not None:
            for name, wanted in overlaid.overlay.values.items():
                values, resolved = state.setdefault(name, {}), overlaid.resolved.get(name, {})
                values.update((k, resolved.get(k) or completed(name, v, values.get(k))) for k, v in wanted.items())
        return state

    def with_deltas(self, deltas: Sequence[Delta]) -> dict[str, dict[str, str]]:
        """The state as it would be with these deltas in place of those there are."""
        return declared(self.base(), deltas)

    def take_baseline(self, state: dict[str, dict[str, str]], boot: str) -> None:
        """Keep what was found as what is declared where nothing else is."""
        self._baseline = Baseline(boot, state)
        self._files.save_baseline(self._baseline)
        self._state = None

    def adopt(self, found: dict[str, dict[str, str]]) -> None:
        """What is nobody's change is declared as found: a dimension that is seen for the first time, settings that
        come and go with interfaces and modules."""
        baseline = self.baseline
        fresh = {name: values for name, values in found.items() if name not in baseline}
        if (settings := found.get("kernel")) is not None and (known := baseline.get("kernel")) is not None:
            both = {key: known.get(key, value) for key, value in settings.items() if not key.startswith("module:")}
            both |= {key: value for key, value in known.items() if key.startswith("module:")}
            if both != known:
                fresh["kernel"] = both
        if fresh:
            self.take_baseline(baseline | fresh, self.boot)
        self._resolve(found)

    def _resolve(self, found: dict[str, dict[str, str]]) -> None:
        """What an overlay's value leaves open is as it is found, once it has what is wanted."""
        overlaid = self._saved.overlay
        if overlaid is None:
            return
        known = resolved(overlaid.overlay.values, found, overlaid.resolved)
        if known != overlaid.resolved:
            self._take(msgspec.structs.replace(self._saved, overlay=Overlaid(overlaid.overlay, known)))

    def declare(self, changes: Sequence[Change]) -> None:
        """Declare what was found, where no delta says anything."""
        state = {name: dict(values) for name, values in self.baseline.items()}
        for change in changes:
            if change.after is None:
                state[change.dimension].pop(change.key, None)
            else:
                state[change.dimension][change.key] = change.after
        self.take_baseline(state, self.boot)

    def expired(self, now: float) -> tuple[str, ...]:
        """The ids of the deltas whose time is over; `now` in seconds since the epoch."""
        return tuple(delta.id for delta in self._saved.deltas if 0 < delta.expires <= now)

    async def step(self, saved: Saved, *drafts: Unnumbered) -> int:
        """Go to `saved`, which was made of `now` without waiting in between, and record `drafts`. Returns the spool's
        number of the last one (0: only the kernel's log has it). When they can't be recorded it is taken back, but for
        what others have changed meanwhile, and the error is raised."""
        before = self._saved
        after = msgspec.structs.replace(saved, unsent=(*before.unsent, *drafts))
        self._take(after)
        if not drafts:
            return 0
        # On its own: somebody who leaves meanwhile must not stop it between state and record.
        return await asyncio.shield(self._record(before, after, drafts))

    async def _record(self, before: Saved, after: Saved, drafts: Sequence[Unnumbered]) -> int:
        async with self._recording:
            number = 0
            try:
                for draft in drafts:
                    number = await self._recorder.append(draft)
                    self._saved = _numbered(self._saved, draft, number)
            except PactError:
                self._hold(_without(before, after, self._saved))
                self._settle(drafts)
                raise
            self._settle(drafts)
            return number

    def _settle(self, drafts: Sequence[Unnumbered]) -> None:
        """They are on record, or refused, and must go from what is kept: the next start records what is left there."""
        rest = tuple(d for d in self._saved.unsent if not any(d is settled for settled in drafts))
        self._saved = msgspec.structs.replace(self._saved, unsent=rest)
        self._keep()

    def _keep(self) -> None:
        """Have on disk what only says that something was done: where that fails, the next start finds it out."""
        try:
            self._files.save(self._saved)
        except PactError as error:
            _log.error("the node's state is not kept: %s", error.message)
        self._changed()

    def keep_emergency(self, active: Active | None) -> None:
        """Keep the node's emergency, or that there is none. Raises `PactError`."""
        self._take(msgspec.structs.replace(self._saved, emergency=active))

    def digests(self) -> set[str]:
        """Of all contents of files that are named here, and may be wanted again."""
        return {name.decode() for kept in (self._saved, self._baseline) for name in _DIGEST.findall(encode_value(kept))}

    async def finish(self) -> None:
        """Record what a step before the last end had left, but for what the spool had taken by then."""
        left = []
        for draft in self._saved.unsent:
            number = self._recorder.number_of(draft)
            self._saved = _numbered(self._saved, draft, number)
            left += [] if number else [draft]
        for draft in left:
            self._saved = _numbered(self._saved, draft, await self._recorder.append(draft))
        if self._saved.unsent:
            self._take(msgspec.structs.replace(self._saved, unsent=()))

    def _take(self, saved: Saved) -> None:
        self._files.save(saved)
        self._hold(saved)
        self._changed()

    def _hold(self, saved: Saved) -> None:
        if saved.deltas is not self._saved.deltas or saved.overlay is not self._saved.overlay:
            self._state = None
        self._saved = saved

    def sequenced(self, number: int, seq: int) -> None:
        """The journal has given entry `number` of the spool its own number."""
        known = next((id_ for id_, own in self._saved.numbers.items() if own == number), None)
        if known is None:
            return
        numbers = {id_: own for id_, own in self._saved.numbers.items() if id_ != known}
        deltas = tuple(msgspec.structs.replace(d, seq=seq) if d.id == known else d for d in self._saved.deltas)
        self._saved, self._state = msgspec.structs.replace(self._saved, numbers=numbers, deltas=deltas), None
        self._keep()  # on a full disk the entries of everybody else go on to the journal all the same


def _without(before: Saved, after: Saved, now: Saved) -> Saved:
    """`now` without what the step from `before` to `after` has changed. Numbers of entries stay known."""
    fields = {name: getattr(before, name) for name in Saved.__struct_fields__ if _differs(name, before, after)}
    if "deltas" in fields:
        seqs = {delta.id: delta.seq for delta in now.deltas}
        fields["deltas"] = tuple(msgspec.structs.replace(d, seq=seqs.get(d.id, d.seq)) for d in before.deltas)
    return msgspec.structs.replace(now, **fields)


def _differs(name: str, before: Saved, after: Saved) -> bool:
    return name not in {"unsent", "numbers"} and getattr(before, name) is not getattr(after, name)


def _numbered(saved: Saved, draft: Unnumbered, number: int) -> Saved:
    """Remember under which number of the spool a commit went, until the journal's is known."""
    id_ = (draft.delta or {}).get("id")
    if not number or not isinstance(id_, str):
        return saved
    return msgspec.structs.replace(saved, numbers={**saved.numbers, id_: number})


def delta_fields(delta: Delta) -> JsonObject:
    """The `delta` of a commit's entry."""
    return {"id": delta.id, "changes": [msgspec.to_builtins(change) for change in delta.changes]}

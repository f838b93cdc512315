"""Answers to the `call` frames about the node's configuration: what has drifted, committing it, undoing it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from pact_agent.clock import Clock, timestamp
from pact_agent.drift import is_undoable
from pact_agent.lifecycle import Lifecycle
from pact_agent.telling import counted
from pactsh.errors import UnreachableError, UsageError
from pactsh.model.delta import Change, Delta, Drifted
from pactsh.model.entry import Author

Item = dict[str, object]
Params = dict[str, object]


class Caller(msgspec.Struct, frozen=True):
    """Who asks, in which session ("" for none), and since when that one is connected (monotonic)."""

    author: Author
    session: str
    reached: float


Answer = Callable[[Caller, Params], Coroutine[object, object, Item]]

_WAIT_S = 10.0
ACTIONS = {
    "diff": "diff", "deltas": "diff", "commit": "commit", "rollback": "rollback", "extend": "commit",
    "blacklist": "diff", "blacklist_add": "blacklist", "blacklist_remove": "blacklist",
}  # fmt: skip


class Acknowledged(Protocol):
    """What tells whether the journal has an entry."""

    async def acknowledged(self, number: int, timeout_s: float) -> bool:
        """Whether it has entry `number` of the spool within `timeout_s`."""


class Past(Protocol):
    """The journal, as far as it is asked here."""

    async def deltas(self, node: str, as_of: int = 0) -> Sequence[Delta]:
        """What was committed on a node as of an entry. Raises `UnreachableError`, `UsageError` for one to come."""


class ConfigCalls:
    """Answers for an author, by method."""

    def __init__(
        self, node: str, lifecycle: Lifecycle, recorder: Acknowledged, clock: Clock, history: Past | None = None
    ) -> None:
        self._history = history
        self._node, self._lifecycle, self._recorder, self._clock = node, lifecycle, recorder, clock
        self._methods: dict[str, Answer] = {
            "diff": self._diff,
            "deltas": self._deltas,
            "commit": self._commit,
            "rollback": self._rollback,
            "extend": self._extend,
            "blacklist": self._blacklist,
            "blacklist_add": self._blacklist_add,
            "blacklist_remove": self._blacklist_remove,
        }

    async def answer(self, caller: Caller, method: str, params: Params) -> Item:
        """The item of `method`; raises what the lifecycle raises, and `UsageError` for odd parameters."""
        # Whole, whoever hangs up meanwhile: a rollback may be what cuts the line.
        return {"node": self._node, **await asyncio.shield(self._methods[method](caller, params))}

    async def _diff(self, _caller: Caller, _params: Params) -> Item:
        await self._lifecycle.look()
        return {
            "drift": [_drifted(item, self._lost(item.change)) for item in self._lifecycle.drift],
            "window_s": self._lifecycle.window_left_s(),
            "state": self._lifecycle.state(),
        }

    def _lost(self, change: Change) -> str:
        """Why a change can't be undone; "" when it can, as far as is known."""
        if not is_undoable(change):
            return "pact only reports it"
        return self._lifecycle.observers.lost(change.dimension, change.before)

    async def _deltas(self, _caller: Caller, params: Params) -> Item:
        deltas = self._lifecycle.deltas
        item: Item = {"deltas": [_delta(delta) for delta in deltas]}
        if params.get("contents") is True:
            values = [c.after for d in deltas for c in d.changes if c.dimension == "files" and c.after is not None]
            item["contents"] = await self._lifecycle.observers.texts(values)
        return item

    async def _commit(self, caller: Caller, params: Params) -> Item:
        ttl = params.get("ttl")
        only = params.get("only") or []
        if not isinstance(only, list) or not all(isinstance(name, str) for name in only):
            raise UsageError("commit: only: expected a list of DIMENSION:KEY")
        delta, number = await self._lifecycle.commit(
            caller.author,
            str(params.get("message") or ""),
            session=caller.session,
            reached=caller.reached,
            only=only,
            ttl=None if ttl is None else _number(ttl, "ttl"),
            expected=_expected(params),
        )
        if number and params.get("wait") is not False:
            await self._recorder.acknowledged(number, _WAIT_S)
        made = next((known for known in self._lifecycle.deltas if known.id == delta.id), delta)
        return {"seq": made.seq or None, "changes": _changes(delta.changes)}

    async def _rollback(self, caller: Caller, params: Params) -> Item:
        to = _number(params.get("to") or 0, "to")
        as_of = await self._as_of(to) if to else None
        if params.get("dry_run") is True:
            await self._lifecycle.look()
            changes = self._lifecycle.to_undo(to, as_of).changes
            undone = [change for change in changes if is_undoable(change)]
            reported = [change for change in changes if not is_undoable(change)]
            return {"to": to or None, "dry_run": True, "undone": _changes(undone), "reported": _changes(reported)}
        overlay = self._lifecycle.overlay()["version"] if to else 0
        done = await self._lifecycle.rollback(
            caller.author, to=to, session=caller.session, as_of=as_of, expected=_expected(params)
        )
        return {
            "to": to or None, "dry_run": False, "undone": _changes(done.done), "reported": _changes(done.reported),
            "overlay": overlay or None,
        }  # fmt: skip

    async def _as_of(self, to: int) -> Sequence[Delta] | None:
        """What was committed here as of entry `to`; None where nobody can be asked: then what is here has to do."""
        try:
            return None if self._history is None else await self._history.deltas(self._node, to)
        except UnreachableError:
            return None

    async def settle(self, caller: Caller, params: Params) -> None:
        """What becomes of the drift when an emergency ends: `commit` (a message) or `rollback`. Raises `UsageError`
        when that isn't said and something has drifted, and what committing and undoing raise."""
        message, undo = params.get("commit"), params.get("rollback") is True
        await self._lifecycle.look()
        count = len(self._lifecycle.drift)
        if (message is not None) == undo and (count or undo):
            raise UsageError(
                f"emergency: {counted(count)} not committed: say what becomes of {'it' if count == 1 else 'them'}",
                hint="--end --commit -m MSG keeps them, --end --rollback undoes them; pact diff shows them",
            )
        if undo and any(is_undoable(item.change) for item in self._lifecycle.drift):
            await self._lifecycle.rollback(caller.author, session=caller.session, expected=_expected(params))
        elif count and not undo:
            await self._lifecycle.commit(
                caller.author, str(message), session=caller.session, reached=caller.reached, expected=_expected(params)
            )

    async def concerned(self, caller: Caller, method: str, params: Params) -> dict[str, str | None] | None:
        """The values that a rollback would undo, or the end of an emergency commit or undo, by name: what somebody who
        is asked about it agrees to. None for what is about no values. A commit that an emergency ends with is refused
        as one that is asked for by itself."""
        if method not in {"rollback", "emergency_end"}:
            return None
        to = _number(params.get("to") or 0, "to") if method == "rollback" else 0
        as_of = await self._as_of(to) if to else None
        await self._lifecycle.look()
        if method == "emergency_end" and (message := params.get("commit")) is not None and self._lifecycle.drift:
            chosen = await self._lifecycle.propose(str(message), reached=caller.reached)
            return {item.change.name: item.change.after for item in chosen}
        return {change.name: change.after for change in self._lifecycle.to_undo(to, as_of).changes}

    async def _extend(self, caller: Caller, params: Params) -> Item:
        minutes = _number(params.get("minutes"), "minutes")
        left_s = await self._lifecycle.extend(caller.author, minutes, session=caller.session)
        return {"minutes": minutes, "left_s": left_s, "ends": timestamp(self._clock.now() + timedelta(seconds=left_s))}

    async def _blacklist(self, _caller: Caller, _params: Params) -> Item:
        patterns = self._lifecycle.noise.patterns()
        return {"patterns": [{"pattern": pattern, "origin": origin} for pattern, origin in patterns]}

    async def _blacklist_add(self, caller: Caller, params: Params) -> Item:
        before = len(self._lifecycle.drift)
        await self._lifecycle.ignore(
            caller.author, str(params.get("pattern") or ""), session=caller.session, reached=caller.reached
        )
        return {"covered": max(0, before - len(self._lifecycle.drift))}

    async def _blacklist_remove(self, caller: Caller, params: Params) -> Item:
        pattern = str(params.get("pattern") or "")
        await self._lifecycle.ignore(caller.author, pattern, session=caller.session, end=True)
        return {}


def _number(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise UsageError(f"{name}: expected a number")
    return value


def _changes(changes: Iterable[Change]) -> list[object]:
    return [msgspec.to_builtins(change) for change in changes]


def _drifted(item: Drifted, lost: str) -> Item:
    change = item.change
    return {
        "dimension": change.dimension,
        "key": change.key,
        "declared": change.before,
        "actual": change.after,
        "by": item.by or None,
        "since": item.since,
        "lost": lost or None,
    }


def _delta(delta: Delta) -> Item:
    return {
        "seq": delta.seq or None,
        "by": delta.by,
        "time": delta.time,
        "message": delta.message,
        "expires": delta.expires or None,
        "changes": _changes(delta.changes),
    }


def _expected(params: Params) -> dict[str, object] | None:
    """What a second person has agreed to, where one has."""
    expected = params.get("expected")
    return expected if isinstance(expected, dict) else None

"""Deeds: what pact has lattice and OpenCHAMI do, from the journal's yes to the last outcome on record.

Nobody is called before the journal has decided and put the intent on record; without a journal nothing is done. Then
each target is done, a few at a time, told as it comes, and its outcome put on record. What ^C leaves open is put on
record as that.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pactsh.cli.interrupts import INTERRUPTED, telling
from pactsh.cli.progressline import ProgressLine, is_shown
from pactsh.errors import PactError, UnreachableError, error_of

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.render import Out
    from pactsh.delegates.answer import Answer
    from pactsh.delegates.deeds import Systems
    from pactsh.model.approval import Approval
    from pactsh.model.entry import JsonObject
    from pactsh.rpc import pact_pb2 as pb
    from pactsh.rpc.client import Journal

T = TypeVar("T")

RETURN = "return"
"""What waiting until a node is back is called among the results."""

_AT_ONCE = {"reboot": 32, "reimage": 32}  # these take minutes each
_AT_ONCE_ELSE = 8
_LIMITED_S, _LIMITED_PAUSE_S = 600.0, 3.0  # where lattice limits the calls of a minute
_GRACE_S = 2.0  # after ^C, in which what is under way may still end
_AGAIN_S = 0.5
_NOT_KNOWN = "interrupted: what came of it is not known"


@dataclass(frozen=True, slots=True)
class Deed:
    """What is to be done to which targets; the rest as `Delegation/Begin` takes it."""

    action: str
    targets: tuple[str, ...]
    vcluster: str = ""
    facts: JsonObject = field(default_factory=dict)


class Result(msgspec.Struct, frozen=True):
    """What came of one target.

    `result`: `done`, `failed`, `interrupted` (what came of it is not known), `not-done`, or `would` (a dry run).
    `text` is what the other system said, or why it is so; `recorded`: whether that is on record.
    """

    action: str
    target: str
    result: str
    status: int = 0
    text: str = ""
    details: dict[str, object] = {}
    kind: str = ""
    hint: str = ""
    recorded: bool = True

    @property
    def exit_status(self) -> int:
        """That of what went wrong, the outcome that is not on record included."""
        return self.status if self.recorded else max(self.status, UnreachableError.code)


class Results(msgspec.Struct, frozen=True):
    """All of them, as one document."""

    results: tuple[Result, ...]

    @property
    def exit_status(self) -> int:
        """The worst."""
        return max((result.exit_status for result in self.results), default=0)


def carry_out(
    ctx: Context, action: str, targets: Sequence[str], *, vcluster: str = "", facts: JsonObject | None = None,
    dry_run: bool = False,
) -> Results | Iterator[Result]:  # fmt: skip
    """Have it decided, do it, and put it on record; what a command's `run` returns, and `render` shows.

    Raises what the journal says of who may not, `UnreachableError` without a journal, `SettledError` where a second
    person has to agree first, and, of a target that is alone, what went wrong with it. `dry_run`: only decide.
    """
    deed = Deed(action, tuple(targets), vcluster, facts or {})
    return as_told(ctx, rehearsed(ctx, deed) if dry_run else done(ctx, deed))


def as_told(ctx: Context, results: Iterator[Result]) -> Results | Iterator[Result]:
    """One by one as they come, but with JSON one document."""
    return Results(tuple(results)) if ctx.json else results


def render(result: Results | Result, out: Out) -> None:
    """A line each, of what was done; what went wrong has been told on standard error."""
    for one in result.results if isinstance(result, Results) else (result,):
        if one.result in {"done", "would"}:
            out.line(one.text)


def decided(ctx: Context, deed: Deed) -> pb.DelegationBegun:
    """What the journal says of it, of which nothing is put on record; raises what it says of who may not."""
    from pactsh.cli.remote import ask

    return ask(ctx, lambda journal: _begun(journal, deed, dry_run=True))


def rehearsed(ctx: Context, deed: Deed, details: Mapping[str, JsonObject] = {}) -> Iterator[Result]:
    """Only decide, and say what would be called; `details` of each target come along."""
    begun = decided(ctx, deed)
    if begun.approval_needed:
        ctx.notice(f"A second person would have to agree (two-person policy on vcluster: {begun.vcluster})")
    for target in deed.targets:
        text = f"Would {deed.action.replace('_', ' ')} {target} ({_CALLS[deed.action]})"
        yield Result(deed.action, target, "would", text=text, details={**details.get(target, {})})


def done(ctx: Context, deed: Deed, *, raising: bool | None = None) -> Iterator[Result]:
    """Do it: results as they come. `raising`: what goes wrong is raised and not told; by default of one target."""
    alone = len(deed.targets) == 1 if raising is None else raising
    for result in _results(ctx, deed):
        if alone and result.result == "failed" and result.recorded:
            raise error_of(result.kind, result.text, result.hint)
        if not ctx.json:
            _tell(ctx, result)
        yield result


def _results(ctx: Context, deed: Deed) -> Iterator[Result]:
    """Have the intent put on record, once a second person has agreed where one has to; then it is done, here or, where
    a second person had to agree, by the journal."""
    from pactsh.cli.systems import systems

    configured = systems(ctx.settings)
    begun = _uninterrupted(ctx, lambda journal: _begun(journal, deed))
    if begun.approval_needed:
        from pactsh.cli.pending import agreed, facts_of

        approval = agreed(ctx, deed, begun)
        if begun.by_journal:
            yield from _by_journal(ctx, deed, approval)
            return
        asked = replace(deed, facts=facts_of(approval))
        begun = _uninterrupted(ctx, lambda journal: _begun(journal, asked, approval=approval.id))
    yield from _Conductor(ctx, deed, begun, configured).results()


def _by_journal(ctx: Context, deed: Deed, approval: Approval) -> Iterator[Result]:
    """What the journal has done, as its entries tell."""
    from pactsh.cli.remote import ask

    most = 100 + 2 * len(deed.targets)
    found = {}
    for entry in ask(ctx, lambda journal: journal.list(most, type="delegation.done")):
        body = entry.body or {}
        if body.get("id") == approval.id:
            found[str(body.get("target"))] = (entry.message, body.get("status"), body.get("details"))
    for target in deed.targets:
        text, status, details = found.get(target, (approval.message, approval.status, None))
        kept: dict[str, object] = {**details} if isinstance(details, dict) else {}
        if status == 0:
            yield Result(deed.action, target, "done", 0, text, kept)
        else:
            code = status if isinstance(status, int) else PactError.code
            kind, hint = (str(kept.get(name) or "") for name in ("kind", "hint"))
            yield Result(deed.action, target, "failed", code, text, kept, kind or approval.kind, hint)


async def _begun(journal: Journal, deed: Deed, *, dry_run: bool = False, approval: str = "") -> pb.DelegationBegun:
    return await journal.begin_delegation(
        deed.action, deed.targets, vcluster=deed.vcluster, facts=json.dumps(deed.facts).encode(), approval=approval,
        dry_run=dry_run,
    )  # fmt: skip


def _tell(ctx: Context, result: Result) -> None:
    """On standard error, what went wrong."""
    if result.result not in {"done", "would"}:
        text = result.text if result.text.startswith(result.target) else f"{result.target}: {result.text}"
        ctx.notice(f"pact: {result.action.replace('_', ' ')}: {text}")
        if result.hint:
            ctx.notice(f"hint: {result.hint}")


class _Conductor:
    """Of one deed that is on record: does its targets in threads, a few at a time, and records what came of each."""

    def __init__(self, ctx: Context, deed: Deed, begun: pb.DelegationBegun, systems: Systems) -> None:
        self._ctx, self._deed, self._begun, self._systems = ctx, deed, begun, systems
        self._waiting, self._running = list(deed.targets), dict[str, None]()
        # Its `put` may be called in a signal handler, whatever that has interrupted.
        self._said: queue.SimpleQueue[Result | tuple[str, str] | None] = queue.SimpleQueue()
        self._stopped_at: float | None = None
        self._interrupted = threading.Event()
        self._lost = ""  # why outcomes can't be put on record any more
        self._line = ProgressLine(shown=is_shown(ctx.environ))

    def results(self) -> Iterator[Result]:
        """What came of the targets, as they end."""
        with telling(self._interrupt):
            try:
                while (self._waiting and not self._is_over()) or self._running:
                    self._start()
                    fresh = self._next()
                    if fresh is None:
                        break
                    yield from self._kept(fresh)
                yield from self._kept(self._left())
            finally:  # nobody reads our output any more: it is on record all the same
                self._line.clear()
                self._kept(self._left())

    def _interrupt(self) -> None:
        self._stopped_at = time.monotonic()
        self._interrupted.set()
        self._said.put(None)

    def _is_over(self) -> bool:
        return self._stopped_at is not None or bool(self._lost)

    def _start(self) -> None:
        most = _AT_ONCE.get(self._deed.action, _AT_ONCE_ELSE)
        while self._waiting and len(self._running) < most and not self._is_over():
            target = self._waiting.pop(0)
            self._running[target] = None
            threading.Thread(target=self._work, args=(target,), daemon=True, name=f"deed {target}").start()
        self._draw()

    def _work(self, target: str) -> None:
        deed = self._deed
        try:
            answer = self._performed(target)
            self._said.put(Result(deed.action, target, "done", 0, answer.text, answer.details))
        except PactError as error:
            self._said.put(self._failed(target, error))
        except Exception as error:  # noqa: BLE001  the top of a thread: it must not end without a word
            self._said.put(self._failed(target, PactError(f"internal error: {type(error).__name__}: {error}")))

    def _performed(self, target: str) -> Answer:
        """Do it; again where the other system turned it away since it was asked too often."""
        from pactsh.delegates.deeds import perform
        from pactsh.delegates.limited import LimitedError

        until = time.monotonic() + _LIMITED_S
        while True:
            try:
                return perform(
                    self._systems, self._deed.action, target, self._deed.facts, user=self._begun.principal,
                    timeout_s=self._ctx.settings.timeout, tick=lambda text: self._said.put((target, text)),
                )  # fmt: skip
            except LimitedError as error:
                if time.monotonic() >= until or self._is_over():
                    raise
                self._said.put((target, f"{error.message}; trying again"))
                self._interrupted.wait(_LIMITED_PAUSE_S)

    def _failed(self, target: str, error: PactError) -> Result:
        return Result(self._deed.action, target, "failed", error.code, error.message, {}, error.kind, error.hint)

    def _next(self) -> list[Result] | None:
        """Those that have ended since, at least one; None where nothing more is waited for."""
        found: list[Result] = []
        while True:
            try:
                said = self._said.get(timeout=0 if found else self._patience_s())
            except queue.Empty:
                return found or None
            if isinstance(said, Result):
                self._running.pop(said.target, None)
                found.append(said)
            elif said is not None:
                self._draw(said[1])
            elif not self._running:
                return found or None

    def _patience_s(self) -> float | None:
        if self._stopped_at is None:
            return None
        return max(0.0, self._stopped_at + _GRACE_S - time.monotonic())

    def _left(self) -> list[Result]:
        """What was under way when nobody waited any more, and what was not begun."""
        action, code = self._deed.action, UnreachableError.code if self._stopped_at is None else INTERRUPTED
        why = "not begun: interrupted" if self._stopped_at is not None else "not begun: what is done is not on record"
        left = [Result(action, target, "interrupted", INTERRUPTED, _NOT_KNOWN) for target in self._running]
        left += [Result(action, target, "not-done", code, why) for target in self._waiting]
        self._running.clear()
        self._waiting.clear()
        return left

    def _draw(self, text: str = "") -> None:
        total = len(self._deed.targets)
        if text:
            self._line.tick(text)
        elif total > 1:
            count = total - len(self._waiting) - len(self._running)
            self._line.bar(count, total)

    # -- on record

    def _kept(self, results: list[Result]) -> list[Result]:
        """The results, once they are on record, or it has turned out that they can't be."""
        self._line.clear()
        left = list(results)
        was_stopped, until = self._stopped_at, time.monotonic() + self._ctx.settings.timeout
        while left and not self._lost:
            try:
                _uninterrupted(self._ctx, lambda journal: self._end(journal, left))
            except UnreachableError as error:
                if time.monotonic() >= until or self._stopped_at != was_stopped:
                    self._lost = error.message
                    break
                self._line.draw(f"pact: {error.message}; trying again to put on record what was done")
                self._ctx.sleep(_AGAIN_S)
            except PactError as error:
                self._lost = error.message
        self._line.clear()
        if left:
            names = ", ".join(result.target for result in left)
            self._ctx.notice(
                f"pact: {self._deed.action}: NOT ON RECORD: what came of it on {names}: {self._lost}"
                f" (begun as {self._begun.id})"
            )
        missing = {result.target for result in left}
        return [msgspec.structs.replace(r, recorded=False) if r.target in missing else r for r in results]

    async def _end(self, journal: Journal, left: list[Result]) -> None:
        while left:
            one = left[0]
            details = json.dumps(one.details).encode()
            await journal.end_delegation(
                self._begun.id, one.target, status=one.status, answer=one.text, details=details
            )
            left.pop(0)


def _uninterrupted(ctx: Context, question: Callable[[Journal], Awaitable[T]]) -> T:
    """Ask the journal; ^C does not break it off, or nobody would know whether it is on record."""

    async def run() -> T:
        async with ctx.journal() as journal:
            return await question(journal)

    with asyncio.Runner() as runner:
        return runner.run(run())


_CALLS = {
    "drain": "lattice: NodeService/DrainNode", "undrain": "lattice: NodeService/UndrainNode",
    "cordon": "lattice: NodeService/DisableNode", "uncordon": "lattice: NodeService/EnableNode",
    "job_cancel": "lattice: AllocationService/Cancel", "dag_cancel": "lattice: AllocationService/CancelDag",
    "backup_create": "lattice: AdminService/CreateBackup", "backup_restore": "lattice: AdminService/RestoreBackup",
    "reboot": "OpenCHAMI: power", "reimage": "OpenCHAMI: boot and power",
}  # fmt: skip

"""One line, from its text to its outcome: parse, expand, decide, record, run, record.

The order is the product's promise (DESIGN.md section 3): nothing runs before its intent is
durable in the spool, a refused part refuses the whole line, refusals are recorded too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import msgspec

from pact_agent.aside import aside
from pact_agent.clock import Clock
from pact_agent.deciding import Action, Decider
from pact_agent.io import Io, Refusal, Sink
from pact_agent.learning import learned
from pact_agent.linefacts import intent_body, stage_facts
from pact_agent.listing import EXPANSION_LIMIT_S, expansion_ends
from pact_agent.node import Node
from pact_agent.pipeline import LineRun, Pipelines, Ran, stopped
from pact_agent.prepare import Prepared, prepare_pipeline
from pact_agent.recorder import Recorder
from pact_agent.redaction import without_token
from pact_agent.refusing import error_in, fault, refusal_of, unrecorded
from pact_agent.secondperson import SecondPerson, changed_since
from pact_agent.session import Session
from pact_agent.watching import Watch
from pactsh import language
from pactsh.errors import PactError, UnreachableError
from pactsh.model.approval import Approval
from pactsh.policy.decision import SECRET_ARGUMENT, Decision, StageDecision
from pactsh.policy.rbac import CHANGE_COMMANDS

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

_STRICT_TIMEOUT_S = 10.0
_MAX_LINE = 64 << 10
_CHANGED = Refusal(
    4, "approval-changed", "two-person", "it would run something else than what was approved", "ask for it again"
)


class Outcome(msgspec.Struct, frozen=True):
    """How a line ended. `end` asks the caller to close the session; `unread` is leftover typed input."""

    status: int
    duration_ms: int = 0
    end: bool = False
    unread: bytes = b""
    refused: bool = False


class Current(msgspec.Struct, frozen=True):
    """A line on its way: who typed it, how it was parsed and what was decided."""

    session: Session
    text: str
    action: Action
    id: str
    line: language.Line
    decision: Decision
    approval: Approval | None = None


class Configuration(Protocol):
    """What has to know of lines that change the node."""

    def acting(self, principal: str, dimension: str | None) -> AbstractContextManager[None]:
        """While it runs: what changes in the node is this person's."""

    async def look(self, names: Collection[str] | None = None) -> None:
        """See now what it has changed."""


class Executor:
    """Runs lines for sessions. `decider` says what may run."""

    def __init__(
        self,
        node: Node,
        decider: Decider,
        pipelines: Pipelines,
        recorder: Recorder,
        clock: Clock,
        configuration: Configuration,
        second_person: SecondPerson,
    ) -> None:
        self._node, self.decider, self._pipelines = node, decider, pipelines
        self._recorder, self._clock = recorder, clock
        self._configuration, self._second_person = configuration, second_person

    # -- running

    async def run(
        self,
        session: Session,
        text: str,
        io: Io,
        sink: Sink,
        *,
        action: Action = "shell",
        approved: Approval | None = None,
    ) -> Outcome:
        """Run one line. Everything that can go wrong with it ends in an `Outcome`, recorded, and told to `sink`.

        From here on `session.running` takes signals: one that comes before the first process ends the line.
        `approved`: a second person has agreed to it already.
        """
        began = session.active = self._clock.monotonic()
        session.lines += 1
        current = session.running = LineRun()
        try:
            try:
                parsed, prepared = await self.decider.prepare(session, text)
                if not parsed.items:
                    return Outcome(session.last_status)
                decided = await self.decider.decide(session, text, action, prepared)
            except (language.LineError, PactError) as error:
                return await self._refuse(session, text, action, refusal_of(error), sink)
            except Exception as error:  # noqa: BLE001  the top of a line: no fault of ours leaves it without an entry
                return await self._refuse(session, text, action, fault(error), sink)
            if (objection := decided.objection) is not None:
                learn = learned(decided.decision, decided.request, self._node.policy())
                return await self._refuse(session, text, action, objection, sink, learn)
            number = f"{session.id}-{session.lines}"
            line = Current(session, text, action, number, parsed, decided.decision, approved)
            if approved is not None and changed_since(approved, decided.decision):
                return await self._refuse(session, text, action, _CHANGED, sink)
            if decided.approval and approved is None:
                return await self._with_second_person(line, prepared, io, sink, current)
            if decided.decision.class_ != CHANGE_COMMANDS:
                return await self._run_recorded(line, prepared, io, sink, current, began)
            return await self._changing(line, self._run_recorded(line, prepared, io, sink, current, began))
        finally:
            session.running = None
            session.active = self._clock.monotonic()

    async def _with_second_person(
        self, line: Current, prepared: tuple[Prepared, ...], io: Io, sink: Sink, current: LineRun
    ) -> Outcome:
        """Wait for one, then run the line; or leave it pending."""
        session = line.session
        try:
            agreed = await self._second_person.wait_line(session, line.text, line.action, line.decision, sink, current)
        except PactError as error:
            return await self._refuse(session, line.text, line.action, refusal_of(error), sink)
        if isinstance(agreed, Refusal):
            return await self._refuse(session, line.text, line.action, agreed, sink)
        if agreed is None:
            session.last_status = 0
            return Outcome(0)
        line, began = msgspec.structs.replace(line, approval=agreed), self._clock.monotonic()
        status: PactError | int = PactError.code
        try:
            anew = await self._decided_anew(line, agreed)
            if isinstance(anew, Refusal):
                status = error_in(anew)
                return await self._refuse(session, line.text, line.action, anew, sink)
            line, prepared = anew
            running = self._run_recorded(line, prepared, io, sink, current, began)
            outcome = await self._changing(line, running)
            status = outcome.status
        finally:
            await asyncio.shield(self._second_person.finish(agreed, status))
        return outcome

    async def _decided_anew(self, line: Current, agreed: Approval) -> Refusal | tuple[Current, tuple[Prepared, ...]]:
        """The line as it is decided after the wait, or why it may not run any more: who may do what, and what it would
        do, can have changed meanwhile."""
        try:
            _, prepared = await self.decider.prepare(line.session, line.text)
            decided = await self.decider.decide(line.session, line.text, line.action, prepared)
        except (language.LineError, PactError) as error:
            return refusal_of(error)
        if decided.objection is not None:
            return decided.objection
        if changed_since(agreed, decided.decision):
            return _CHANGED
        return msgspec.structs.replace(line, decision=decided.decision), prepared

    async def _changing(self, line: Current, running: Awaitable[Outcome]) -> Outcome:
        """Run a line of class `change`, and see what it has changed before anything else may."""
        with self._configuration.acting(line.session.identity.principal, line.decision.dimension):
            outcome = await running
            try:
                await self._configuration.look()
            except Exception:  # noqa: BLE001  the line has run and has its outcome, whatever is wrong in here
                _log.exception("after line %s", line.id)
        return outcome

    async def _run_recorded(
        self, line: Current, prepared: tuple[Prepared, ...], io: Io, sink: Sink, current: LineRun, began: float
    ) -> Outcome:
        """Record, run, record: an intent on record gets its outcome, however the line ends."""
        session = line.session
        try:
            number = await self._record_intent(line)
        except UnreachableError as error:  # it is on record, only not confirmed
            session.last_status = error.code
            await sink.refused(unrecorded(error))
            return Outcome(error.code, refused=True)
        except PactError as error:
            return await self._refuse(session, line.text, line.action, unrecorded(error), sink)
        if number == 0 and (objection := await self._node.objection(line.decision, self._recorder.level())) is not None:
            await self._never_ran(line, objection.status, objection.reason)
            session.last_status = objection.status
            await sink.refused(objection)
            return Outcome(objection.status, refused=True)
        if number == 0:
            sink.notice("this node's disk takes no record: this line is recorded in the kernel's log", "warning")
        try:
            ran = await self._run_items(line, prepared, io, sink, current)
        except ConnectionError:
            ran = stopped("HUP", Ran(0))
        except PactError as error:
            _log.error("line %s: %s", line.id, error.message)
            sink.notice(error.message, "error")
            ran = Ran(error.code, (), error.message)
        except Exception as error:  # noqa: BLE001  what follows is its entry
            _log.exception("line %s", line.id)
            sink.notice("this line failed for a fault of pact's: please report it", "error")
            ran = Ran(PactError.code, (), f"fault: {type(error).__name__}")
        except BaseException:
            await asyncio.shield(self._record_outcome(line, stopped("KILL", Ran(0)), began, sink))
            raise
        return await self._record_outcome(line, ran, began, sink)

    async def _refuse(
        self,
        session: Session,
        text: str,
        action: Action,
        refusal: Refusal,
        sink: Sink,
        learn: JsonObject | None = None,
    ) -> Outcome:
        """Record a refusal, then tell it. One that can't be recorded is a refusal all the same."""
        known = refusal.span[0] if refusal.span and refusal.code == SECRET_ARGUMENT else None
        body: JsonObject = {
            "line": without_token(text, known)[:_MAX_LINE],
            "action": action,
            "status": refusal.status,
            "code": refusal.code,
            "rule": refusal.rule,
            "reason": refusal.reason,
            "span": list(refusal.span) if refusal.span else None,
        }
        if learn is not None:
            body["learn"] = learn
        try:
            await self._recorder.write("refusal", session.identity, body, session=session.id)
        except PactError as error:
            _log.error("refusal not recorded: %s", error.message)
        session.last_status = refusal.status
        await sink.refused(refusal)
        return Outcome(refusal.status, refused=True)

    async def _never_ran(self, line: Current, status: int, why: str) -> None:
        """The outcome of a line that stopped after its intent."""
        body: JsonObject = {"id": line.id, "status": status, "statuses": [], "signal": None, "duration_ms": 0}
        session = line.session
        await self._recorder.write(
            "outcome", session.identity, body | {"reason": f"not run: {why}"}, session=session.id
        )

    async def _record_intent(self, line: Current) -> int:
        """Record that the line will run; the number of its entry, 0 when only the kernel's log has it."""
        session, decision = line.session, line.decision
        body = intent_body(
            line.id,
            line.text,
            line.action,
            decision,
            session.cwd,
            degraded=self._node.degraded(),
            policy_asked=self.decider.policy_asked(),
        )
        if line.approval is not None:
            body |= {"approval": line.approval.id, "approved_by": line.approval.by}
        number = await self._recorder.write("intent", session.identity, body, session=session.id)
        try:
            await self._confirmed(number)
        except PactError as error:
            await self._never_ran(line, error.code, "not confirmed")
            raise
        return number

    async def _confirmed(self, number: int) -> None:
        """With `audit = "strict"` wait for the journal to have entry `number`; raises UnreachableError.

        One that only the kernel's log has (0) waits for nobody: by then a platform admin's emergency is all there is.
        """
        if (
            number
            and self._node.policy().audit == "strict"
            and not await self._recorder.acknowledged(number, _STRICT_TIMEOUT_S)
        ):
            raise UnreachableError(
                "the journal has not confirmed this line, and policy requires it (audit = strict)",
                hint="the line was not run; is the journal reachable? `pact status`",
            )

    async def _record_outcome(self, line: Current, outcome: Ran, began: float, sink: Sink) -> Outcome:
        session = line.session
        duration = int((self._clock.monotonic() - began) * 1000)
        session.last_status = outcome.status
        body: JsonObject = {
            "id": line.id,
            "status": outcome.status,
            "statuses": list(outcome.statuses),
            "signal": outcome.status - 128 if outcome.status > 128 else None,
            "duration_ms": duration,
            "reason": outcome.reason,
        }
        try:
            await self._recorder.write("outcome", session.identity, body, session=session.id)
        except PactError as error:
            sink.notice(f"the outcome of this line could not be recorded: {error.message}", "warning")
        return Outcome(outcome.status, duration, outcome.end, outcome.unread)

    async def _run_items(
        self, line: Current, prepared: tuple[Prepared, ...], io: Io, sink: Sink, current: LineRun
    ) -> Ran:
        """Run the pipelines that `;`, `&&` and `||` select; an interrupt ends the line, as in bash."""
        ran = Ran(status=line.session.last_status)
        offset = 0
        for item, expected in zip(line.line.items, prepared, strict=True):
            decided = line.decision.stages[offset : offset + len(expected.stages)]
            offset += len(expected.stages)
            if (item.op == "&&" and ran.status != 0) or (item.op == "||" and ran.status == 0):
                continue
            if current.stopped is not None:
                return stopped(current.stopped, ran)
            line.session.last_status = ran.status
            actual, decision = await self._again(line, item, expected, first=offset == len(expected.stages))
            if isinstance(decision, Refusal):
                rest = msgspec.structs.replace(decision, rest=True)
                await self._refuse(line.session, line.text, line.action, rest, sink)
                return Ran(decision.status, (), "refused", unread=ran.unread)
            if decision is not None:
                decided = decision.stages
            if decided[0].inner:
                ran = await self._watch(line, actual, decided[0], io).run(sink, current, ran)
            else:
                ran = await self._pipelines.run(line.session, line.action, actual, decided, io, sink, current, ran)
            if ran.end or ran.status == 130:
                break
        return ran

    def _watch(self, line: Current, prepared: Prepared, decision: StageDecision, io: Io) -> Watch:
        async def objection() -> Refusal | None:
            return (await self.decider.decide(line.session, line.text, line.action, (prepared,))).objection

        inner = prepared.stages[0].inner
        return Watch(self._pipelines, line.session, line.action, decision, inner, io, self._clock, objection)

    async def _again(
        self, line: Current, item: language.Item, expected: Prepared, *, first: bool
    ) -> tuple[Prepared, Decision | Refusal | None]:
        """Expand a pipeline with what is true now; decide and record again where its argv has changed."""
        session = line.session
        if first and session.cwd == expected.cwd:
            return expected, None
        values = self.decider.variables_of(session)
        try:
            arguments = (item, values, session.cwd, self._node.secrets(), expansion_ends())
            actual = await aside(EXPANSION_LIMIT_S, "expanding the line", lambda: prepare_pipeline(*arguments))
        except (language.LineError, PactError) as error:
            return expected, refusal_of(error)
        if actual.stages == expected.stages and actual.cwd == expected.cwd:
            return actual, None
        decided = await self.decider.decide(session, line.text, line.action, (actual,))
        if decided.objection is not None:
            return actual, decided.objection
        if decided.approval:  # what the second person has seen is not what would run
            return actual, _CHANGED
        body: JsonObject = {"id": line.id, "stages": stage_facts(decided.decision), "cwd": session.cwd}
        try:
            await self._confirmed(await self._recorder.write("amend", session.identity, body, session=session.id))
        except PactError as error:
            return actual, unrecorded(error)
        return actual, decided.decision

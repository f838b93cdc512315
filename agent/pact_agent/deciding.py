"""What is decided about a line: by the whitelist, the roles, the node's own state, and the site's policy."""

from __future__ import annotations

import asyncio
import gc
from typing import Literal

import msgspec

from pact_agent.aside import aside, busy
from pact_agent.io import Refusal
from pact_agent.judging import Judging
from pact_agent.linefacts import first_uses_status
from pact_agent.listing import EXPANSION_LIMIT_S
from pact_agent.memory import trim_heap
from pact_agent.node import Node
from pact_agent.prepare import Prepared, needs_file_system, prepare_line, variables
from pact_agent.recorder import Recorder
from pact_agent.refusing import fault, refusal_in, refusal_of
from pact_agent.session import Session
from pactsh import language
from pactsh.errors import PactError
from pactsh.policy.decision import Decision, Request, decide
from pactsh.policy.question import command_facts
from pactsh.policy.rbac import CHANGE_COMMANDS

Action = Literal["shell", "exec"]


class Decided(msgspec.Struct, frozen=True):
    """What is decided about an expanded line: why it doesn't run, if it doesn't; `approval`: a second person has to
    agree first."""

    request: Request
    decision: Decision
    objection: Refusal | None
    approval: bool = False


class Decider:
    """For the lines of one node."""

    def __init__(self, node: Node, recorder: Recorder, judging: Judging) -> None:
        self._node, self._recorder, self._judging = node, recorder, judging
        self._expanded = False
        self._explaining: dict[str, asyncio.Lock] = {}

    def policy_asked(self) -> bool:
        """Whether the site's own policy decides as well."""
        return self._judging.in_force()

    def _request(self, text: str, action: Action, cwd: str, prepared: tuple[Prepared, ...]) -> Request:
        """The decider's input for an expanded line."""
        stages = tuple(stage.request(n) for n, item in enumerate(prepared) for stage in item.stages)
        return Request(line=text, stages=stages, action=action, cwd=cwd)

    async def explain(self, session: Session, text: str) -> Decision | Refusal:
        """What would be decided about `text`, without running or recording it."""
        # One at a time for each person: globs over whole trees take threads, and nobody pays for asking.
        async with self._explaining.setdefault(session.identity.principal, asyncio.Lock()):
            try:
                _, prepared = await self.prepare(session, text)
                decided = await self.decide(session, text, "shell", prepared, ask=False)
            except (language.LineError, PactError) as error:
                return refusal_of(error)
            except Exception as error:  # noqa: BLE001  as in `run`
                return fault(error)
        return decided.decision if decided.decision.verdict == "refuse" else decided.objection or decided.decision

    async def decide(
        self, session: Session, text: str, action: Action, prepared: tuple[Prepared, ...], *, ask: bool = True
    ) -> Decided:
        """What is decided about an expanded line. `ask`: of the site too."""
        request = self._request(text, action, session.cwd, prepared)
        decision = decide(request, session.identity, self._node.policy(), self._node.catalog)
        objection = refusal_in(decision) or await self._node.objection(decision, self._recorder.level())
        if objection is not None or not ask:
            return Decided(request, decision, objection)
        changes, facts = decision.class_ == CHANGE_COMMANDS, command_facts(text, decision, session.cwd)
        try:
            approval = await self._judging.check(session.identity, action, facts, changes=changes)
        except PactError as error:
            return Decided(request, decision, Refusal(error.code, "policy-denied", "rego", error.message, error.hint))
        return Decided(request, decision, None, approval)

    def variables_of(self, session: Session) -> dict[str, str]:
        """What a line may name with `$`."""
        node = self._node
        return variables(session.identity.principal, node.host, node.name, node.vcluster, session.last_status)

    async def prepare(self, session: Session, text: str) -> tuple[language.Line, tuple[Prepared, ...]]:
        """Parse and expand; directories are read in a thread, as a dead mount may hang there."""
        line = language.parse(text)
        values = self.variables_of(session) | {"?": "0"}
        if line.items and first_uses_status(line):
            values["?"] = str(session.last_status)
        arguments = (line, values, session.cwd, self._node.secrets())
        if not needs_file_system(line):
            return line, prepare_line(*arguments)
        self._expanded = True
        return line, await aside(EXPANSION_LIMIT_S, "expanding the line", lambda: prepare_line(*arguments))

    def tidy(self) -> None:
        """Give back what globs took: one over whole trees leaves tens of megabytes of free heap behind."""
        if self._expanded and not busy():
            self._expanded = False
            gc.collect()
            trim_heap()

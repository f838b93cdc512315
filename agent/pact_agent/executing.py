"""Doing what a second person has agreed to when nobody waits for it here: a verb, or a line without a terminal."""

from __future__ import annotations

import os

from pact_agent.calls import Calls
from pact_agent.configcalls import Caller
from pact_agent.executor import Executor
from pact_agent.io import Io, Refusal
from pact_agent.refusing import error_in
from pact_agent.session import Sessions
from pactsh.errors import UsageError
from pactsh.model.approval import Approval
from pactsh.model.entry import Author
from pactsh.model.identity import Identity


class _Nobody:
    """Who is told how the line goes: only why it did not run is kept."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None

    async def refused(self, refusal: Refusal) -> None:
        self.refusal = refusal

    async def started(self, master: int | None) -> None:
        if master is not None:
            os.close(master)

    def notice(self, text: str, level: str) -> None:
        """Nobody is there."""


class Executing:
    """On one node, in the requesters' names, with the rights that they have by now."""

    def __init__(self, sessions: Sessions, executor: Executor, calls: Calls) -> None:
        self._sessions, self._executor, self._calls = sessions, executor, calls

    async def execute(self, approval: Approval) -> int:
        """Do it; its exit status. Raises the `PactError` that stopped it."""
        who = approval.requester
        identity = Identity(who.principal, who.roles, who.kind, "approval")
        if "line" in approval.operation:
            return await self._line(approval, identity)
        caller = Caller(Author(who.principal, who.roles, who.kind), "", float("inf"))
        await self._calls.execute(caller, identity, approval)
        return 0

    async def _line(self, approval: Approval, identity: Identity) -> int:
        operation = approval.operation
        line, cwd, action = operation.get("line"), operation.get("cwd"), operation.get("action")
        if not isinstance(line, str) or not isinstance(cwd, str) or action not in {"shell", "exec"}:
            raise UsageError(f"{approval.id}: not a line")
        session = await self._sessions.open(
            identity, kind="exec", source="approval", peer=f"{approval.id}, approved by {approval.by}"
        )
        session.cwd = cwd
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        nobody, status = _Nobody(), 1
        try:
            outcome = await self._executor.run(
                session,
                line,
                Io(nothing, nothing, nothing),
                nobody,
                action="exec" if action == "exec" else "shell",
                approved=approval,
            )
            status = outcome.status
        finally:
            os.close(nothing)
            await self._sessions.close(session, status=status, reason="approved line")
        if (refusal := nobody.refusal) is not None:
            raise error_in(refusal)
        return status

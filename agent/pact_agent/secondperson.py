"""Asking for a second person before something is changed, and waiting for what that one says.

A verb is put on record and its caller told; whoever wants to wait asks for the end of it. A line waits where it was
typed, and runs there when it is approved; when nobody waits any more it runs all the same, without a terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pact_agent.approvals import Approvals
from pact_agent.clock import Clock
from pact_agent.configcalls import Caller
from pact_agent.io import Refusal, Sink
from pact_agent.lifecycle import Lifecycle
from pact_agent.linefacts import stage_facts
from pact_agent.pipeline import LineRun
from pact_agent.session import Session
from pactsh.errors import PactError, PolicyError
from pactsh.model.approval import Approval
from pactsh.model.delta import Drifted
from pactsh.model.entry import Author
from pactsh.policy.decision import Decision

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

Item = dict[str, object]


class SecondPerson:
    """For the verbs and lines of one node."""

    def __init__(self, node: str, approvals: Approvals, lifecycle: Lifecycle, clock: Clock) -> None:
        self._node, self._approvals, self._lifecycle, self._clock = node, approvals, lifecycle, clock

    # -- verbs

    async def ask_verb(
        self,
        caller: Caller,
        action: str,
        method: str,
        params: Mapping[str, object],
        expected: Mapping[str, str | None] | None = None,
    ) -> Item:
        """Put a verb on record that waits; the item that says so. What it would commit is held meanwhile. Raises what
        the verb itself would, as far as that is known now."""
        operation: JsonObject = {"method": method, "params": {**params}}  # type: ignore[dict-item]
        if expected is not None:
            operation["expected"] = {**expected}
        chosen: tuple[Drifted, ...] = ()
        if method == "commit":
            only, ttl = params.get("only") or (), params.get("ttl")
            chosen = await self._lifecycle.propose(
                str(params.get("message") or ""),
                reached=caller.reached,
                only=[str(name) for name in only] if isinstance(only, list) else (),
                ttl=ttl if isinstance(ttl, int) else None,
            )
            operation["expected"] = {item.change.name: item.change.after for item in chosen}
        approval = await self._approvals.ask(caller.author, action, operation, _summary(method, params))
        if chosen:
            await self._lifecycle.hold(approval.id, chosen, self._left_s(approval))
        return {"node": self._node, "approval": self._item(approval)}

    async def over(self, id_: str) -> Item:
        """It, once it is over, without what it was to do; waits for that."""
        approval = await self._approvals.over(id_)
        item: Item = msgspec.to_builtins(msgspec.structs.replace(approval, operation={}))
        return item

    # -- lines

    async def wait_line(
        self, session: Session, text: str, action: str, decision: Decision, sink: Sink, run: LineRun
    ) -> Approval | Refusal | None:
        """The approval of a line, which is then the caller's to `begin` and `finish`; why it is refused; or None when
        the caller waits no longer. Raises what asking raises."""
        operation: JsonObject = {
            "line": text, "action": action, "cwd": session.cwd, "stages": stage_facts(decision)
        }  # fmt: skip
        author = Author(session.identity.principal, session.identity.roles, session.identity.kind)
        approval = await self._approvals.ask(author, action, operation, text)
        sink.notice(f"Approval required (two-person policy on vcluster: {approval.vcluster})", "info")
        sink.notice(f"Pending approval: {approval.id} (expires in {round(self._left_s(approval) / 60)} min)", "info")
        sink.notice("Waiting for approval... (Ctrl-C to background)", "info")
        deciding = asyncio.create_task(self._approvals.decided(approval.id))
        ending = asyncio.create_task(run.ended.wait())
        agreed: Approval | None = None
        try:
            await asyncio.wait({deciding, ending}, return_when=asyncio.FIRST_COMPLETED)
            agreed = deciding.result() if deciding.done() else None
        finally:
            deciding.cancel()
            ending.cancel()
            if agreed is None:
                self._approvals.leave(approval.id)
        if agreed is None:
            sink.notice(f"{approval.id} stays pending: it is done when somebody approves it", "info")
            return None
        if agreed.state == "approved":
            return agreed if await self._begun(agreed, sink, run) else None
        self._approvals.leave(approval.id)
        what = f"denied by {agreed.by}: {agreed.reason}" if agreed.state == "denied" else "nobody decided in time"
        return Refusal(3, f"approval-{agreed.state}", "two-person", f"{agreed.id}: {what}", "pact approve list")

    async def _begun(self, agreed: Approval, sink: Sink, run: LineRun) -> bool:
        """Whether the line is its caller's to run. Who leaves just as it is approved leaves it to be done here."""
        try:
            begun = await self._approvals.begin(agreed.id, unless=run.ended.is_set)
        except PolicyError:  # the news was here before anybody waited for it
            sink.notice(f"{agreed.id} was run without this terminal", "info")
            return False
        except asyncio.CancelledError:
            self._approvals.leave(agreed.id)
            raise
        except PactError as error:
            await self._approvals.give_up(agreed.id, error)
            raise
        if begun:
            sink.notice(f"Approved by {agreed.by}.", "info")
            return True
        self._approvals.leave(agreed.id)
        sink.notice(f"{agreed.id} was approved by {agreed.by}: it is done without this terminal", "info")
        return False

    async def finish(self, approval: Approval, outcome: PactError | int) -> None:
        """Put on record how an approved line ended."""
        await self._approvals.finish(approval.id, outcome)

    def _left_s(self, approval: Approval) -> float:
        return max(0.0, (datetime.fromisoformat(approval.expires) - self._clock.now()).total_seconds())

    def _item(self, approval: Approval) -> Item:
        return {
            "id": approval.id,
            "vcluster": approval.vcluster,
            "expires": approval.expires,
            "left_s": round(self._left_s(approval)),
        }


def changed_since(approval: Approval, decision: Decision) -> bool:
    """Whether a line would now run something else than what was approved: a glob may match other files by now."""
    return approval.operation.get("stages") != stage_facts(decision)


def _summary(method: str, params: Mapping[str, object]) -> str:
    """What a second person reads in the list."""
    if method == "rollback":
        to = params.get("to")
        return f"rollback to seq:{to}" if to else "rollback of what is not committed"
    if method in {"blacklist_add", "blacklist_remove"}:
        return f"{method.replace('_', ' ')} {params.get('pattern')}"
    if method.startswith("service_"):
        return f"{method.replace('_', ' ')} {params.get('service')}"
    if method == "emergency_end":
        return "end of the emergency" + (", undoing what has drifted" if params.get("rollback") else "")
    return str(params.get("message") or params.get("reason") or method)

"""The node that lines run on: what it is called, who decides for it, and what its own state forbids.

The decision is made of values alone; here are the objections that only this machine can have: a spool that
fills up, a kernel that contains nothing, a process or a mount point that is not what its name says.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pact_agent.aside import aside
from pact_agent.io import Refusal
from pact_agent.mounted import RemoteMounts
from pact_agent.mountpoint import stray_mount_point
from pact_agent.vital import vital_target
from pactsh.catalog import Catalog
from pactsh.errors import PactError
from pactsh.policy.decision import Decision, StageDecision
from pactsh.policy.model import Policy

_AIMED = frozenset({"kill", "pkill", "mount", "umount"})
_LOOK_LIMIT_S = 10.0


class Node(msgspec.Struct, frozen=True):
    """What the executor knows of the node it runs on; `policy` and `secrets` are asked for each line.

    `own` are the numbers of the agent's processes."""

    name: str
    vcluster: str
    host: str
    catalog: Catalog
    policy: Callable[[], Policy]
    degraded: Callable[[], bool]
    enforced: Callable[[], bool]
    secrets: Callable[[], tuple[str, ...]]
    remote: RemoteMounts
    emergency: Callable[[], bool]
    own: frozenset[int]

    async def objection(self, decision: Decision, level: str) -> Refusal | None:
        """Why an allowed line does not run here now, or None. `level` is the spool's (DESIGN.md section 3)."""
        if (found := self._state(decision, level)) is not None:
            return found
        if not any(stage.name in _AIMED for stage in decision.stages):
            return None
        try:  # looking at processes takes time, and a file system may hang
            return await aside(_LOOK_LIMIT_S, "looking at what the line names", lambda: self._targets(decision))
        except PactError as error:
            return Refusal(error.code, error.kind, "agent", error.message, error.hint)

    def _state(self, decision: Decision, level: str) -> Refusal | None:
        """What the node's own state forbids."""
        if self.policy().containment == "required" and not self.enforced():
            return Refusal(
                3,
                "not-contained",
                "policy:containment",
                "this node's kernel can't contain commands, and policy requires it",
                "`pact cap` shows what is missing",
            )
        if level == "read-only" and decision.class_ != "read":
            return Refusal(
                3,
                "spool-nearly-full",
                "audit",
                "the audit spool is nearly full, so only commands that change nothing run",
                "the journal has been out of reach for long: `pact status` shows since when",
            )
        if level == "unwritable" and not self.emergency() and not all(_is_harmless(s) for s in decision.stages):
            return Refusal(
                3,
                "spool-unwritable",
                "audit",
                "this node's disk takes no record, so nothing runs",
                "a platform admin goes on with 'pact emergency --reason WHY', recorded in the kernel's log",
            )
        return None

    def _targets(self, decision: Decision) -> Refusal | None:
        """What nobody may name: a process that keeps the records, a mount point that leads elsewhere."""
        target = vital_target(decision.stages, self.own)
        if target is not None:
            reason = f"process {target} keeps this node's records, and is not signalled by a line"
            return Refusal(6, "vital-process", "agent", reason, "ask who runs the node's service manager")
        self.remote.refresh()
        stray = stray_mount_point(decision.stages, self.remote)
        if stray is not None:
            return Refusal(6, "stray-mount-point", "agent", stray, "name the mount point as findmnt shows it")
        return None


def _is_harmless(stage: StageDecision) -> bool:
    """What the shell answers itself: `exit`, `help`, and `pact`, which may be asked for the emergency."""
    return stage.builtin and not stage.inner

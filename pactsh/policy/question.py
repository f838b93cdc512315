"""The input document of a policy in Rego: what somebody wants to do, where, and as whom (docs/policy.md). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pactsh.model.identity import Identity
from pactsh.policy.decision import Decision, StageDecision

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject, JsonValue


def question(
    identity: Identity, action: str, *, vcluster: str, node: str = "", role: str = "", facts: JsonObject | None = None
) -> JsonObject:
    """The document about `action`. `role` is the one that allows it; `facts` are those of the action."""
    return {
        "action": action,
        "identity": {
            "principal": identity.principal,
            "kind": identity.kind,
            "role": role,
            "roles": [*identity.roles],
            "source": identity.source,
        },
        "scope": {"vcluster": vcluster, "node": node},
        "command": None,
        **(facts or {}),
    }


def command_facts(line: str, decision: Decision, cwd: str) -> JsonObject:
    """Of a line that the whitelist allows: the text as it was typed, what would run, and where (`cwd`)."""
    stages: list[JsonValue] = [_stage(stage) for stage in decision.stages]
    return {
        "command": {
            "line": line,
            "class": decision.class_,
            "dimension": decision.dimension,
            "stages": stages,
            "cwd": cwd,
        },
    }


def _stage(stage: StageDecision) -> JsonObject:
    return {
        "name": stage.name,
        "argv": [*stage.argv],
        "class": stage.class_,
        "dimension": stage.dimension,
        "bypass": stage.bypass,
        "repeats": _stages(stage.inner),
    }


def _stages(stages: Sequence[StageDecision]) -> list[JsonValue]:
    return [_stage(stage) for stage in stages]

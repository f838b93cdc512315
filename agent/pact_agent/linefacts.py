"""What entries say of a line: which stages it has, what was decided. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pactsh import language
from pactsh.policy.decision import Decision, StageDecision

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject, JsonValue


def intent_body(
    id_: str, text: str, action: str, decision: Decision, cwd: str, *, degraded: bool, policy_asked: bool
) -> JsonObject:
    """The body of the entry that a line will run; `policy_asked`: the site's own policy has allowed it too."""
    body: JsonObject = {
        "id": id_,
        "line": text,
        "action": action,
        "class": decision.class_,
        "dimension": decision.dimension,
        "decision": {
            "verdict": decision.verdict,
            "code": decision.code,
            "rule": decision.rule + ("+rego" if policy_asked else ""),
            "degraded": degraded,
        },
        "stages": stage_facts(decision),
        "cwd": cwd,
    }
    if any(stage.bypass for stage in decision.stages):
        body["bypass"] = True
    return body


def stage_facts(decision: Decision) -> list[JsonValue]:
    """What would run, stage by stage."""
    return [_stage_fact(stage) for stage in decision.stages]


def _stage_fact(stage: StageDecision) -> JsonObject:
    fact: JsonObject = {"argv": list(stage.argv), "class": stage.class_, "builtin": stage.builtin}
    if stage.inner:
        fact["repeats"] = [_stage_fact(inner) for inner in stage.inner]
    return fact


def first_uses_status(line: language.Line) -> bool:
    """Whether the first pipeline has `$?`: there the status is known, later it is only guessed."""
    return any(
        isinstance(part, language.Variable) and part.name == "?"
        for stage in line.items[0].pipeline.stages
        for word in stage.words
        for part in word.parts
    )

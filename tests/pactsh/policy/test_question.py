"""The input document for the site's rules."""

from __future__ import annotations

from pactsh.policy.decision import Decision, StageDecision
from pactsh.policy.question import command_facts


def test_a_rule_about_places_can_not_be_evaded_by_going_there() -> None:
    stage = StageDecision(("cat", "slurm.conf"), "cat", False, "read", None, None)
    decision = Decision("allow", 0, "", "", "", "", None, (stage,))
    command = command_facts("cat slurm.conf", decision, "/etc/slurm")["command"]
    assert isinstance(command, dict)
    assert (command["cwd"], command["line"], command["class"]) == ("/etc/slurm", "cat slurm.conf", "read")

"""Roles and actions, row by row."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.policy.rbac import ACTIONS, highest_class, may

POLICY = Policy("ml")
READS = {"status", "diff", "log", "lattice_read"}
OPERATES = READS | {
    "commit",
    "rollback",
    "blacklist",
    "exec",
    "shell",
    "service_start",
    "service_stop",
    "service_restart",
    "approve",
}
OPERATES |= {"node_assign", "session_play"}
OPERATES |= {"drain", "undrain", "cordon", "uncordon", "reboot", "reimage", "job_cancel", "dag_cancel"}
EMERGENCY = {"emergency_start", "emergency_end"}
TABLE = {
    "pact-platform-admin": set(ACTIONS),
    "pact-ops-ml": OPERATES | EMERGENCY,
    "pact-regulated-ml": OPERATES,
    "pact-viewer-ml": READS | {"shell", "exec"},
    "pact-service-agent": {"status", "log"},
    "pact-service-ai": READS,
    "pact-ops-other": set(),
    "pact-viewer-other": set(),
    "pact-ops-": set(),
    "pact-ops-ml-x": set(),
    "PACT-PLATFORM-ADMIN": set(),
    "root": set(),
    "": set(),
}


def test_the_document_says_who_may_play_whose_recording() -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    section = text.partition("## Recorded sessions")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| `"]
    told = {role.strip(" `"): row[1:] for row in rows for role in row[0].split(",")}
    roles = {role.replace("VC", "ml"): row for role, row in told.items()}
    assert set(roles) == {role for role in TABLE if TABLE[role]}
    for role, (lists, own, others) in roles.items():
        assert lists == own == ("yes" if may(person(role), "status", POLICY) else "no")
        assert others == ("yes" if may(person(role), "session_play", POLICY) else "no")


def person(*roles: str, kind: str = "human") -> Identity:
    return Identity("p@org", roles, kind, "uid")


@pytest.mark.parametrize("role", TABLE)
def test_a_role_may_do_its_row_and_nothing_else(role: str) -> None:
    assert {action for action in ACTIONS if may(person(role), action, POLICY)} == TABLE[role]


def test_without_a_role_nothing_is_allowed() -> None:
    assert not any(may(person(), action, POLICY) for action in ACTIONS)


def test_an_unknown_action_is_nobodys() -> None:
    assert not may(person("pact-platform-admin"), "reformat", POLICY)


def test_an_assistant_runs_commands_only_where_the_policy_says_so() -> None:
    assistant = person("pact-service-ai", kind="service")
    allowed = msgspec.structs.replace(POLICY, ai_exec_allowed=True)
    assert not may(assistant, "exec", POLICY)
    assert may(assistant, "exec", allowed)
    assert highest_class(assistant, "exec", allowed) == "read"
    assert not may(assistant, "shell", allowed)
    assert not may(assistant, "emergency_start", allowed)


def test_an_emergency_needs_a_person_and_a_policy_that_allows_it() -> None:
    assert may(person("pact-platform-admin"), "emergency_start", POLICY)
    assert not may(person("pact-platform-admin", kind="service"), "emergency_start", POLICY)
    never = msgspec.structs.replace(POLICY, emergency_allowed=False)
    assert not may(person("pact-platform-admin"), "emergency_start", never)


@pytest.mark.parametrize(
    ("roles", "highest"),
    [
        (("pact-viewer-ml",), "read"),
        (("pact-ops-ml",), "change"),
        (("pact-viewer-ml", "pact-ops-ml"), "change"),
        (("pact-viewer-ml", "pact-ops-other"), "read"),
        (("pact-service-agent",), ""),
        ((), ""),
    ],
)
def test_the_highest_class_is_that_of_the_best_role(roles: tuple[str, ...], highest: str) -> None:
    assert highest_class(person(*roles), "shell", POLICY) == highest

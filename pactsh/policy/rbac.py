"""Roles and what they may do: the floor that nothing relaxes.

The table is upstream's (constants, section 7) with its contradictions settled: a viewer may
open a shell and run commands of class `read`; a regulated role works as operations do but
never starts an emergency; no known role for the vCluster means no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pactsh.model.identity import Identity
    from pactsh.policy.model import Policy

ADMIN = "pact-platform-admin"
SERVICE_AGENT = "pact-service-agent"
SERVICE_AI = "pact-service-ai"

LATTICE_READ = "lattice_read"
DELEGATED_NODE = frozenset({"drain", "undrain", "cordon", "uncordon", "reboot", "reimage"})
DELEGATED_OTHER = frozenset({"job_cancel", "dag_cancel", "backup_create", "backup_restore", "backup_verify"})
READ_ACTIONS = frozenset({"status", "diff", "log", LATTICE_READ})
OPERATE = READ_ACTIONS | {
    "commit", "rollback", "blacklist", "exec", "shell", "service_start", "service_stop", "service_restart", "approve",
    "node_assign", "session_play", "job_cancel", "dag_cancel", *DELEGATED_NODE,
}  # fmt: skip
EMERGENCY = frozenset({"emergency_start", "emergency_end"})
ADMIN_ONLY = frozenset({"policy_update", "node_enroll", "node_decommission", *DELEGATED_OTHER})
ACTIONS = OPERATE | EMERGENCY | ADMIN_ONLY
READ_COMMANDS = "read"
CHANGE_COMMANDS = "change"

_SCOPED: dict[str, tuple[frozenset[str], str]] = {
    "pact-ops-": (OPERATE | EMERGENCY, CHANGE_COMMANDS),
    "pact-regulated-": (OPERATE, CHANGE_COMMANDS),
    "pact-viewer-": (READ_ACTIONS | {"shell", "exec"}, READ_COMMANDS),
}


def _grant_of(role: str, policy: Policy) -> tuple[frozenset[str], str]:
    """The actions a role gives in the policy's vCluster, and the highest command class."""
    if role == ADMIN:
        return ACTIONS, CHANGE_COMMANDS
    if role == SERVICE_AGENT:
        return frozenset({"status", "log"}), ""
    if role == SERVICE_AI:
        return READ_ACTIONS | ({"exec"} if policy.ai_exec_allowed else frozenset()), READ_COMMANDS
    for prefix, grant in _SCOPED.items():
        if role == prefix + policy.vcluster:
            return grant
    return frozenset(), ""


def may(identity: Identity, action: str, policy: Policy) -> bool:
    """Whether a role of the identity allows `action` in the policy's vCluster."""
    if action in EMERGENCY and not (policy.emergency_allowed and identity.kind == "human"):
        return False
    return any(action in _grant_of(role, policy)[0] for role in identity.roles)


def highest_class(identity: Identity, action: str, policy: Policy) -> str:
    """The highest command class (`read`, `change`, or "") the identity's roles allow with `action`."""
    classes = {_grant_of(role, policy)[1] for role in identity.roles if action in _grant_of(role, policy)[0]}
    return CHANGE_COMMANDS if CHANGE_COMMANDS in classes else READ_COMMANDS if READ_COMMANDS in classes else ""


def role_in(identity: Identity, action: str, policy: Policy) -> str:
    """The role to name for an action: the first that allows it, else the first there is, else ""."""
    for role in identity.roles:
        if action in _grant_of(role, policy)[0]:
            return role
    return identity.roles[0] if identity.roles else ""

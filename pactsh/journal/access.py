"""Who may call what: ONE table, method to rule. Pure; a method without a rule can't be registered.

What a caller may see is a second question: its reach, by the roles of DESIGN.md section 7.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from pactsh.errors import AuthError, ForbiddenError
from pactsh.model.identity import Identity

ADMIN = "pact-platform-admin"
_MACHINE_READERS = ("pact-service-agent", "pact-service-ai")
_VCLUSTER_ROLES = ("pact-ops-", "pact-regulated-", "pact-viewer-")


class Need(enum.Enum):
    """What a caller must be."""

    ANYONE = "anyone, proven or not"
    PERSON = "a person or service with a token"
    AGENT = "an agent with its client certificate"
    WRITER = "an agent, or a person whose role appends; each draft is checked on its own"
    READER = "an agent, or any role that reads status and log"
    ASKER = "an agent, for what people want on its node; or a person whose role may do it alone"
    ADMIN = "a platform admin"
    DELEGATOR = "a person whose role may have that done, on each of the targets"
    BEGINNER = "the person who began it"
    DECIDER = "a person whose role approves there, and who has not asked for it"


RULES: Mapping[str, Need] = {
    "Journal/Append": Need.WRITER,
    "Journal/List": Need.READER,
    "Journal/Get": Need.READER,
    "Journal/Watch": Need.READER,
    "Journal/Heads": Need.READER,
    "Journal/Export": Need.READER,
    "Certificates/SignUser": Need.PERSON,
    "Certificates/SignHost": Need.AGENT,
    "Certificates/RenewAgent": Need.AGENT,
    "Certificates/EnrollAgent": Need.ANYONE,  # proves itself by its join token
    "Certificates/Trust": Need.ANYONE,
    "Certificates/Revoke": Need.ADMIN,
    "Certificates/Revocations": Need.AGENT,
    "Nodes/List": Need.READER,
    "Nodes/Get": Need.READER,
    "Nodes/Report": Need.AGENT,
    "Policy/Get": Need.READER,
    "Policy/Watch": Need.READER,
    "Policy/Evaluate": Need.AGENT,
    "Login/Providers": Need.ANYONE,
    "Login/Verify": Need.AGENT,
    "Delegation/Begin": Need.DELEGATOR,  # it depends on the action and the targets, and is checked there
    "Delegation/End": Need.BEGINNER,
    "Status/Get": Need.READER,
    "Approvals/Request": Need.ASKER,  # it depends on the action, and is checked there
    "Approvals/Decide": Need.DECIDER,  # it depends on the request
    "Approvals/List": Need.READER,
    "Approvals/Watch": Need.READER,
}


class Reach(msgspec.Struct, frozen=True):
    """What a caller may see: everything, or vClusters with their nodes, or its own node.

    `overlay` is a vCluster whose own entries are seen, but not those of its nodes.
    """

    everything: bool = False
    vclusters: frozenset[str] = frozenset()
    node: str = ""
    overlay: str = ""

    def sees(self, scope: str, vcluster_of: Mapping[str, str]) -> bool:
        """Whether an entry of `scope` is within reach; `vcluster_of` maps nodes to vClusters."""
        if self.everything:
            return True
        kind, _, name = scope.partition(":")
        if kind == "node":
            return (bool(self.node) and name == self.node) or vcluster_of.get(name, "") in self.vclusters
        return kind == "vcluster" and (name in self.vclusters or (bool(name) and name == self.overlay))

    def scopes(self, vcluster_of: Mapping[str, str]) -> frozenset[str] | None:
        """All scopes within reach, None for everything."""
        if self.everything:
            return None
        own = {f"node:{self.node}"} if self.node else set()
        if self.overlay:
            own.add(f"vcluster:{self.overlay}")
        nodes = {f"node:{node}" for node, vcluster in vcluster_of.items() if vcluster in self.vclusters}
        return frozenset(own | nodes | {f"vcluster:{name}" for name in self.vclusters})


def agent_node_of(identity: Identity) -> str:
    """The node of an agent's identity, else the empty string."""
    return identity.principal.removeprefix("agent:") if identity.kind == "agent" else ""


def reach_of(identity: Identity) -> Reach:
    """What `identity` may see. Unknown roles give nothing."""
    if identity.kind == "agent":
        return Reach(node=agent_node_of(identity))
    if ADMIN in identity.roles or any(role in identity.roles for role in _MACHINE_READERS):
        return Reach(everything=True)
    names = {
        role.removeprefix(prefix)
        for role in identity.roles
        for prefix in _VCLUSTER_ROLES
        if role.startswith(prefix) and role != prefix
    }
    return Reach(vclusters=frozenset(names))


def authorize(method: str, identity: Identity | None) -> None:
    """Raise `AuthError` or `ForbiddenError` unless `identity` may call `method` at all."""
    need = RULES[method]
    if need is Need.ANYONE:
        return
    if identity is None:
        raise AuthError("who is asking is not known", hint="pact login")
    is_agent = identity.kind == "agent"
    reach = reach_of(identity)
    reads = is_agent or reach.everything or bool(reach.vclusters)
    allowed = {
        Need.PERSON: not is_agent,
        Need.AGENT: is_agent,
        Need.WRITER: is_agent or ADMIN in identity.roles,
        Need.ADMIN: not is_agent and ADMIN in identity.roles,
        Need.READER: reads,
        Need.ASKER: reads,
        Need.DECIDER: reads,
        Need.DELEGATOR: reads and not is_agent,
        Need.BEGINNER: reads and not is_agent,
    }[need]
    if not allowed:
        raise ForbiddenError(f"{identity.principal} may not call {method}", hint=f"needed: {need.value}")

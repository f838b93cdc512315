"""Roles and reach, as values. Whole calls for every caller are in test_service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pactsh.auth.ca import utc_now
from pactsh.errors import AuthError, ForbiddenError
from pactsh.journal.access import RULES, Need, authorize, reach_of
from pactsh.journal.gate import Gate
from pactsh.journal.revocations import Revocations
from pactsh.model.identity import Identity
from pactsh.rpc.methods import METHODS

NODES = {"n1": "ml", "n2": "hpc"}


def person(*roles: str) -> Identity:
    return Identity("x@y", roles, "human", "token")


@pytest.mark.parametrize(
    ("roles", "seen"),
    [
        ((), set()),
        (("pact-root",), set()),
        (("platform-admin",), set()),
        (("pact-viewer-",), set()),
        (("pact-viewer-ml",), {"vcluster:ml", "node:n1"}),
        (("pact-ops-ml",), {"vcluster:ml", "node:n1"}),
        (("pact-regulated-hpc",), {"vcluster:hpc", "node:n2"}),
        (("pact-viewer-ml", "pact-ops-hpc"), {"vcluster:ml", "node:n1", "vcluster:hpc", "node:n2"}),
        (("pact-service-agent",), {"global", "vcluster:ml", "vcluster:hpc", "node:n1", "node:n2", "node:n3"}),
        (("pact-platform-admin",), {"global", "vcluster:ml", "vcluster:hpc", "node:n1", "node:n2", "node:n3"}),
    ],
)
def test_reach_by_role(roles: tuple[str, ...], seen: set[str]) -> None:
    reach = reach_of(person(*roles))
    every = ("global", "vcluster:ml", "vcluster:hpc", "vcluster:", "node:n1", "node:n2", "node:n3", "node:", "")
    asked = {scope for scope in every if reach.sees(scope, NODES)}
    assert asked - {"vcluster:", "node:", ""} == seen
    if not reach.everything:
        assert asked == seen == set(reach.scopes(NODES) or ())


def test_an_agent_reaches_its_node_alone_whatever_roles_it_might_claim() -> None:
    reach = reach_of(Identity("agent:n1", ("pact-platform-admin",), "agent", "tls"))
    assert set(reach.scopes(NODES) or ()) == {"node:n1"}


@pytest.mark.parametrize("method", [name for name, need in RULES.items() if need is not Need.ANYONE])
def test_without_identity_or_role_nothing_opens(method: str) -> None:
    with pytest.raises(AuthError):
        authorize(method, None)
    if RULES[method] is not Need.PERSON:
        with pytest.raises(ForbiddenError):
            authorize(method, person("pact-nonsense"))


def test_a_method_without_a_rule_or_a_rule_without_a_method_can_not_be_registered() -> None:
    class NoTokens:
        async def verify(self, token: str) -> object:
            raise AuthError("no")

    async def handler(*_: object) -> None: ...

    gate = Gate(NoTokens(), Revocations({}, utc_now))  # type: ignore[arg-type]
    handlers = dict.fromkeys(METHODS, handler)
    assert len(gate.generic_handlers(handlers)) == 8
    for broken in (
        {name: h for name, h in handlers.items() if name != "Journal/Get"},
        {**handlers, "Journal/Drop": handler},
    ):
        with pytest.raises(ValueError, match="Journal/"):
            gate.generic_handlers(broken)


def test_only_enrolment_trust_and_the_way_to_sign_in_are_open() -> None:
    assert {name for name, need in RULES.items() if need is Need.ANYONE} == {
        "Certificates/EnrollAgent",
        "Certificates/Trust",
        "Login/Providers",
    }


def test_the_documents_table_is_the_one_that_decides() -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+/\w+)` \| ([^|]+) \|", text, flags=re.MULTILINE)) == {
        method: need.value for method, need in RULES.items()
    }

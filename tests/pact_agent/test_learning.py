"""What learning mode keeps of a refusal."""

from __future__ import annotations

import shlex

import pytest
from pact_agent.learning import find_program, learned

from pactsh.catalog import load_catalog
from pactsh.model.entry import JsonObject
from pactsh.model.identity import Identity
from pactsh.policy.decision import Request, StageRequest, decide
from pactsh.policy.model import CommandOverlay, Policy

ADMIN = Identity("adam@org", ("pact-platform-admin",), "human", "uid")
LEARNING = Policy("ml", whitelist_mode="learning", commands=CommandOverlay(remove=("dmesg",)))
CATALOG = load_catalog()


def kept(*lines: str, policy: Policy = LEARNING) -> JsonObject | None:
    stages = tuple(StageRequest(tuple(shlex.split(line))) for line in lines)
    request = Request(" | ".join(lines), stages, "shell")
    decision = decide(request, ADMIN, policy, CATALOG)
    assert decision.verdict == "refuse"
    return learned(decision, request, policy)


def test_name_argv_and_place_of_what_the_whitelist_refused() -> None:
    assert kept("env -i x") == {"name": "env", "argv": ["env", "-i", "x"], "path": "/usr/bin/env"}
    assert kept("ls", "zz-no-such 'a b'") == {"name": "zz-no-such", "argv": ["zz-no-such", "a b"], "path": None}


@pytest.mark.parametrize(
    "line", ["zz-no-such", "ls --zz", "systemctl zz", "sort -o x", "ping -i 0 x", "uniq a b", "top -b"]
)
def test_refusals_of_the_whitelist_are_learned_from(line: str) -> None:
    assert kept(line) is not None


@pytest.mark.parametrize("line", ["cat /etc/shadow", "pact status --token x", "/bin/ls", "dmesg", "bypass ls"])
def test_others_are_not(line: str) -> None:
    assert kept(line) is None


def test_nothing_is_learned_unless_the_policy_says_so() -> None:
    assert kept("zz-no-such", policy=Policy("ml")) is None


def test_a_token_and_what_follows_it_stay_out() -> None:
    assert kept("zz-no-such --token abc x") == {"name": "zz-no-such", "argv": ["zz-no-such"], "path": None}
    for typed in ("--token=abc", "--tok abc", "--t abc", "PACT_TOKEN=abc", "x=" + "y" * 300 + "--tok=abc"):
        learn = {"name": "zz-no-such", "argv": ["zz-no-such", "-a"], "path": None}
        assert kept(f"zz-no-such -a {typed}") == learn, typed


def test_it_is_bounded() -> None:
    found = kept("zz" + " x" * 1000 + " " + "y" * 1000)
    assert found is not None
    assert len(str(found)) < 1000
    found = kept("z" * 10_000)
    assert found is not None
    assert len(str(found)) < 1000


def test_only_a_plain_name_is_looked_for() -> None:
    assert find_program("env") == "/usr/bin/env"
    for name in ("", "../bin/env", "/usr/bin/env", "ENV", "env\n", "."):
        assert find_program(name) is None

"""What a vCluster adds, narrows and removes."""

from __future__ import annotations

import pytest

from pactsh.policy.decision import Decision
from pactsh.policy.model import Policy, build_policy
from tests.pactsh.catalog.deciding import decided

TOOL = {"name": "mytool", "summary": "a tool", "group": "system", "paths": ["/usr/bin/mytool"]}


def policy(**commands: object) -> Policy:
    return build_policy({"vcluster": "ml", "commands": commands})


def under(line: str, **commands: object) -> Decision:
    return decided(line, policy=policy(**commands))


def test_a_removed_command_is_not_whitelisted_and_the_answer_says_who_did_it() -> None:
    decision = under("ping -c 1 x", remove=["ping"])
    assert (decision.status, decision.code, decision.rule) == (6, "removed-command", "policy:ml")
    assert under("ls", remove=["ping"]).verdict == "allow"


def test_an_added_command_runs_as_its_entry_says() -> None:
    decision = under("mytool", add=[TOOL])
    assert decision.verdict == "allow"
    assert decision.stages[0].program is not None
    assert decision.stages[0].program.paths == ("/usr/bin/mytool",)
    assert under("mytool --x", add=[TOOL]).code == "unknown-option"
    assert decided("mytool").code == "unknown-command"


def test_removal_wins_over_addition() -> None:
    assert under("mytool", add=[TOOL], remove=["mytool"]).code == "removed-command"


@pytest.mark.parametrize(
    ("line", "verdict"),
    [("ip addr", "allow"), ("ip link set eth0 up", "refuse"), ("sysctl vm.swappiness=1", "allow")],
)
def test_read_only_takes_the_changes_of_one_command_away(line: str, verdict: str) -> None:
    assert under(line, narrow=[{"command": "ip", "read_only": True}]).verdict == verdict


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("sysctl vm.swappiness=1", "sysctl"),
        ("kill 55", "kill"),
        ("systemctl restart x", "systemctl"),
        ("nvidia-smi -pm 1", "nvidia-smi"),
        ("ethtool -K eth0 gro off", "ethtool"),
    ],
)
def test_read_only_reaches_every_kind_of_form(line: str, command: str) -> None:
    assert decided(line).class_ == "change"
    decision = under(line, narrow=[{"command": command, "read_only": True, "reason": "is frozen this week"}])
    assert decision.verdict == "refuse"
    assert "is frozen this week" in decision.reason


def test_options_and_subcommands_can_be_taken_away_in_every_spelling() -> None:
    narrow = [{"command": "dmesg", "options": ["--follow"]}, {"command": "systemctl", "subcommands": ["cat"]}]
    for line in ("dmesg -w", "dmesg -Tw", "dmesg --follow", "systemctl cat sshd"):
        assert under(line, narrow=narrow).code == "denied", line
    assert under("dmesg -T", narrow=narrow).verdict == "allow"


def test_narrowing_an_unknown_command_adds_nothing() -> None:
    assert under("bash", narrow=[{"command": "bash"}]).verdict == "refuse"


def test_an_extension_adds_forms_to_what_is_there() -> None:
    extend = [{"command": "dmesg", "options": [{"names": "--zz", "value": "int"}]}]
    assert under("dmesg --zz 5 -T", extend=extend).verdict == "allow"
    assert under("dmesg --zz x", extend=extend).code == "bad-value"
    assert under("dmesg -C", extend=extend).code == "denied"
    assert decided("dmesg --zz 5").code == "unknown-option"


def test_an_extension_replaces_an_option_it_names_in_full() -> None:
    extend = [{"command": "ping", "options": [{"names": "-i", "value": "number", "low": 2}]}]
    assert decided("ping -c 1 -i 1 x").verdict == "allow"
    assert under("ping -c 1 -i 1 x", extend=extend).code == "bad-value"


def test_subcommands_are_added_and_narrowing_comes_last() -> None:
    extend = [{"command": "systemctl", "commands": [{"names": "zz", "operands": [{"kind": "unit"}]}]}]
    assert under("systemctl zz sshd", extend=extend).verdict == "allow"
    assert under("systemctl zz sshd", extend=extend, narrow=[{"command": "systemctl", "subcommands": ["zz"]}]).code == (
        "denied"
    )
    assert under("systemctl zz sshd", extend=extend, remove=["systemctl"]).code == "removed-command"


def test_an_extension_of_nothing_adds_nothing() -> None:
    assert under("bash", extend=[{"command": "bash", "options": [{"names": "-x"}]}]).code == "unknown-command"

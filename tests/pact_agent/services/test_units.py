"""Names of systemd's units. What is done to them is tested in a booted system (tests/e2e/test_booted.py)."""

from __future__ import annotations

import pytest
from pact_agent.services.units import Units, spelled

from pactsh.errors import UsageError


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("chrony", "chrony.service"),
        ("chrony.service", "chrony.service"),
        ("ssh.socket", "ssh.socket"),
        ("getty@tty1", "getty@tty1.service"),
        ("a.b", "a.b.service"),
    ],
)
def test_a_name_without_a_suffix_is_that_of_a_service(name: str, unit: str) -> None:
    assert spelled(name) == unit


@pytest.mark.parametrize("name", ["../x", "a b", "a/b", "x" * 300, "getty@", "a\nb", "ü"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a service"):
        spelled(name)


def test_the_agent_does_not_end_itself() -> None:
    units = Units(own="node-agent.service")
    assert units.refusal("stop", "node-agent.service") == (
        "node-agent.service is what would do that: it does not stop itself"
    )
    assert units.refusal("restart", "node-agent.service")
    assert units.refusal("start", "node-agent.service") == units.refusal("stop", "chrony.service") == ""

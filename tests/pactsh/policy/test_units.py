"""What `pact service` may not do is what `systemctl` may not do on a line."""

from __future__ import annotations

import pytest

from pactsh.catalog import Catalog, load_catalog
from pactsh.model.identity import Identity
from pactsh.policy.model import CommandOverlay, Policy
from pactsh.policy.units import decide_unit

OPS = Identity("alice@org", ("pact-ops-ml-training",), "human", "ssh")
ADMIN = Identity("root@org", ("pact-platform-admin",), "human", "ssh")
VIEWER = Identity("bob@org", ("pact-viewer-ml-training",), "human", "ssh")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
@pytest.mark.parametrize("who", [OPS, ADMIN])
@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("chrony.service", True),
        ("slurmd", True),
        ("systemd-networkd.service", True),
        ("debug-shell.service", False),
        ("emergency.service", False),
        ("poweroff.target", False),
        ("systemd-poweroff.service", False),
        ("systemd-logind.service", False),
        ("systemd-journald.service", False),
        ("auditd.service", False),
        ("auditd", False),
        ("rsyslog.service", False),
        ("dbus.service", False),
        ("pact-agent.service", False),
        ("home.mount", False),
        ("-x.service", False),
        ("dev-a\\x2db.service", False),
    ],
)
def test_whoever_asks_the_systems_own_are_left_alone(
    catalog: Catalog, who: Identity, verb: str, name: str, allowed: bool
) -> None:
    decision = decide_unit(verb, name, who, Policy("ml-training"), catalog)
    assert (decision.verdict == "allow") == allowed
    assert allowed or (decision.status == 6 and decision.reason)


def test_who_only_reads_changes_none(catalog: Catalog) -> None:
    decision = decide_unit("stop", "chrony.service", VIEWER, Policy("ml-training"), catalog)
    assert (decision.verdict, decision.status) == ("refuse", 2)


def test_what_a_vcluster_takes_away_is_taken_away_here_too(catalog: Catalog) -> None:
    policy = Policy("ml-training", commands=CommandOverlay(remove=("systemctl",)))
    assert decide_unit("stop", "chrony.service", OPS, policy, catalog).verdict == "refuse"

"""The policy in force: the journal's, kept for a start without it, and never one that can't be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pact_agent.inforce import PolicyInForce

from pactsh.catalog import load_catalog
from pactsh.policy.model import Policy
from tests.pact_agent.localnode import LocalNode

DOCUMENT = b'{"vcluster": "ml", "version": 3, "enforcement_mode": "enforce", "commands": {"remove": ["dmesg"]}}'


def policy(place: Path) -> PolicyInForce:
    return PolicyInForce(Policy("ml"), load_catalog(), place / "config" / "policy.json")


def test_the_journals_is_in_force_at_the_next_start_too(tmp_path: Path) -> None:
    first = policy(tmp_path)
    assert (first.load(), first.label) == (False, "ml:0")
    first.arrived(DOCUMENT, 12)
    again = policy(tmp_path)
    assert again.load()
    for found in (first, again):
        assert (found.label, found.current.enforcement_mode, found.current.commands.remove) == (
            "ml:3", "enforce", ("dmesg",)
        )  # fmt: skip
    assert (tmp_path / "config/policy.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("document", [b"", b"{}", DOCUMENT])
def test_what_the_journal_said_is_known_at_the_next_start_too(tmp_path: Path, document: bytes) -> None:
    first = policy(tmp_path)
    assert (first.load(), first.heard.is_set()) == (False, False)
    first.arrived(b"nonsense", 1)
    first.arrived(b'{"vcluster": "other"}', 2)
    assert not first.heard.is_set(), "that was none"
    first.arrived(document, 12)
    again = policy(tmp_path)
    again.load()
    assert (first.heard.is_set(), again.heard.is_set()) == (True, True)


def test_one_that_was_damaged_is_not_known(tmp_path: Path) -> None:
    first = policy(tmp_path)
    first.arrived(b"{}", 1)
    first.arrived(DOCUMENT, 12)
    (tmp_path / "config/policy.json").write_bytes(DOCUMENT[:40])
    again = policy(tmp_path)
    assert (again.load(), again.heard.is_set()) == (False, False)


@pytest.mark.parametrize("document", [b"", b"{}", b"nonsense", b'{"vcluster": "other"}', b'{"vcluster": "ml", "x": 1}'])
def test_none_and_one_that_cannot_be_read_leave_the_old_one(tmp_path: Path, document: bytes) -> None:
    found = policy(tmp_path)
    found.arrived(DOCUMENT, 12)
    found.arrived(document, 13)
    assert found.label == "ml:3"
    assert (tmp_path / "config/policy.json").read_bytes() == DOCUMENT


def test_a_kept_one_gets_below_the_floor_no_more_than_the_journals(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/policy.json").write_bytes(
        b'{"vcluster": "ml", "commands": {"add": ['
        b'{"name": "bash", "summary": "s", "group": "text", "paths": ["/bin/bash"]}]}}'
    )
    found = policy(tmp_path)
    assert found.load()
    assert found.current.commands.add == ()


def test_a_disk_that_keeps_nothing_does_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    found = policy(tmp_path)
    found.arrived(DOCUMENT, 12)
    assert found.label == "ml:3"


def test_an_agent_without_journal_decides_as_before(make_node: Callable[..., LocalNode]) -> None:
    node = make_node()
    assert node.line("dmesg --version").returncode == 0
    node.stop()
    kept = node.directory / "state" / "config" / "policy.json"
    kept.write_bytes(DOCUMENT.replace(b'"ml"', b'"ml-training"'))
    node.start()
    done = node.line("dmesg --version")
    assert (done.returncode, "taken off the whitelist" in done.stderr) == (6, True)

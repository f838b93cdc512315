"""The vCluster that a node is in outlives edits of agent.toml and starts without the journal."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pact_agent.membership import Membership


def test_what_is_configured_counts_until_the_journal_has_said_it(tmp_path: Path) -> None:
    path = tmp_path / "config" / "vcluster"
    membership = Membership("ml", path)
    assert (membership.vcluster, membership.moved, path.exists()) == ("ml", "", False)
    membership.told("ml")
    assert (membership.moved, path.read_text()) == ("", "ml\n")


def test_an_edit_of_the_configuration_moves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Membership("ml", tmp_path / "vcluster").told("ml")
    with caplog.at_level(logging.ERROR):
        membership = Membership("lax", tmp_path / "vcluster")
    assert (membership.vcluster, membership.moved) == ("ml", "")
    assert "enrolled in ml" in caplog.text


def test_the_journal_moves_it_at_the_next_start(tmp_path: Path) -> None:
    membership = Membership("ml", tmp_path / "vcluster")
    membership.told("ml")
    membership.told("hpc")
    assert (membership.vcluster, membership.moved) == ("ml", "the node was moved from vCluster ml to hpc")
    assert Membership("ml", tmp_path / "vcluster").vcluster == "hpc"


def test_what_cant_be_kept_is_not_begun_anew_with(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("no directory")
    membership = Membership("ml", tmp_path / "config" / "vcluster")
    membership.told("hpc")
    assert membership.moved == ""


@pytest.mark.parametrize("content", [b"", b"\n", b"../x\n", b"\xff", b"ML"])
def test_a_damaged_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vcluster").write_bytes(content)
    assert Membership("ml", tmp_path / "vcluster").vcluster == "ml"

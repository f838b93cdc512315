"""What packaging/ ships is what the programs accept."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from pact_agent.config import load_config as load_agent_config

from pactsh.journal.config import load_config as load_journal_config

PACKAGING = Path(__file__).parents[2] / "packaging"


def test_the_agent_reads_its_example() -> None:
    config = load_agent_config(PACKAGING / "agent.toml")
    assert config.node == "node042"
    assert config.journal is not None
    assert config.ssh is not None
    assert config.local_users == {}  # nobody is let in who wasn't named


def test_the_journal_reads_its_example() -> None:
    config = load_journal_config(PACKAGING / "journal.toml", {})
    assert config.dev_issuer is None
    assert config.listen_agents is not None


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here: apt-get install systemd")
def test_units_are_understood() -> None:
    units = [unit for unit in (PACKAGING / "systemd").iterdir() if unit.suffix in {".service", ".socket"}]
    assert len(units) >= 3
    for unit in units:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        wrong = [line for line in done.stderr.splitlines() if unit.name in line and "is not executable" not in line]
        assert wrong == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here: apt-get install systemd")
def test_the_journal_may_do_little() -> None:
    unit = PACKAGING / "systemd" / "pact-journal.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]

"""The configuration for OpenSSH, read back by OpenSSH itself."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pactsh.auth.credentials import SshCredentials
from pactsh.cli.sshconfig import render_config
from pactsh.errors import PactError

WHEN = datetime(2026, 1, 31, tzinfo=UTC)


def credentials(directory: Path) -> SshCredentials:
    return SshCredentials(directory / "id", directory / "id-cert.pub", "alice@org", WHEN, WHEN)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed: apt-get install openssh-client")
def test_openssh_understands_it(tmp_path: Path) -> None:
    directory = tmp_path / "with space"
    directory.mkdir()
    text = render_config([("node042", "10.0.0.42", 9445)], credentials(directory), directory / "known", "true")
    config = tmp_path / "config"
    config.write_text(text)
    shown = subprocess.run(["ssh", "-G", "-F", str(config), "node042"], capture_output=True, text=True, check=True)
    options = dict(line.split(" ", 1) for line in shown.stdout.splitlines() if " " in line)
    assert (options["hostname"], options["port"], options["user"]) == ("10.0.0.42", "9445", "alice@org")
    assert options["hostkeyalias"] == "node042"
    assert options["stricthostkeychecking"] == "true"
    assert options["certificatefile"] == str(directory / "id-cert.pub")
    assert (options["forwardagent"], options["forwardx11"]) == ("no", "no")
    other = subprocess.run(["ssh", "-G", "-F", str(config), "elsewhere"], capture_output=True, text=True, check=True)
    assert "id-cert.pub" not in other.stdout


def test_no_nodes_is_no_match_block(tmp_path: Path) -> None:
    assert "Match" not in render_config([], credentials(tmp_path), tmp_path / "known", "true")


def test_a_path_that_ssh_config_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PactError, match="quotes"):
        render_config([], credentials(tmp_path / 'a"b'), tmp_path / "known", "true")

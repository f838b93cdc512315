"""Files that a vCluster's policy may add to `pact diag`, and those that none may."""

from __future__ import annotations

import pytest

from pactsh.errors import UsageError
from pactsh.policy.files import parse_policy_file
from pactsh.policy.logpaths import MOST_PATHS, log_path_fault
from tests.pactsh.catalog.deciding import shipped


@pytest.mark.parametrize("path", ["/var/log/slurm/slurmd.log", "/var/log/*.log", "/var/log/a[0-9]/x?", "/var/log/x y"])
def test_logs_may_be_shown(path: str) -> None:
    assert log_path_fault(path) == ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "expected up to 500 characters"),
        ("/var/log/" + "x" * 500, "expected up to 500 characters"),
        ("/var/log/a\x1b[2J", "none of them unprintable"),
        ("/var/log/a\udcff", "none of them unprintable"),
        ("slurm.log", "written in full"),
        ("/var/log/../../etc/shadow", "written in full"),
        ("/var/log//x", "written in full"),
        ("/var/log/x/", "written in full"),
        ("/var/log", "not below /var/log"),
        ("/var/logs/x", "not below /var/log"),
        ("/etc/passwd", "not below /var/log"),
        ("/*", "not below /var/log"),
        ("/var/lib/pact/spool", "not below /var/log"),
        ("/dev/mem", "not below /var/log"),
        ("/var/log/**", "`**` is not known"),
        ("/var/log/x/.ssh/config", "is a secret"),
        ("/var/log/host.key", "is a secret"),
    ],
)
def test_nothing_else_may(path: str, why: str) -> None:
    assert why in log_path_fault(path)


def test_a_policy_file_is_checked() -> None:
    def parsed(text: str) -> tuple[str, ...]:
        return parse_policy_file(text, "ml.toml", "ml", shipped()).diag_paths

    assert parsed('diag_paths = ["/var/log/slurm/*.log"]') == ("/var/log/slurm/*.log",)
    with pytest.raises(UsageError, match=r"^ml\.toml: line 2: diag_paths\[1\]: is not below /var/log: only logs"):
        parsed('\ndiag_paths = ["/var/log/x", "/etc/shadow"]')
    with pytest.raises(UsageError, match=rf"diag_paths: has over {MOST_PATHS} paths"):
        parsed(f"diag_paths = {[f'/var/log/{n}' for n in range(MOST_PATHS + 1)]}")
    with pytest.raises(UsageError, match="Expected `array`, got `str`"):
        parsed('diag_paths = "/var/log/x"')

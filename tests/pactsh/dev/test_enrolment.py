from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

from pact_agent.config import load_config

from pactsh.dev.enrolment import render_toml, write_agent_config


def test_toml_comes_back() -> None:
    tables: dict[str, dict[str, object]] = {"": {"a": 'q"\\\n', "n": 3}, "b.c": {"list": ["x", "é"], "empty": []}}
    assert tomllib.loads(render_toml(tables)) == {
        "a": 'q"\\\n',
        "n": 3,
        "b": {"c": {"list": ["x", "é"], "empty": []}},
    }


def test_the_agent_reads_what_is_written(tmp_path: Path) -> None:
    write_agent_config(
        tmp_path,
        "node042",
        "ml-training",
        journal_socket=Path("/run/x/journal.sock"),
        ssh_port=1234,
        missing=["network namespace (Operation not permitted)"],
        uid=0,
        has_nobody=True,
    )
    config = load_config(tmp_path / "agent.toml")
    assert (config.node, config.vcluster, config.shell_user) == ("node042", "ml-training", "nobody")
    assert config.missing == ("network namespace (Operation not permitted)",)
    assert config.journal is not None
    assert config.journal.endpoint == "unix:/run/x/journal.sock"
    assert config.journal.key.is_relative_to(config.state_dir)
    assert config.ssh is not None
    assert config.ssh.advertise == "127.0.0.1:1234"
    assert config.ssh.host_key.is_relative_to(config.state_dir)
    assert list(config.local_users) == ["0"]
    assert stat.S_IMODE(os.stat(tmp_path / "agent.toml").st_mode) == 0o600


def test_without_nobody_sessions_run_as_the_agent_does(tmp_path: Path) -> None:
    write_agent_config(tmp_path, "n", "v", journal_socket=Path("/s"), ssh_port=1, missing=[], uid=0, has_nobody=False)
    assert load_config(tmp_path / "agent.toml").shell_user == "root"

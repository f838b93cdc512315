"""The agent's configuration: what is wrong with it is said with the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pact_agent.config import Config, Journal, Limits, LocalUser, Ssh, load_config

from pactsh.errors import UsageError

MINIMAL = 'node = "node042"\nvcluster = "ml-training"\n'
JOURNAL = '[journal]\nendpoint = "unix:s"\nca = "ca.pem"\ncert = "/etc/pact/cert.pem"\nkey = "key.pem"\n'
SSH = '[ssh]\nuser_ca = "users.pub"\nhost_key = "host"\nhost_cert = "host-cert.pub"\n'


def load(directory: Path, text: str) -> Config:
    (directory / "agent.toml").write_text(text)
    return load_config(directory / "agent.toml")


def test_two_keys_are_enough(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert (config.node, config.vcluster) == ("node042", "ml-training")
    assert (config.journal, config.ssh, config.local_users) == (None, None, {})
    assert config.containment == "required"
    assert config.limits == Limits()
    assert config.socket_path == Path("/run/pact/agent.sock")


def test_everything_is_taken_over_and_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + 'state_dir = "state"\nrun_dir = "/run/elsewhere"\nmissing = ["no root"]\ncontainment = "best-effort"\n'
        + JOURNAL
        + SSH
        + 'port = 0\nadvertise = "n:22"\n'
        + "[limits]\nsessions = 3\nspool_bytes = 1048576\n"
        + '[services]\ndirectory = "services"\nstop_with_agent = true\n'
        + '[local_users.0]\nprincipal = "alice@org"\nroles = ["pact-ops-ml-training"]\n'
    )
    config = load(tmp_path, text)
    assert config.state_dir == tmp_path / "state"
    assert config.socket_path == Path("/run/elsewhere/agent.sock")
    assert config.journal == Journal("unix:s", tmp_path / "ca.pem", Path("/etc/pact/cert.pem"), tmp_path / "key.pem")
    assert config.ssh == Ssh(
        tmp_path / "users.pub", tmp_path / "host", tmp_path / "host-cert.pub", port=0, advertise="n:22"
    )
    assert (config.limits.sessions, config.limits.spool_bytes) == (3, 1 << 20)
    assert config.local_users == {"0": LocalUser("alice@org", ("pact-ops-ml-training",))}
    assert config.missing == ("no root",)
    assert (config.services.directory, config.services.stop_with_agent) == (tmp_path / "services", True)


WRONG = {
    "no node": ('vcluster = "v"\n', "node"),
    "no vcluster": ('node = "n"\n', "vcluster"),
    "unknown key": (MINIMAL + "nodes = 1\n", "nodes"),
    "unknown key of services": (MINIMAL + "[services]\nstop = true\n", "services"),
    "unknown section": (MINIMAL + "[telemetry]\non = true\n", "telemetry"),
    "node of another type": ('node = 42\nvcluster = "v"\n', "node"),
    "node in capitals": ('node = "Node042"\nvcluster = "v"\n', "node"),
    "node with a path": ('node = "../n"\nvcluster = "v"\n', "node"),
    "node with a line break": ('node = "n\\n"\nvcluster = "v"\n', "node"),
    "empty node": ('node = ""\nvcluster = "v"\n', "node"),
    "node too long": (f'node = "{"n" * 64}"\nvcluster = "v"\n', "node"),
    "containment off": (MINIMAL + 'containment = "off"\n', "containment"),
    "path of another type": (MINIMAL + "state_dir = 3\n", "state_dir"),
    "empty path": (MINIMAL + SSH.replace('"host"', '""'), "ssh.host_key"),
    "path with a zero byte": (MINIMAL + 'run_dir = "/run/\\u0000"\n', "run_dir"),
    "missing of another type": (MINIMAL + 'missing = "ssh"\n', "missing"),
    "no sessions": (MINIMAL + "[limits]\nsessions = 0\n", "limits.sessions"),
    "timeout below zero": (MINIMAL + "[limits]\nidle_timeout_s = -1\n", "limits.idle_timeout_s"),
    "timeout as text": (MINIMAL + '[limits]\ncommand_timeout_s = "1h"\n', "limits.command_timeout_s"),
    "timeout with a fraction": (MINIMAL + "[limits]\nexec_timeout_s = 1.5\n", "limits.exec_timeout_s"),
    "truth for a number": (MINIMAL + "[limits]\nprocesses = true\n", "limits.processes"),
    "spool too small": (MINIMAL + "[limits]\nspool_bytes = 1048575\n", "limits.spool_bytes"),
    "unknown limit": (MINIMAL + "[limits]\ncpus = 2\n", "cpus"),
    "journal without a key": (MINIMAL + JOURNAL.replace('key = "key.pem"\n', ""), "key"),
    "journal with a password": (MINIMAL + JOURNAL + 'password = "x"\n', "password"),
    "port too high": (MINIMAL + SSH + "port = 65536\n", "ssh.port"),
    "port below zero": (MINIMAL + SSH + "port = -1\n", "ssh.port"),
    "no login time": (MINIMAL + SSH + "login_timeout_s = 0\n", "ssh.login_timeout_s"),
    "user without roles": (MINIMAL + '[local_users.0]\nprincipal = "a"\n', "roles"),
    "user without a name": (MINIMAL + "[local_users.0]\nroles = []\n", "principal"),
    "role as text": (MINIMAL + '[local_users.0]\nprincipal = "a"\nroles = "admin"\n', "roles"),
    "user with more": (MINIMAL + '[local_users.0]\nprincipal = "a"\nroles = []\nsudo = true\n', "sudo"),
}


@pytest.mark.parametrize(("text", "key"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path / 'agent.toml'}: ")
    assert key in caught.value.message.removeprefix(str(tmp_path))


@pytest.mark.parametrize("content", [b"node = ", b"\xff\xfe", b'node = "a"\nnode = "b"\n', b"\x00"])
def test_what_is_no_toml_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not valid TOML"):
        load_config(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: No such file or directory"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="Is a directory"):
        load_config(tmp_path)

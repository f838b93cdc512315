"""The journal's tables of the systems that it calls: strictly read, secrets from private files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pactsh.errors import UsageError
from pactsh.journal.config import load_config


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "journal.toml"
    path.write_text(f'data_dir = "{tmp_path}/data"\n{text}')
    return path


def secret(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_none_is_configured_unless_it_is_said(tmp_path: Path) -> None:
    systems = load_config(written(tmp_path, ""), {}).systems()
    assert (systems.lattice, systems.openchami) == (None, None)


def test_both_are_what_the_clients_take(tmp_path: Path) -> None:
    file = secret(tmp_path, "t0ken\n")
    text = f"""
[lattice]
endpoint = "https://lattice.example.org:50051"
token_file = "{file}"
ca = "/ca"
[openchami]
smd_url = "https://smd.example.org/hsm/v2"
backend = "redfish"
names = "nid"
bmc_user = "root"
bmc_password_file = "{file}"
bmc_fingerprint = "{"ab:" * 31}cd"
[openchami.xnames]
node042 = "x1000c0s0b0n0"
"""
    systems = load_config(written(tmp_path, text), {}).systems()
    assert systems.lattice is not None
    assert systems.openchami is not None
    assert systems.lattice.endpoint == "https://lattice.example.org:50051"
    assert systems.lattice.token is not None
    assert systems.lattice.token.reveal() == "t0ken"
    assert systems.openchami.bmc_password is not None
    assert systems.openchami.bmc_password.reveal() == "t0ken"
    assert systems.openchami.xnames == {"node042": "x1000c0s0b0n0"}
    assert "t0ken" not in repr(systems)
    assert systems.lattice.name("ca") == "[lattice] ca", "what an admin of the journal would set"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[lattice]\n", "lattice.endpoint: Field required"),
        ('[lattice]\nendpoint = "h"\n', "lattice.endpoint: expected HOST:PORT"),
        ('[lattice]\nendpoint = "h:1"\ntoken = "x"\n', "lattice.token: Extra inputs"),
        ('[openchami]\nsmd_url = "ftp://x"\n', "openchami.smd_url: expected http://"),
        ('[openchami]\nsmd_url = "https://user:pass@h/"\n', "openchami.smd_url: expected http://"),
        ('[openchami]\nsmd_url = "https://h"\nbackend = "ipmi"\n', "openchami.backend: Input should be"),
        ('[openchami]\nsmd_url = "https://h"\nbmc_fingerprint = "ab"\n', "openchami.bmc_fingerprint: expected a SHA"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(written(tmp_path, text), {})
    assert words in caught.value.message


def test_a_secret_that_others_may_read_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = secret(tmp_path, "t0ken", 0o644)
    config = load_config(written(tmp_path, f'[lattice]\nendpoint = "h:1"\ntoken_file = "{file}"\n'), {})
    with pytest.raises(UsageError, match="others may read it"):
        config.systems()
    file.unlink()
    with pytest.raises(UsageError, match="no such file"):
        config.systems()
    file.write_bytes(b"\xff")
    file.chmod(0o600)
    with pytest.raises(UsageError, match="not ASCII"):
        config.systems()
    file.write_bytes(b"\n")
    with pytest.raises(UsageError, match="empty"):
        config.systems()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = secret(tmp_path, "-----BEGIN PRIVATE KEY-----", 0o640)
    text = f'[lattice]\nendpoint = "h:1"\ncert = "/cert"\nkey = "{file}"\n'
    config = load_config(written(tmp_path, text), {})
    with pytest.raises(UsageError, match="others may read it"):
        config.systems()
    file.chmod(0o600)
    assert config.systems().lattice is not None

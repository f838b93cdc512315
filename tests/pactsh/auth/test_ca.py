"""The authority's directory: private, whole, never overwritten."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pactsh.auth.ca import Authority
from pactsh.errors import PactError, UsageError


def test_keys_are_private_and_survive_a_restart(tmp_path: Path, authority: Authority) -> None:
    directory = tmp_path / "ca"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    again = Authority.load(directory)
    assert again.ca_pem == authority.ca_pem
    assert (again.ssh_user_ca, again.ssh_host_ca) == (authority.ssh_user_ca, authority.ssh_host_ca)
    again.head_key.public_key().verify(authority.head_key.sign(b"head"), b"head")
    lines = [again.ssh_user_ca.split()[1], again.ssh_host_ca.split()[1]]
    assert len(set(lines)) == 2  # one key for each purpose


def test_an_authority_is_never_overwritten(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(UsageError, match="not empty") as caught:
        Authority.create(tmp_path / "ca")
    assert "overwritten" in caught.value.hint
    assert Authority.load(tmp_path / "ca").ca_pem == authority.ca_pem
    assert [path.name for path in tmp_path.iterdir()] == ["ca"]


def test_of_many_creators_one_wins_and_all_is_whole(tmp_path: Path) -> None:
    def create(_n: int) -> bytes | None:
        try:
            return Authority.create(tmp_path / "ca").ca_pem
        except PactError:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [pem for pem in pool.map(create, range(8)) if pem is not None]
    assert made == [Authority.load(tmp_path / "ca").ca_pem]
    assert [path.name for path in tmp_path.iterdir()] == ["ca"]


def test_an_authority_that_others_may_read_is_refused(tmp_path: Path, authority: Authority) -> None:
    directory = tmp_path / "ca"
    directory.chmod(0o750)
    with pytest.raises(UsageError, match="others may read it") as caught:
        Authority.load(directory)
    assert caught.value.hint == f"chmod 700 {directory}"
    directory.chmod(0o700)
    for name in ("tls-ca.key", "ssh-user-ca.key", "ssh-host-ca.key", "head.key"):
        (directory / name).chmod(0o640)
        with pytest.raises(UsageError, match=name):
            Authority.load(directory)
        (directory / name).chmod(0o600)
    (directory / "real").mkdir()
    (tmp_path / "link").symlink_to(directory)
    with pytest.raises(UsageError):
        Authority.load(tmp_path / "link")


def test_a_damaged_authority_says_which_file(tmp_path: Path, authority: Authority) -> None:
    directory = tmp_path / "ca"
    with pytest.raises(UsageError, match="missing"):
        Authority.load(tmp_path / "missing")
    keys = {path.name: path.read_bytes() for path in directory.iterdir()}
    other = Authority.create(tmp_path / "other")
    (directory / "ca.pem").write_bytes(other.ca_pem)
    with pytest.raises(UsageError, match="does not belong"):
        Authority.load(directory)
    (directory / "ca.pem").write_bytes(keys["ca.pem"])
    for wrong in (b"", b"garbage", keys["tls-ca.key"]):
        (directory / "head.key").write_bytes(wrong)
        with pytest.raises(UsageError, match=r"head\.key"):
            Authority.load(directory)
    (directory / "head.key").unlink()
    with pytest.raises(UsageError, match=r"head\.key"):
        Authority.load(directory)

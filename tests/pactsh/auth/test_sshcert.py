"""SSH certificates, as OpenSSH shows them."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pactsh.auth.ca import Authority
from pactsh.errors import AuthError
from pactsh.model.identity import Identity

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ALICE = Identity("alice@example.org", ("pact-ops-ml-training", "pact-viewer-dev"), "human", "token")


def keygen(tmp_path: Path, *options: str) -> Path:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", path, *options], check=True)
    return path


def shown(tmp_path: Path, certificate: str) -> dict[str, list[str]]:
    """`ssh-keygen -L`, as its fields: the words after each `Name:`, and the lines below it."""
    (tmp_path / "shown.pub").write_text(certificate + "\n")
    command = ["ssh-keygen", "-L", "-f", str(tmp_path / "shown.pub")]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"})
    fields: dict[str, list[str]] = {}
    name = ""
    for line in output.stdout.splitlines()[1:]:
        if line.startswith(" " * 16):
            fields[name].append(line.strip())
        else:
            name, _, value = line.strip().partition(":")
            fields[name] = [value.strip()] if value.strip() else []
    return fields


def fingerprint(tmp_path: Path, public: str) -> str:
    (tmp_path / "ca.pub").write_text(public + "\n")
    command = ["ssh-keygen", "-l", "-f", str(tmp_path / "ca.pub")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "ecdsa", "-b", "384"), ("-t", "rsa", "-b", "3072")], ids=lambda o: o[1]
)
def test_openssh_reads_a_user_certificate_as_meant(
    tmp_path: Path, authority: Authority, options: tuple[str, ...]
) -> None:
    public = keygen(tmp_path, *options).with_suffix(".pub").read_text()
    line = authority.sign_ssh_user(public, ALICE, lifetime_s=3600, serial=42, now=NOW)
    fields = shown(tmp_path, line)
    assert fields["Type"][0].endswith("user certificate")
    assert fields["Key ID"] == ['"pact human alice@example.org serial=42"']
    assert fields["Serial"] == ["42"]
    assert fields["Valid"] == ["from 2026-01-31T11:59:00 to 2026-01-31T13:00:00"]
    assert fields["Principals"] == ["alice@example.org", "role=pact-ops-ml-training", "role=pact-viewer-dev"]
    assert fields["Critical Options"] == ["(none)"]
    assert fields["Extensions"] == ["permit-pty"]
    assert fingerprint(tmp_path, authority.ssh_user_ca) in fields["Signing CA"][0]


def test_no_certificate_outlives_eight_hours_or_the_token(tmp_path: Path, authority: Authority) -> None:
    public = keygen(tmp_path, "-t", "ed25519").with_suffix(".pub").read_text()
    line = authority.sign_ssh_user(public, ALICE, lifetime_s=30 * 86400, serial=1, now=NOW)
    assert shown(tmp_path, line)["Valid"] == ["from 2026-01-31T11:59:00 to 2026-01-31T20:00:00"]
    for ended in (0, -1):
        with pytest.raises(AuthError):
            authority.sign_ssh_user(public, ALICE, lifetime_s=ended, serial=1, now=NOW)


def test_weak_and_foreign_user_keys_are_refused(tmp_path: Path, authority: Authority) -> None:
    short = keygen(tmp_path, "-t", "rsa", "-b", "2048").with_suffix(".pub").read_text()
    with pytest.raises(AuthError, match="2048 bits is too short"):
        authority.sign_ssh_user(short, ALICE, lifetime_s=60, serial=1, now=NOW)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI\n\nssh-ed25519 AAAA",
        "ssh-dss AAAAB3NzaC1kc3MAAAAEAAAAAQ==",
        "ssh-ed25519 \udcff",
        "x" * 100_000,
    ],
)
def test_garbage_is_no_user_key(authority: Authority, line: str) -> None:
    with pytest.raises(AuthError):
        authority.sign_ssh_user(line, ALICE, lifetime_s=60, serial=1, now=NOW)


def test_a_certificate_in_place_of_a_key_passes_nothing_on(tmp_path: Path, authority: Authority) -> None:
    public = keygen(tmp_path, "-t", "ed25519").with_suffix(".pub").read_text()
    certificate = authority.sign_ssh_user(public, ALICE, lifetime_s=60, serial=1, now=NOW)
    again = authority.sign_ssh_user(certificate, ALICE, lifetime_s=3600, serial=2, now=NOW)
    assert shown(tmp_path, again)["Serial"] == ["2"]
    assert shown(tmp_path, again)["Valid"] == ["from 2026-01-31T11:59:00 to 2026-01-31T13:00:00"]


def test_host_certificates_name_hosts_exactly(tmp_path: Path, authority: Authority) -> None:
    public = keygen(tmp_path, "-t", "ed25519").with_suffix(".pub").read_text()
    fields = shown(tmp_path, authority.sign_ssh_host(public, ["node042", "10.1.2.3", "::1"]))
    assert fields["Type"][0].endswith("host certificate")
    assert fields["Principals"] == ["node042", "10.1.2.3", "::1"]
    assert fields["Extensions"] == ["(none)"]
    assert fingerprint(tmp_path, authority.ssh_host_ca) in fields["Signing CA"][0]
    for wrong in ([], ["*"], ["node0*"], ["a,b"], ["a b"], ["-oProxyCommand=x"], [""]):
        with pytest.raises(AuthError):
            authority.sign_ssh_host(public, wrong)

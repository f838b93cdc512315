"""What the authority signs, as OpenSSH and OpenSSL see it."""

import os
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pactsh.auth.ca import Authority, agent_node, new_agent_request
from pactsh.errors import AuthError, PactError, UsageError
from pactsh.model.identity import Identity

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ALICE = Identity("alice@example.org", ("pact-ops-ml-training", "pact-viewer-dev"), "human", "token")


def clock() -> datetime:
    return NOW


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", clock=clock)


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


def test_an_agent_certificate_names_its_node_and_can_only_be_a_client(authority: Authority) -> None:
    _key, csr = new_agent_request("node042")
    pem = authority.agent_certificate("node042", csr)
    certificate = x509.load_pem_x509_certificate(pem)
    assert agent_node(pem) == "node042"
    assert agent_node(certificate.public_bytes(serialization.Encoding.DER)) == "node042"
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc - NOW == timedelta(days=3)
    assert NOW - certificate.not_valid_before_utc == timedelta(seconds=60)


def test_the_node_is_the_one_asked_for_not_the_one_in_the_request(authority: Authority) -> None:
    _key, csr = new_agent_request("node666")
    assert agent_node(authority.agent_certificate("node042", csr)) == "node042"


def test_bad_certificate_requests_are_refused(tmp_path: Path, authority: Authority) -> None:
    _key, csr = new_agent_request("node042")
    der = bytearray(x509.load_pem_x509_csr(csr).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1  # the signature's last byte
    tampered = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    weak = subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", tmp_path / "k"],
        check=True,
        capture_output=True,
    ).stdout
    for bad in (tampered, weak, b"", b"garbage", csr[:200], b"x" * 100_000):
        with pytest.raises(AuthError):
            authority.agent_certificate("node042", bad)
    for name in ("", "Node", "a b", "../x", "node042\n", "-x", "x" * 64):
        with pytest.raises(AuthError):
            authority.agent_certificate(name, csr)


def test_a_server_certificate_is_no_agent(authority: Authority) -> None:
    certificate, _key = authority.server_certificate(["pact-journal"], lifetime_s=3600)
    for other in (certificate, authority.ca_pem, b"", b"garbage", b"-----BEGIN CERTIFICATE-----"):
        with pytest.raises(AuthError):
            agent_node(other)


def handshake(tmp_path: Path, authority: Authority, *, trusted: bytes, name: str) -> None:
    """A TLS handshake in memory between a server with a fresh certificate and an agent's client."""
    certificate, key = authority.server_certificate(["pact-journal", "127.0.0.1"], lifetime_s=3600)
    agent_key, csr = new_agent_request("node042")
    files = {"s.pem": certificate, "s.key": key, "a.key": agent_key, "a.pem": authority.agent_certificate("n", csr)}
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "s.pem", tmp_path / "s.key")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=authority.ca_pem.decode())
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=trusted.decode())
    client.load_cert_chain(tmp_path / "a.pem", tmp_path / "a.key")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    for _round in range(4):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not ends


def test_tls_handshakes_succeed_with_this_authority_alone(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    other = Authority.create(tmp_path / "other")
    handshake(tmp_path, authority, trusted=authority.ca_pem, name="pact-journal")
    handshake(tmp_path, authority, trusted=authority.ca_pem, name="127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, authority, trusted=other.ca_pem, name="pact-journal")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, authority, trusted=authority.ca_pem, name="elsewhere")


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

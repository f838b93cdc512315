"""TLS certificates, as OpenSSL and the other end see them."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pactsh.auth.ca import Authority
from pactsh.auth.tls import agent_node, new_agent_request
from pactsh.errors import AuthError

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


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

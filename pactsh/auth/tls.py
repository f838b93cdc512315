"""TLS certificates: the authority's own, the journal's, the agents', and requests for them.

P-256 throughout: the TLS library under gRPC offers no Ed25519 certificates. A certificate
carries only what this module puts there; of a request, the public key alone is used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pactsh.auth.names import check_host, check_node
from pactsh.auth.sshcert import BACKDATE_S, MIN_RSA_BITS
from pactsh.errors import AuthError

AUTHORITY_LIFETIME = timedelta(days=3650)
AGENT_URI = "pact://agent/"
MAX_CSR = 16 << 10

RequestedKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_PEM = serialization.Encoding.PEM


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as unencrypted PKCS #8 in PEM."""
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """The authority's own certificate: it may sign end certificates and nothing below those."""
    name = _name("pact authority")
    builder = _builder(name, key.public_key(), now, AUTHORITY_LIFETIME)
    return (
        builder.issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


class Signer:
    """Signs end certificates with the authority's key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    def server(self, key: ec.EllipticCurvePublicKey, names: Sequence[str], now: datetime, lifetime: timedelta) -> bytes:
        """A server certificate in PEM for host names and addresses; the first is its subject."""
        if not names:
            raise AuthError("a server certificate needs a name")
        alternatives = [_general_name(check_host(name)) for name in names]
        return self._sign(key, names[0], alternatives, ExtendedKeyUsageOID.SERVER_AUTH, now, lifetime)

    def agent(self, key: RequestedKey, node: str, now: datetime, lifetime: timedelta) -> bytes:
        """A client certificate in PEM that names `node` in its URI `pact://agent/<node>`."""
        uri = x509.UniformResourceIdentifier(AGENT_URI + check_node(node))
        return self._sign(key, node, [uri], ExtendedKeyUsageOID.CLIENT_AUTH, now, lifetime)

    def _sign(
        self,
        key: RequestedKey,
        subject: str,
        alternatives: list[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
        now: datetime,
        lifetime: timedelta,
    ) -> bytes:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_name(subject[:64]), key, now, lifetime)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(_PEM)


def new_agent_request(node: str) -> tuple[bytes, bytes]:
    """Make an agent's key and its certificate request: (key, request), both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(check_node(node)))
    return key_pem(key), request.sign(key, hashes.SHA256()).public_bytes(_PEM)


def requested_key(csr_pem: bytes) -> RequestedKey:
    """The public key of a request whose sender proved to hold it; raises `AuthError` for any other.

    P-256, P-384 or RSA of 3072 bits up, signed with SHA-2. Names and extensions it asks for are ignored.
    """
    if len(csr_pem) > MAX_CSR:
        raise AuthError(f"a certificate request is at most {MAX_CSR} bytes")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        digest = request.signature_hash_algorithm
        signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise AuthError("not a certificate request", detail=str(error)) from error
    if not signed:
        raise AuthError("the certificate request's signature is wrong")
    if not isinstance(digest, _HASHES):
        raise AuthError("the certificate request is signed with a weak or unknown hash")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return key
    raise AuthError("the certificate request's key is of a type or size that is not certified")


class AgentProof(NamedTuple):
    """What an agent's certificate says: its node, and when it was signed (seconds since the epoch, rounded down)."""

    node: str
    issued_at: float


def agent_node(certificate: bytes) -> str:
    """The node that a verified client certificate (PEM or DER) names; raises like `agent_proof`."""
    return agent_proof(certificate).node


def agent_proof(certificate: bytes) -> AgentProof:
    """What a verified client certificate (PEM or DER) says.

    The TLS layer has checked chain and dates; this reads the name: exactly one URI
    `pact://agent/<node>`, for client authentication. Raises `AuthError` for anything else.
    """
    try:
        if certificate.lstrip().startswith(b"-----BEGIN"):
            parsed = x509.load_pem_x509_certificate(certificate)
        else:
            parsed = x509.load_der_x509_certificate(certificate)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise AuthError("not an agent's certificate", detail=str(error)) from error
    if list(purposes) != [ExtendedKeyUsageOID.CLIENT_AUTH] or len(names) != 1:
        raise AuthError("not an agent's certificate", detail=f"{purposes!r} {names!r}")
    (uri,) = list(names)
    if not isinstance(uri, x509.UniformResourceIdentifier) or not uri.value.startswith(AGENT_URI):
        raise AuthError("not an agent's certificate", detail=repr(uri))
    begins = parsed.not_valid_before_utc.timestamp()
    return AgentProof(check_node(uri.value.removeprefix(AGENT_URI)), begins + BACKDATE_S)


def _builder(subject: x509.Name, key: RequestedKey, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=BACKDATE_S))
        .not_valid_after(now + lifetime)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )

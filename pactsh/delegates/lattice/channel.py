"""The connection to lattice: TLS or plain, what goes along with a call, and how long it may take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from pactsh.delegates.lattice import admin_pb2, allocations_pb2, nodes_pb2
from pactsh.delegates.lattice.faults import MOST_BYTES, Call, fault, unreadable
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import AuthError, PactError, UsageError

_ENDPOINT = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<address>(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5}))/?"
)
_HIGHEST_PORT = 65535
_TOKEN = re.compile(r"[!-~]+")
_SYSTEM_CA = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|\[::1\]")
_READS = ("List", "Get", "ListDags", "GetDag", "ListNodes", "GetNode", "Health", "GetVClusterQueue", "GetRaftStatus",
          "QueryAudit", "GetAccountingUsage", "GetTenantUsage", "GetUserUsage", "BackupVerify", "ListServices",
          "LookupService")  # fmt: skip


def _methods() -> dict[str, tuple[str, Any, Any]]:
    return {
        f"{service.name}/{method.name}": (
            f"/{service.full_name}/{method.name}",
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
        )
        for module in (allocations_pb2, nodes_pb2, admin_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


METHODS = _methods()
"""`Service/Method` to its path, and the classes of its request and reply."""


def _retries() -> str:
    """gRPC's own way of asking again, for reads alone (gRFC A6)."""
    names = [
        {"service": path.split("/")[1], "method": name.split("/")[1]}
        for name, (path, _, _) in METHODS.items()
        if name.split("/")[1] in _READS
    ]
    policy = {
        "maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }  # fmt: skip
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": policy}]})


class Channel:
    """A connection for one person. `call` raises `PactError`s alone."""

    def __init__(self, settings: LatticeSettings, *, user: str, timeout_s: float) -> None:
        match = _ENDPOINT.fullmatch(settings.endpoint)
        if match is None or not 1 <= int(match["port"]) <= _HIGHEST_PORT:  # gRPC would wrap a port around
            raise UsageError(
                f"{settings.name('endpoint')} {settings.endpoint!r}: expected HOST:PORT, http://HOST:PORT or"
                " https://HOST:PORT"
            )
        self.address, self.timeout_s = match["address"], timeout_s
        scheme = match["scheme"] or ("http" if _LOOPBACK.fullmatch(match["host"]) and settings.ca is None else "https")
        self.is_tls = scheme == "https"
        self._settings, self._user = settings, user
        self._channel: grpc.Channel | None = None

    def open(self) -> None:
        """Prepare; nothing is sent before the first call. Raises `UsageError` for files that can't be used."""
        options = [
            ("grpc.max_receive_message_length", MOST_BYTES),
            ("grpc.enable_http_proxy", 0),
            ("grpc.service_config", _retries()),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.is_tls:
            self._channel = grpc.secure_channel(self.address, self._credentials(), options=options)
        else:
            self._channel = grpc.insecure_channel(self.address, options=options)

    def close(self) -> None:
        """Let go of the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _credentials(self) -> grpc.ChannelCredentials:
        given = self._settings
        if (given.cert is None) != (given.key is None):
            raise UsageError(f"{given.name('cert')} and {given.name('key')} belong together")
        ca, cert, key = (_read(given, field) for field in ("ca", "cert", "key"))
        _checked(given)
        return grpc.ssl_channel_credentials(ca or _system_ca(), key, cert)

    def call(self, method: str, request: Any, *, again: bool, named: bool = True) -> Any:
        """One request, one reply. `again`: it may be repeated; `named`: it says for whom it is."""
        path, _, reply = METHODS[method]
        assert again == (method.split("/")[1] in _READS), method
        if self._channel is None:
            raise PactError("this connection to lattice is not open")
        call = self._channel.unary_unary(path, type(request).SerializeToString, bytes)
        this = Call(method, self._settings, self.address, self.is_tls, self.timeout_s, again)
        try:
            answer = call(request, timeout=self.timeout_s, metadata=self._metadata(named))
        except grpc.RpcError as error:
            raise fault(this, error.code().name, error.details() or "") from error
        try:
            return reply.FromString(answer)
        except DecodeError as error:
            raise unreadable(this) from error

    def _metadata(self, named: bool) -> tuple[tuple[str, str], ...]:
        token = self._settings.token
        sent: tuple[tuple[str, str], ...] = ()
        if token is not None:
            text = token.reveal()
            if not _TOKEN.fullmatch(text):
                what = "holds characters that no token has" if text else "is empty"
                raise AuthError(f"lattice's token {what}", hint=f"check {self._settings.name('token')}")
            sent = (("authorization", f"Bearer {text}"),)
        return (*sent, ("x-lattice-user", _name(self._user))) if named and self._user else sent


def _name(user: str) -> str:
    """A person's name as metadata can carry it: what is not printable ASCII goes percent-encoded."""
    return quote(user, safe="".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%"))


def _read(settings: LatticeSettings, field: str) -> bytes | None:
    path: Path | None = getattr(settings, field)
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{settings.name(field)}: {path}: {error.strerror}") from error


def _system_ca() -> bytes | None:
    """The system's own certificates: gRPC would take a list that it brings along. None where there is no such file."""
    import ssl

    given = ssl.get_default_verify_paths().cafile  # SSL_CERT_FILE is looked at there
    for path in (given, *_SYSTEM_CA):
        if path is not None and Path(path).is_file():
            return Path(path).read_bytes()
    return None


def _checked(settings: LatticeSettings) -> None:
    """Raise `UsageError` for files that are none of the kind; gRPC says of all of them the same, and not which."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ca is not None:
        try:
            context.load_verify_locations(settings.ca)
        except ssl.SSLError as error:
            raise UsageError(f"{settings.name('ca')}: {settings.ca}: holds no certificates (PEM)") from error
    if settings.cert is not None:
        try:
            context.load_cert_chain(settings.cert, settings.key, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(
                f"{settings.name('cert')} and {settings.name('key')}: {settings.cert} and {settings.key} are no"
                " certificate and its key (PEM, without a passphrase)"
            ) from error

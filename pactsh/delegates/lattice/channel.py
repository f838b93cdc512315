"""The connection to lattice: TLS or plain, deadlines, and gRPC's statuses as pact's errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from pactsh.delegates.lattice import admin_pb2, allocations_pb2, nodes_pb2
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import AuthError, ForbiddenError, NotFoundError, PactError, UnreachableError, UsageError
from pactsh.rpc.status import last_cause, tls_cause

_MOST_BYTES = 64 << 20  # its lists come whole, of a cluster's jobs
_ENDPOINT = re.compile(r"(?:(?P<scheme>https?)://)?(?P<address>(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5})/?")
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|\[::1\]")
_UNTRUSTED = ("CERTIFICATE", "Peer name", "Hostname Verification", "WRONG_VERSION")
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
        if match is None:
            raise UsageError(
                f"lattice_endpoint {settings.endpoint!r}: expected HOST:PORT, http://HOST:PORT or https://HOST:PORT"
            )
        self.address, self.timeout_s = match["address"], timeout_s
        scheme = match["scheme"] or ("http" if _LOOPBACK.fullmatch(match["host"]) and settings.ca is None else "https")
        self.is_tls = scheme == "https"
        self._settings, self._user = settings, user
        self._channel: grpc.Channel | None = None

    def open(self) -> None:
        """Prepare; nothing is sent before the first call. Raises `UsageError` for files that can't be used."""
        options = [
            ("grpc.max_receive_message_length", _MOST_BYTES),
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
            raise UsageError("lattice_cert and lattice_key belong together")
        ca, cert, key = (None if path is None else _read(path) for path in (given.ca, given.cert, given.key))
        return grpc.ssl_channel_credentials(ca, key, cert)

    def call(self, method: str, request: Any, *, again: bool, named: bool = True) -> Any:
        """One request, one reply. `again`: it may be repeated; `named`: it says for whom it is."""
        path, _, reply = METHODS[method]
        assert again == (method.split("/")[1] in _READS), method
        if self._channel is None:
            raise PactError("this connection to lattice is not open")
        call = self._channel.unary_unary(
            path, request_serializer=type(request).SerializeToString, response_deserializer=reply.FromString
        )
        try:
            return call(request, timeout=self.timeout_s, metadata=self._metadata(named))
        except grpc.RpcError as error:
            raise self._error(method, error.code(), error.details() or "") from error

    def _metadata(self, named: bool) -> tuple[tuple[str, str], ...]:
        token = self._settings.token
        sent: tuple[tuple[str, str], ...] = ()
        if token is not None:
            text = token.reveal()
            if not (text.isascii() and text.isprintable()):
                raise AuthError("lattice_token holds characters that no token has", hint="is it the right file?")
            sent = (("authorization", f"Bearer {text}"),)
        return (*sent, ("x-lattice-user", self._user)) if named and self._user else sent

    def _error(self, method: str, code: grpc.StatusCode, details: str) -> PactError:
        where = f"lattice at {self.address}"
        name = code.name
        if name == "UNAVAILABLE":
            return self._unavailable(where, details)
        if name == "DEADLINE_EXCEEDED":
            return UnreachableError(f"{where} did not answer within {self.timeout_s:g} s", hint="give more --timeout")
        if name == "UNAUTHENTICATED":
            return AuthError(f"{where} refuses the token: {details}", hint="set PACT_LATTICE_TOKEN, or lattice_token")
        if name == "PERMISSION_DENIED":
            return ForbiddenError(f"{where}: {details or 'not permitted'}")
        if name == "NOT_FOUND":
            return NotFoundError(f"lattice: {details or 'not found'}")
        if name == "INVALID_ARGUMENT":
            return UsageError(f"lattice: {details or 'the request is not valid'}")
        if name == "RESOURCE_EXHAUSTED":
            return PactError(
                f"{where}: {details or 'asked too often'}", hint="it limits calls a minute: try again later"
            )
        if name == "UNIMPLEMENTED":
            return PactError(f"{where} does not know {method}", hint="is that lattice's gRPC endpoint (50051)?")
        return PactError(f"{where}: {details or name}")

    def _unavailable(self, where: str, details: str) -> PactError:
        if any(sign in details for sign in _UNTRUSTED):
            return AuthError(
                f"{where} can't be trusted: {tls_cause(details)}", hint="check lattice_endpoint and lattice_ca"
            )
        return UnreachableError(f"{where} can't be reached: {last_cause(details)}", hint="check lattice_endpoint")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"lattice: {path}: {error.strerror}") from error

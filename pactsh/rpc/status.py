"""gRPC statuses and `errors.py`, one table both ways; kind and hint ride in trailing metadata.

`pact-kind` names the class, because several classes may share a status; `pact-hint-bin` holds
the hint in UTF-8. What comes without a kind was not said by the journal but by gRPC.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from pactsh.errors import BY_GRPC_STATUS, AuthError, PactError, UnreachableError, UsageError, error_of

KIND_KEY = "pact-kind"
HINT_KEY = "pact-hint-bin"
MAX_TEXT = 2048  # metadata has a limit of 8 KiB on most peers

Metadata = tuple[tuple[str, "str | bytes"], ...]

# BoringSSL's and gRPC's words for a handshake that failed on certificates. gRPC gives the
# cause of a failed connection as text only.
# What grpc.aio says when a write finds the connection gone before its status has come.
_LOST = "Internal error from Core"
_TLS_WORDS = ("handshake", "CERTIFICATE", "certificate", "SSL_ERROR", "TSI_", "Peer name")


def status_of(error: PactError) -> grpc.StatusCode:
    """The status that carries `error`."""
    return grpc.StatusCode[error.grpc_status]


def metadata_of(error: PactError) -> Metadata:
    """Trailing metadata that carries the rest of `error`."""
    kind: Metadata = ((KIND_KEY, error.kind),)
    if not error.hint:
        return kind
    return (*kind, (HINT_KEY, error.hint[:MAX_TEXT].encode("utf-8", "replace")))


def error_from(
    code: grpc.StatusCode,
    details: str,
    metadata: Iterable[tuple[str, str | bytes]],
    endpoint: str,
) -> PactError:
    """The error that a failed call to `endpoint` stands for."""
    values = dict(metadata)
    kind = values.get(KIND_KEY)
    if isinstance(kind, str):
        hint = values.get(HINT_KEY, b"")
        return error_of(kind, details, hint.decode("utf-8", "replace") if isinstance(hint, bytes) else hint)
    if code is grpc.StatusCode.UNAVAILABLE and any(word in details for word in _TLS_WORDS):
        return AuthError(
            f"the journal at {endpoint} can't be trusted: {tls_cause(details)}",
            hint="check the CA file (--ca) and, for an agent, its certificate",
            detail=details,
        )
    is_lost = code is grpc.StatusCode.INTERNAL and details == _LOST
    if is_lost or code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        cause = "no answer in time" if code is grpc.StatusCode.DEADLINE_EXCEEDED else last_cause(details)
        cause = "the connection was lost" if is_lost else cause
        return UnreachableError(
            f"the journal at {endpoint} can't be reached: {cause}",
            hint="is pact-journal running there? check --endpoint",
            detail=details,
        )
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # gRPC's own limit on message size
        return UsageError(f"message to or from {endpoint} is too large: {details}")
    return BY_GRPC_STATUS.get(code.name, PactError)(f"journal at {endpoint}: {details or code.name}")


def last_cause(details: str) -> str:
    """The end of gRPC's chain of causes, which is what a person can act on."""
    return details.rsplit(": ", 1)[-1].strip() or "connection failed"


def tls_cause(details: str) -> str:
    """What the TLS library says, without the chain around it."""
    if "CERTIFICATE_VERIFY_FAILED" in details:
        cause = last_cause(details.removesuffix(": OK"))  # what gRPC ends a chain with
        if "expired" in cause or "not yet valid" in cause:
            return f"its {cause}"
        return f"its certificate is not signed by the given CA ({cause})"
    if "WRONG_VERSION_NUMBER" in details:
        return "it does not speak TLS"
    return last_cause(details)

"""Which error a status of lattice's becomes, by its code and by what lattice says with it."""

from __future__ import annotations

import grpc
import pytest

from pactsh.delegates.lattice.faults import Call, fault, unreadable
from pactsh.delegates.limited import LimitedError
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import (
    AuthError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PactError,
    UnreachableError,
    UsageError,
)
from pactsh.model.secret import Secret

LOST = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:50051: "


def call(
    *, again: bool = True, is_tls: bool = True, method: str = "NodeService/GetNode", token: Secret | None = None
) -> Call:
    settings = LatticeSettings("l:50051", token)
    return Call(method, settings, "l:50051", is_tls=is_tls, timeout_s=30, again=again)


CASES: list[tuple[str, str, type[PactError], str, str]] = [
    # status, its text, error, message, hint
    ("NOT_FOUND", "allocation 7 not found", NotFoundError, "lattice: allocation 7 not found", ""),
    ("NOT_FOUND", "", NotFoundError, "lattice: not found", ""),
    ("INVALID_ARGUMENT", "bad id", UsageError, "lattice: bad id", ""),
    ("INVALID_ARGUMENT", "", UsageError, "lattice: the request is not valid", ""),
    ("PERMISSION_DENIED", "not the owner", ForbiddenError, "lattice at l:50051: not the owner", ""),
    ("PERMISSION_DENIED", "", ForbiddenError, "lattice at l:50051: not permitted", ""),
    ("FAILED_PRECONDITION", "node is ready", ConflictError, "lattice: node is ready", ""),
    ("INTERNAL", "Node not found: n1", NotFoundError, "lattice: Node not found: n1", ""),
    ("INTERNAL", "Invalid node transition: a -> b", ConflictError, "lattice: Invalid node", "look again"),
    ("INTERNAL", "Invalid transition: a -> b", ConflictError, "lattice: Invalid transition", "look again"),
    ("INTERNAL", "Quorum error: forward", PactError, "could not write: Quorum error", "lattice_endpoint at the leader"),
    ("INTERNAL", "disk", PactError, "lattice at l:50051: disk", ""),
    ("INTERNAL", "", PactError, "lattice at l:50051: internal error", ""),
    ("DATA_LOSS", "", PactError, "lattice at l:50051: DATA_LOSS", ""),
    ("UNKNOWN", "a panic", PactError, "lattice at l:50051: a panic", ""),
    ("UNIMPLEMENTED", "", PactError, "does not know NodeService/GetNode", "50051"),
    ("RESOURCE_EXHAUSTED", "", LimitedError, "asked too often", "a minute"),
    ("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 8)", PactError, "more", "--vcluster"),
    ("DEADLINE_EXCEEDED", "", UnreachableError, "did not answer within 30 s", "--timeout"),
    ("UNAUTHENTICATED", "", AuthError, "wants a token: it does not say which", "PACT_LATTICE_TOKEN"),
    ("UNAUTHENTICATED", "JWKS cache empty", AuthError, "refuses every token", "LATTICE_OIDC_HMAC_SECRET"),
    ("UNAVAILABLE", "no quorum", UnreachableError, "can't do that now: no quorum", ""),
    ("UNAVAILABLE", "", UnreachableError, "can't be reached: connection failed", "lattice_endpoint"),
    ("UNAVAILABLE", LOST + "Connection refused", UnreachableError, "can't be reached: Connection refused", "endpoint"),
    ("UNAVAILABLE", LOST + "Socket closed", UnreachableError, "ends the connection at once", "lattice_cert"),
    ("UNAVAILABLE", "recvmsg:Connection reset by peer", UnreachableError, "was lost", "try again"),
    ("UNAVAILABLE", LOST + "SSL_ERROR_SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED", AuthError, "breaks off", "lattice_cert"),
    ("UNAVAILABLE", LOST + "Unwrap failed (TSI_DATA_CORRUPTED)", AuthError, "breaks off TLS", "lattice_cert"),
    ("UNAVAILABLE", LOST + "missing selected ALPN property.", UnreachableError, "does not speak gRPC", "50051"),
    ("UNAVAILABLE", LOST + "Failed to create security handshaker.", AuthError, "files can't be used", "lattice_ca"),
    (
        "UNAVAILABLE",
        LOST + "Tls handshake failed (TSI_PROTOCOL_FAILURE): CERTIFICATE_VERIFY_FAILED: certificate has expired: OK",
        AuthError,
        "lattice at l:50051 can't be trusted: its certificate has expired",
        "lattice_endpoint",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "kind", "message", "hint"), CASES)
def test_statuses(code: str, text: str, kind: type[PactError], message: str, hint: str) -> None:
    error = fault(call(), code, text)
    assert type(error) is kind
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_is_an_error_that_says_who(code: str) -> None:
    for text in ("", "some text", "x" * 100_000):
        error = fault(call(), code, text)
        assert "lattice" in error.message
        assert len(error.message) < 700


def test_a_token_that_is_refused() -> None:
    error = fault(call(token=Secret("t0k3n")), "UNAUTHENTICATED", "")
    assert error.message == "lattice at l:50051 refuses the token: it does not say why"
    assert "has it not expired" in error.hint


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("DEADLINE_EXCEEDED", ""),
        ("UNAVAILABLE", "Socket closed"),
        ("UNAVAILABLE", "Cancelling all calls"),
        ("RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_of_a_deed_without_an_answer_it_is_said_that_it_may_be_done(code: str, text: str) -> None:
    assert "not known" not in fault(call(), code, text).message
    error = fault(call(again=False), code, text)
    assert error.message.endswith("; whether it was done is not known")
    assert "look before you repeat it" in error.hint


def test_a_deed_that_was_answered_with_nonsense_may_be_done() -> None:
    assert "not known" in unreadable(call(again=False)).message
    assert "not known" not in unreadable(call()).message


@pytest.mark.parametrize("text", [LOST + "Connection refused", LOST + "Socket closed", "no data_dir configured"])
def test_a_deed_that_was_never_heard_of_is_not_done(text: str) -> None:
    assert "not known" not in fault(call(again=False), "UNAVAILABLE", text).message

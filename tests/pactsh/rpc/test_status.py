"""Statuses and errors: one table, both ways; kind and hint survive the trip."""

from __future__ import annotations

import grpc
import pytest

from pactsh.errors import CLASSES, AuthError, PactError, UnreachableError
from pactsh.journal.store import CorruptError, StoreError
from pactsh.rpc.status import error_from, metadata_of, status_of


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_comes_back_as_itself(kind: type[PactError]) -> None:
    sent = kind("what happened", hint="was tun: änderñ")
    got = error_from(status_of(sent), sent.message, metadata_of(sent), "x:1")
    assert type(got) is kind
    assert (got.message, got.hint, got.code) == (sent.message, sent.hint, sent.code)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_status_that_alone_gives_its_exit_code(kind: type[PactError]) -> None:
    """A proxy that drops metadata must not turn a refusal into something harmless."""
    status = status_of(kind("x"))
    assert isinstance(status, grpc.StatusCode)
    if status is not grpc.StatusCode.RESOURCE_EXHAUSTED:  # gRPC's own word for "message too large"
        assert error_from(status, "x", (), "x:1").code == kind.code


@pytest.mark.parametrize("status", grpc.StatusCode)
def test_every_status_is_some_error(status: grpc.StatusCode) -> None:
    error = error_from(status, "", (), "host:9")
    assert error.code != 0
    assert "host:9" in error.message


def test_store_errors_arrive_as_unreachable() -> None:
    error = StoreError("the journal's disk is full")
    got = error_from(status_of(error), error.message, metadata_of(error), "x:1")
    assert (type(got), got.message) == (UnreachableError, error.message)
    assert error_from(status_of(CorruptError("x")), "x", metadata_of(CorruptError("x")), "x:1").code == 1


REFUSED = "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:9: Connection refused"
HANDSHAKE = "Ssl handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1: SSL routines:OPENSSL_internal:"


@pytest.mark.parametrize(
    ("details", "kind", "words"),
    [
        (REFUSED, UnreachableError, "Connection refused"),
        ("DNS resolution failed for nowhere:9: Domain name not found", UnreachableError, "Domain name not found"),
        ("Socket closed", UnreachableError, "Socket closed"),
        (HANDSHAKE + "CERTIFICATE_VERIFY_FAILED: self signed", AuthError, "not signed by the given CA"),
        (HANDSHAKE + "CERTIFICATE_VERIFY_FAILED: no issuer: OK", AuthError, "the given CA (no issuer)"),
        (
            HANDSHAKE + "CERTIFICATE_VERIFY_FAILED: certificate has expired: OK",
            AuthError,
            "its certificate has expired",
        ),
        (HANDSHAKE + "WRONG_VERSION_NUMBER", AuthError, "does not speak TLS"),
    ],
)
def test_causes_of_a_lost_connection(details: str, kind: type[PactError], words: str) -> None:
    error = error_from(grpc.StatusCode.UNAVAILABLE, details, (), "x:1")
    assert type(error) is kind
    assert words in error.message


def test_a_connection_lost_in_the_middle_of_a_write_is_unreachable() -> None:
    """grpc.aio calls it INTERNAL; an uplink has to know that it may try again."""
    error = error_from(grpc.StatusCode.INTERNAL, "Internal error from Core", (), "x:1")
    assert type(error) is UnreachableError


def test_a_made_up_kind_is_a_plain_error() -> None:
    error = error_from(grpc.StatusCode.UNKNOWN, "x", (("pact-kind", "no-such"),), "x:1")
    assert type(error) is PactError


def test_a_long_hint_is_cut_rather_than_refused_by_the_peer() -> None:
    pairs = dict(metadata_of(PactError("x", hint="h" * 100_000)))
    assert len(pairs["pact-hint-bin"]) <= 4096

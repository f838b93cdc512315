from __future__ import annotations

from pathlib import Path

import pytest

from pactsh.delegates.openchami.http import Http, Service, host_of, trust
from pactsh.errors import AuthError, ForbiddenError, NotFoundError, PactError, UnreachableError, UsageError
from pactsh.model.secret import Secret
from tests.openchami import Openchami
from tests.openchami.serving import Answer, Call, Server, html, plain, problem
from tests.pactsh.delegates.openchami.asking import LIMIT_S, fails
from tests.pactsh.delegates.openchami.conftest import TOKEN


def ask(
    url: str, *, method: str = "GET", token: str | None = TOKEN, limit_s: float = LIMIT_S, ca: Path | None = None
) -> bytes:
    service = Service("SMD", f"{url}/hsm/v2", "openchami_smd_url")
    secret = None if token is None else Secret(token)
    with Http(trust("openchami_ca", ca), timeout_s=limit_s, token=secret) as http:
        return http.ask(service, method, "/State/Components").content


@pytest.mark.parametrize(
    ("answer", "kind", "text", "hint"),
    [
        (plain(401, "token is unauthorized\n"), AuthError, "refuses pact: token is unauthorized", "openchami_token"),
        (problem(403, "Forbidden", "role viewer"), ForbiddenError, "role viewer", ""),
        (problem(404, "Not Found", "no such xname."), NotFoundError, "no such xname.", ""),
        (plain(404, "404 page not found\n"), UnreachableError, "SMD not reachable at http", "openchami_smd_url"),
        (html(404, "?"), UnreachableError, "/hsm/v2 (HTTP status 404)", "openchami_smd_url"),
        (html(503, "?"), UnreachableError, "(HTTP status 503)", "openchami_smd_url"),
        (plain(405, "no"), UnreachableError, "(HTTP status 405)", ""),
        (problem(405, "Method Not Allowed", "allow GET"), PactError, "allow GET", ""),
        (problem(400, "Bad Request", "bad query param"), PactError, "bad query param", ""),
        (problem(500, "Internal Server Error", "failed to query DB."), PactError, "failed to query DB.", ""),
        (html(500, "?"), PactError, ": 500", ""),
        (Answer(500, b""), PactError, "HTTP status 500", ""),
        (Answer(302, "http://elsewhere.example:81/x"), PactError, "on to elsewhere.example:81", "not follow"),
        (Answer(304, b""), PactError, "sends pact on to nowhere", ""),
    ],
)  # fmt: skip
def test_errors_say_who_where_why_and_what_to_do(answer: Answer, kind: type[PactError], text: str, hint: str) -> None:
    server = Server(lambda _call: answer)
    server.start()
    try:
        error = fails(lambda: ask(f"http://127.0.0.1:{server.server_port}"), kind)
    finally:
        server.end()
    assert text in error.message
    assert f"127.0.0.1:{server.server_port}" in error.message
    assert hint in error.hint


def test_a_redirect_is_not_followed_so_that_nobody_else_gets_the_token(site: Openchami) -> None:
    with Openchami() as other:
        site.trouble["smd"], site.elsewhere = "redirect", f"{other.url}/hsm/v2/State/Components"
        error = fails(lambda: ask(site.url))
        assert "sends pact on to 127.0.0.1" in error.message
        assert other.calls == []


def test_a_token_does_not_come_back_in_an_error(site: Openchami) -> None:
    site.trouble["smd"] = "echo"
    error = fails(lambda: ask(site.url))
    assert "bad header Bearer ..." in error.message
    assert TOKEN not in repr((error.message, error.hint, error.detail))


@pytest.mark.parametrize("token", ["", "two\nlines", "tök", "a\x00b"])
def test_what_can_be_no_token_is_not_sent(site: Openchami, token: str) -> None:
    error = fails(lambda: ask(site.url, token=token), AuthError)
    assert "token holds characters that no token has" in error.message
    assert site.calls == []


def test_without_a_token_none_is_sent(site: Openchami) -> None:
    assert b"Components" in ask(site.url, token=None)
    assert "authorization" not in site.calls[0].headers


def test_an_endless_answer_is_given_up(site: Openchami) -> None:
    site.trouble["smd"] = "huge"
    assert "sends more than 32 MiB" in fails(lambda: ask(site.url)).message


def test_a_service_that_does_not_answer_in_time(site: Openchami) -> None:
    site.trouble["smd"] = "slow"
    error = fails(lambda: ask(site.url, limit_s=0.2), UnreachableError)
    assert "did not answer within 0.2 s" in error.message
    assert error.hint == "give more --timeout"


def test_a_service_that_sends_a_byte_now_and_then_is_not_listened_to_for_ever(site: Openchami) -> None:
    """Each byte is in time, all of them are not."""
    site.trouble["smd"] = "drip"
    assert "did not answer within" in fails(lambda: ask(site.url, limit_s=0.5), UnreachableError).message


@pytest.mark.parametrize(
    ("method", "hint"), [("GET", ""), ("POST", "it may be done all the same: look before you repeat it")]
)
def test_a_service_that_breaks_off(site: Openchami, method: str, hint: str) -> None:
    site.trouble["smd"] = "cut"
    error = fails(lambda: ask(site.url, method=method), UnreachableError)
    assert "broke off" in error.message
    assert error.hint == hint


@pytest.mark.parametrize(
    ("method", "hint"), [("GET", "set openchami_smd_url to where it is"), ("POST", "it may be done")]
)
def test_a_gateway_that_got_no_answer_does_not_know(site: Openchami, method: str, hint: str) -> None:
    site.trouble["smd"] = "html503"
    assert hint in fails(lambda: ask(site.url, method=method), UnreachableError).hint


def test_nobody_listens_there() -> None:
    with Openchami() as gone:
        url = gone.url
    error = fails(lambda: ask(url), UnreachableError)
    assert "can't be reached" in error.message
    assert error.hint == "check openchami_smd_url"


def test_a_service_has_to_have_a_certificate_that_is_trusted(pem: tuple[Path, Path], tmp_path: Path) -> None:
    with Openchami(certificate=pem) as site:
        assert b"Components" in ask(site.url, ca=pem[0])
        error = fails(lambda: ask(site.url), AuthError)
        assert "can't be trusted" in error.message
        assert error.hint == "check openchami_smd_url and openchami_ca"
        assert len(site.calls) == 1
    with pytest.raises(UsageError, match=r"openchami_ca .*No such file"):
        trust("openchami_ca", tmp_path / "none.pem")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="not a PEM certificate"):
        trust("openchami_ca", tmp_path / "bad.pem")


def test_what_is_no_json_is_said_to_be_none() -> None:
    def read(call: Call) -> Answer:
        return Answer(200, b"[" * 100_000 if "deep" in call.query else b"\xff" if "bytes" in call.query else b"{")

    server = Server(read)
    server.start()
    service = Service("PCS", f"http://127.0.0.1:{server.server_port}", "openchami_pcs_url")
    try:
        with Http(trust("openchami_ca", None), timeout_s=LIMIT_S) as http:
            for query in ("deep", "bytes", "x"):
                reply = http.ask(service, "GET", "/", params={query: "1"})
                assert "sends what pact can't read" in fails(lambda: reply.read(dict)).message  # noqa: B023
    finally:
        server.end()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://u:p@gw.example:8443/x", "gw.example:8443"),
        ("http://[::1]:80/", "[::1]:80"),
        ("", ""),
        ("http://[", ""),
    ],
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host

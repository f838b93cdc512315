"""The ways to sign in, at a real OpenID provider; and what an answer must not get away with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from msgspec.structs import replace

from pactsh.auth.oidc.provider import Provider as Issuer
from pactsh.auth.oidc.signin import DeviceCode, SignIn, Tokens
from pactsh.errors import AuthError, UnreachableError, UsageError
from tests.oidc.issuer import SECRET, Browser, Provider, provider, without_answer
from tests.pactsh.auth.oidc.claims import claims_of

LIMIT_S = 60.0


@pytest.fixture(scope="module")
def op(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    yield from provider(tmp_path_factory.mktemp("op"))


def issuer(op: Provider, **more: Any) -> Issuer:
    scopes = ("openid", "profile", "offline_access")
    known = Issuer(op.issuer, "pact", scopes, resource="urn:pact-journal", ca=op.ca.read_text())
    return replace(known, **more)


def by_browser(op: Provider, act: Callable[[Browser, str], object], limit_s: float = LIMIT_S, **more: Any) -> Tokens:
    """Sign in while somebody does `act` with the address that is shown."""
    acting: list[threading.Thread] = []

    def show(url: str) -> None:
        acting.append(threading.Thread(target=act, args=(op.browser(), url)))
        acting[0].start()

    try:
        return SignIn(issuer(op, **more)).by_browser(show, limit_s=limit_s)
    finally:
        acting[0].join(LIMIT_S)


def callback(url: str) -> tuple[str, str]:
    """Where the answer to an authorization request goes, and its state."""
    asked = parse_qs(urlsplit(url).query)
    return asked["redirect_uri"][0], asked["state"][0]


def test_by_browser_with_proof_of_the_code(op: Provider) -> None:
    urls: list[str] = []

    def act(browser: Browser, url: str) -> None:
        urls.append(url)
        assert "pact has the answer" in browser.sign_in(url, "alice@org")

    tokens = by_browser(op, act)
    claims = claims_of(tokens.token)
    assert (claims["sub"], claims["aud"], claims["groups"]) == ("alice@org", "pact-journal", ["hpc-ops"])
    assert (tokens.lifetime_s, bool(tokens.refresh_token)) == (3600.0, True)
    asked = parse_qs(urlsplit(urls[0]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"][0].startswith("http://127.0.0.1:")


def test_an_id_token_where_the_journal_takes_that(op: Provider) -> None:
    tokens = by_browser(op, lambda b, url: b.sign_in(url, "alice@org"), takes_id_token=True)
    assert (claims_of(tokens.token)["aud"], claims_of(tokens.token)["sub"]) == ("pact", "alice@org")


def test_what_is_no_answer_to_it_changes_nothing(op: Provider) -> None:
    """Pages of the web can send a browser to our port as well."""
    statuses: list[int] = []

    def act(browser: Browser, url: str) -> None:
        uri, state = callback(url)
        base = uri.removesuffix("/callback")
        for wrong in (
            base,
            f"{uri}?code=forged",
            f"{uri}?code=forged&state=guessed",
            f"{uri}?error=access_denied&state=",
            f"{uri}?code=forged&state={state}&state=guessed",
            f"{base}/callback/?code=forged&state={state}",
        ):
            statuses.append(httpx2.get(wrong, trust_env=False).status_code)
        rebound = httpx2.get(f"{uri}?code=forged&state={state}", headers={"Host": "evil.example"}, trust_env=False)
        statuses.append(rebound.status_code)
        browser.sign_in(url, "bob@org")

    assert claims_of(by_browser(op, act).token)["sub"] == "bob@org"
    assert set(statuses) == {400, 404}


def test_a_connection_that_says_nothing_holds_up_nobody(op: Provider) -> None:
    import socket

    def act(browser: Browser, url: str) -> None:
        place = urlsplit(callback(url)[0])
        with socket.create_connection((place.hostname, place.port)):
            browser.sign_in(url, "alice@org")

    assert by_browser(op, act).token


def test_a_forged_code_is_refused_by_the_issuer(op: Provider) -> None:
    def act(_browser: Browser, url: str) -> None:
        uri, state = callback(url)
        httpx2.get(uri, params={"code": "forged", "state": state, "iss": op.issuer}, trust_env=False)

    with pytest.raises(AuthError, match="refused: grant request is invalid"):
        by_browser(op, act)


@pytest.mark.parametrize("given", ["https://evil.example", None])
def test_a_code_of_another_issuer_never_reaches_this_one(op: Provider, given: str | None) -> None:
    def act(browser: Browser, url: str) -> None:
        uri, _ = callback(url)
        answer = urlsplit(browser.sign_in(url, "alice@org", stop_at=uri))
        named = {name: values[0] for name, values in parse_qs(answer.query).items()}
        assert named.pop("iss") == op.issuer
        httpx2.get(uri, params=named | ({"iss": given} if given else {}), trust_env=False)

    with pytest.raises(AuthError, match="not from https://localhost"):
        by_browser(op, act)


def test_a_refusal_is_told_and_can_write_nothing_odd_on_the_terminal(op: Provider) -> None:
    def act(_browser: Browser, url: str) -> None:
        uri, state = callback(url)
        answer = {"error": "access_denied", "error_description": "no\x1b[2Jway", "state": state}
        httpx2.get(uri, params=answer, trust_env=False)

    with pytest.raises(AuthError, match=r"refused the sign-in: no\?\[2Jway$"):
        by_browser(op, act)


def test_nobody_comes(op: Provider) -> None:
    with pytest.raises(AuthError, match="nobody signed in within") as caught:
        by_browser(op, lambda _browser, _url: None, limit_s=0.2)
    assert "--device-code" in caught.value.hint


def test_the_next_token_and_the_end_of_it(op: Provider) -> None:
    signing = SignIn(issuer(op))
    first = by_browser(op, lambda b, url: b.sign_in(url, "alice@org"))
    second = signing.refresh(first.refresh_token)
    assert claims_of(second.token)["sub"] == "alice@org"
    assert second.refresh_token not in ("", first.refresh_token)
    assert signing.revoke({"refresh_token": second.refresh_token, "access_token": second.token})
    with pytest.raises(AuthError, match="refused"):
        signing.refresh(second.refresh_token)


def test_a_refresh_token_that_was_used_twice_ends_the_sign_in(op: Provider) -> None:
    signing = SignIn(issuer(op))
    first = by_browser(op, lambda b, url: b.sign_in(url, "alice@org"))
    second = signing.refresh(first.refresh_token)
    for token in (first.refresh_token, second.refresh_token):  # stolen, the issuer concludes
        with pytest.raises(AuthError):
            signing.refresh(token)


def test_on_another_device(op: Provider) -> None:
    shown: list[DeviceCode] = []
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:  # it has been asked once in vain by then
            assert "successful" in op.browser().sign_in(shown[0].complete_url, "bob@org")

    tokens = SignIn(issuer(op), sleep=sleep).by_device(shown.append)
    assert claims_of(tokens.token)["sub"] == "bob@org"
    assert tokens.refresh_token
    assert shown[0].url.startswith(op.issuer)
    assert shown[0].code in shown[0].complete_url
    assert len(waits) == 2
    assert min(waits) >= 1.0, "as the issuer wants it"


def test_a_service_with_its_secret(op: Provider) -> None:
    service = issuer(op, client_id="ci-bot")
    tokens = SignIn(service, secret=SECRET).as_service()
    assert claims_of(tokens.token)["client_id"] == "ci-bot"
    with pytest.raises(AuthError, match="refused"):
        SignIn(service, secret="guessed").as_service()
    with pytest.raises(AuthError):
        SignIn(issuer(op), secret=SECRET).as_service()
    with pytest.raises(UsageError, match="only ID tokens"):
        SignIn(replace(service, takes_id_token=True), secret=SECRET).as_service()


def test_a_token_that_only_the_issuer_can_read_is_told_at_once(tmp_path: Path) -> None:
    for other in provider(tmp_path, resource=None):
        with pytest.raises(AuthError, match="that only it can read") as caught:
            by_browser(other, lambda b, url: b.sign_in(url, "alice@org"), resource="")
        assert "resource" in caught.value.hint


def test_an_issuer_that_is_not_there_or_not_itself(op: Provider, tmp_path: Path) -> None:
    for wrong in ({"issuer": "https://127.0.0.1:1"}, {"ca": ""}, {"issuer": op.issuer + "/realms/none"}):
        with pytest.raises(UnreachableError):
            SignIn(issuer(op, **wrong)).as_service()
    with pytest.raises(AuthError, match="that of another issuer"):
        SignIn(issuer(op, issuer=op.issuer + "/")).as_service()
    with pytest.raises(UsageError, match="not a PEM certificate"):
        SignIn(issuer(op, ca="x"))


def test_one_that_never_answers_is_given_up_on(op: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pactsh.auth.oidc.signin.LIMIT_S", 0.3)
    with without_answer(op), pytest.raises(UnreachableError, match="can't be reached"):
        SignIn(issuer(op)).refresh("x")

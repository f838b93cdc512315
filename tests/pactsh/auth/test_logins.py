"""Sign-ins that are kept: one run renews, and who signs out meanwhile has signed out."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from pactsh.auth.logins import Login, Logins
from pactsh.auth.oidc.provider import Provider
from pactsh.errors import AuthError, UnreachableError

HERE = "localhost:9443"
LOGIN = Login("a", HERE, Provider("https://x.example", "pact"), "token-1", 1000.0, "refresh-1")
LIMIT_S = 30.0


def later(login: Login) -> Login:
    return replace(login, token="token-2", expires_at=5000.0, refresh_token="refresh-2")


def test_it_is_renewed_when_it_is_about_to_end(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "pact")
    logins.save(LOGIN)
    assert logins.fresh(HERE, lambda: 900.0, later) == LOGIN
    assert logins.fresh(HERE, lambda: 950.0, later) == later(LOGIN)
    assert logins.get(HERE) == later(LOGIN)
    assert logins.fresh("other:9443", lambda: 0.0, later) is None


def test_an_issuer_that_is_gone_is_no_fault_while_it_is_good(tmp_path: Path) -> None:
    def gone(_login: Login) -> Login:
        raise UnreachableError("gone")

    logins = Logins(tmp_path / "pact")
    logins.save(LOGIN)
    assert logins.fresh(HERE, lambda: 999.0, gone) == LOGIN
    with pytest.raises(UnreachableError):
        logins.fresh(HERE, lambda: 1000.0, gone)


def test_who_signs_out_while_it_is_renewed_has_signed_out(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "pact")
    logins.save(LOGIN)
    renewing, go_on = threading.Event(), threading.Event()

    def slow(login: Login) -> Login:
        renewing.set()
        assert go_on.wait(LIMIT_S)
        return later(login)

    run = threading.Thread(target=lambda: logins.fresh(HERE, lambda: 2000.0, slow))
    run.start()
    assert renewing.wait(LIMIT_S)
    taken: list[Login | None] = []
    out = threading.Thread(target=lambda: taken.append(Logins(tmp_path / "pact").take(LOGIN)))
    out.start()
    go_on.set()
    for thread in (run, out):
        thread.join(LIMIT_S)
    assert taken == [later(LOGIN)], "what is to be revoked is what was got last"
    logins.forget()
    assert logins.get(HERE) is None


def test_who_has_signed_in_anew_is_not_signed_out_by_it(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "pact")
    logins.save(replace(LOGIN, id="b"))
    assert logins.take(LOGIN) is None
    assert logins.get(HERE) == replace(LOGIN, id="b")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": 1}'])
def test_one_that_is_damaged_says_so(tmp_path: Path, content: bytes) -> None:
    logins = Logins(tmp_path / "pact")
    logins.save(LOGIN)
    (path,) = (tmp_path / "pact" / "logins").glob("*.json")
    path.write_bytes(content)
    with pytest.raises(AuthError, match="no sign-in that this version can read"):
        logins.get(HERE)
    logins.forget()
    assert logins.all() == []

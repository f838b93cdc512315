"""The development issuer's tokens, checked as the journal checks them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pactsh.auth.issuer import DevIssuer, trusted_issuer
from pactsh.auth.tokens import Verifier
from pactsh.errors import AuthError, PactError, UsageError
from pactsh.model.identity import Identity

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def clock() -> datetime:
    return NOW


def test_the_journal_accepts_what_it_issued_until_it_ends(tmp_path: Path) -> None:
    issuer = DevIssuer.open(tmp_path / "issuer", clock=clock)
    token = issuer.issue("alice@org", ["pact-platform-admin"], lifetime_s=600)
    verified = asyncio.run(Verifier([trusted_issuer(tmp_path / "issuer")], clock=clock).verify(token))
    assert verified.identity == Identity("alice@org", ("pact-platform-admin",), "human", "token")
    assert verified.expires_at == NOW + timedelta(seconds=600)
    later = Verifier([trusted_issuer(tmp_path / "issuer")], clock=lambda: NOW + timedelta(seconds=660))
    with pytest.raises(AuthError, match="expired"):
        asyncio.run(later.verify(token))


def test_a_journal_that_was_not_told_of_it_refuses(tmp_path: Path) -> None:
    token = DevIssuer.open(tmp_path / "issuer", clock=clock).issue("alice", [])
    with pytest.raises(AuthError, match="issuer"):
        asyncio.run(Verifier([], clock=clock).verify(token))
    DevIssuer.open(tmp_path / "other", clock=clock)
    with pytest.raises(AuthError):
        asyncio.run(Verifier([trusted_issuer(tmp_path / "other")], clock=clock).verify(token))


def test_it_is_the_same_issuer_after_a_restart(tmp_path: Path) -> None:
    token = DevIssuer.open(tmp_path / "issuer", clock=clock).issue("backup", [], kind="service")
    again = DevIssuer.open(tmp_path / "issuer", clock=clock)
    verifier = Verifier([trusted_issuer(tmp_path / "issuer")], clock=clock)
    assert asyncio.run(verifier.verify(token)).identity.kind == "service"
    assert asyncio.run(verifier.verify(again.issue("alice", []))).identity.roles == ()


def test_its_key_is_private_and_the_key_set_public(tmp_path: Path) -> None:
    issuer = DevIssuer.open(tmp_path / "issuer", clock=clock)
    key = tmp_path / "issuer" / "issuer.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "issuer").stat().st_mode & 0o777 == 0o700
    published = json.loads((tmp_path / "issuer" / "jwks.json").read_text())
    assert published == issuer.jwks()
    assert all("d" not in entry for entry in published["keys"])
    key.chmod(0o644)
    with pytest.raises(UsageError, match="others may read it"):
        DevIssuer.open(tmp_path / "issuer", clock=clock)


def test_the_verifying_side_needs_no_private_key(tmp_path: Path) -> None:
    token = DevIssuer.open(tmp_path / "issuer", clock=clock).issue("alice", [])
    (tmp_path / "issuer" / "issuer.key").unlink()
    verifier = Verifier([trusted_issuer(tmp_path / "issuer")], clock=clock)
    assert asyncio.run(verifier.verify(token)).identity.principal == "alice"


def test_it_issues_nothing_that_would_be_refused(tmp_path: Path) -> None:
    issuer = DevIssuer.open(tmp_path / "issuer", clock=clock)
    for roles in (["root"], ["pact-ops-"], [""]):
        with pytest.raises(UsageError, match="role"):
            issuer.issue("alice", roles)
    for kind in ("agent", "", "root"):
        with pytest.raises(UsageError, match="kind"):
            issuer.issue("alice", [], kind=kind)
    for lifetime_s in (0, -1, 8 * 3600 + 1):
        with pytest.raises(UsageError, match="lives"):
            issuer.issue("alice", [], lifetime_s=lifetime_s)
    for principal in ("", "a,b", "role=pact-platform-admin"):
        with pytest.raises(AuthError):
            issuer.issue(principal, [])


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PactError, match="jwks"):
        trusted_issuer(tmp_path)
    DevIssuer.open(tmp_path / "issuer", clock=clock)
    for wrong in (b"", b"[]", b"{}", b"garbage"):
        (tmp_path / "issuer" / "jwks.json").write_bytes(wrong)
        with pytest.raises(UsageError, match="jwks"):
            trusted_issuer(tmp_path / "issuer")
    (tmp_path / "issuer" / "issuer.key").write_bytes(b"garbage")
    with pytest.raises(UsageError, match=r"issuer\.key"):
        DevIssuer.open(tmp_path / "issuer", clock=clock)

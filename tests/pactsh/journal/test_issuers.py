"""A journal that trusts a real OpenID provider: whose tokens count, through rotation, outage and restart."""

from __future__ import annotations

import asyncio
import gc
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pactsh.errors import AuthError, ForbiddenError, UnreachableError, UsageError
from pactsh.journal.config import Config
from pactsh.rpc.client import Journal
from tests.oidc.issuer import PEOPLE, Provider, provider, service_token, token_of
from tests.pactsh.journal.site import Site, running

# A connection to an issuer that goes in the middle of it is closed by the garbage collector: here, not in another test.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def op(tmp_path: Path) -> Iterator[Provider]:
    yield from provider(tmp_path / "op")


def at_journal(tmp_path: Path, op: Provider, work: Callable[[Site], Awaitable[None]], **more: Any) -> None:
    async def go() -> None:
        async with running(tmp_path, dev_issuer=None, oidc=(op.settings(**more),)) as site:
            await work(site)

    asyncio.run(go())


def person(site: Site, token: str) -> Journal:
    return Journal(site.server.endpoint, ca=site.ca, token=token, timeout_s=10)


async def who(site: Site, token: str) -> tuple[str, list[str], str]:
    """What an agent is told to whom the token was shown."""
    async with site.agent() as agent:
        identity, issued_at = await agent.verify_token(token)
    assert issued_at <= time.time() + 1
    return identity.principal, list(identity.roles), identity.kind


async def who_is_refused(site: Site, token: str) -> None:
    async with site.agent() as agent:
        with pytest.raises(AuthError, match="was revoked by"):
            await agent.verify_token(token)


async def refused(site: Site, token: str, error: type[Exception] = AuthError) -> None:
    async with person(site, token) as journal:
        with pytest.raises(error):
            await journal.list()


def test_people_have_the_roles_of_their_groups(tmp_path: Path, op: Provider) -> None:
    tokens = {name: token_of(op, name) for name in PEOPLE}

    async def go(site: Site) -> None:
        assert await who(site, tokens["alice@org"]) == ("alice@org", ["pact-ops-ml"], "human")
        assert await who(site, tokens["root@org"]) == ("root@org", ["pact-platform-admin"], "human")
        async with person(site, tokens["alice@org"]) as journal:
            assert await journal.list() == []
        async with person(site, tokens["eve@org"]) as journal:
            with pytest.raises(ForbiddenError):
                await journal.list()

    at_journal(tmp_path, op, go)


def test_a_revoked_person_is_nobody_to_nodes_either(tmp_path: Path, op: Provider) -> None:
    alice, root = token_of(op, "alice@org"), token_of(op, "root@org")

    async def go(site: Site) -> None:
        async with person(site, root) as admin:
            await admin.revoke("person", "ALICE@org", "laptop stolen")
        await refused(site, alice)
        await who_is_refused(site, alice)

    at_journal(tmp_path, op, go)


def test_services_are_services(tmp_path: Path, op: Provider) -> None:
    token = service_token(op)

    async def go(site: Site) -> None:
        assert await who(site, token) == ("service:ci-bot", ["pact-ops-ml"], "service")

    at_journal(tmp_path, op, go)


def test_an_id_token_counts_where_it_was_asked_for_and_there_alone(tmp_path: Path, op: Provider) -> None:
    id_token, access = token_of(op, "alice@org", takes_id_token=True), token_of(op, "alice@org")

    async def refuses_ids(site: Site) -> None:
        await refused(site, id_token)
        assert (await who(site, access))[0] == "alice@org"

    async def takes_ids(site: Site) -> None:
        await refused(site, access)
        assert (await who(site, id_token))[0] == "alice@org"

    at_journal(tmp_path / "a", op, refuses_ids)
    at_journal(tmp_path / "b", op, takes_ids, id_token=True)


def test_keys_rotate_and_old_ones_count_no_more(tmp_path: Path, op: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pactsh.auth.oidc.keys.RETRY_S", 0.0)
    before = token_of(op, "alice@org")

    async def go(site: Site) -> None:
        assert (await who(site, before))[0] == "alice@org"
        op.tell("rotate")
        assert (await who(site, await asyncio.to_thread(token_of, op, "bob@org")))[0] == "bob@org"
        await refused(site, before)

    at_journal(tmp_path, op, go)


def test_tokens_of_unknown_keys_do_not_flood_the_issuer(tmp_path: Path, op: Provider) -> None:
    stranger = token_of(op, "alice@org")
    op.tell("rotate")

    async def go(site: Site) -> None:
        assert (await who(site, await asyncio.to_thread(token_of, op, "bob@org")))[0] == "bob@org"
        before = int(op.tell("count"))
        for _ in range(20):
            await refused(site, stranger)
        assert int(op.tell("count")) <= before + 1

    at_journal(tmp_path, op, go)


def test_an_issuer_that_is_gone_locks_nobody_out_who_has_a_token(tmp_path: Path, op: Provider) -> None:
    token = token_of(op, "alice@org")

    async def go(site: Site) -> None:
        assert (await who(site, token))[0] == "alice@org"

    async def with_none(site: Site) -> None:
        await refused(site, token, UnreachableError)

    at_journal(tmp_path, op, go)
    op.close()
    at_journal(tmp_path, op, go)
    shutil.rmtree(tmp_path / "data" / "oidc")
    at_journal(tmp_path, op, with_none)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"issuer": "x"}', b'{"issuer": 7, "jwks": 8}'])
def test_what_was_kept_of_keys_may_be_damaged(tmp_path: Path, op: Provider, content: bytes) -> None:
    token = token_of(op, "alice@org")

    async def go(site: Site) -> None:
        assert (await who(site, token))[0] == "alice@org"

    at_journal(tmp_path, op, go)
    (kept,) = (tmp_path / "data" / "oidc").iterdir()
    kept.write_bytes(content)
    at_journal(tmp_path, op, go)


def test_the_way_to_sign_in_is_told_to_anybody(tmp_path: Path, op: Provider) -> None:
    async def go(site: Site) -> None:
        async with site.anonymous() as journal:
            (told,) = await journal.providers()
        assert (told.issuer, told.client_id, told.redirect_port) == (op.issuer, "pact", 7777)
        assert (told.scopes, told.ca) == (("openid", "profile", "offline_access"), op.ca.read_text())

    at_journal(tmp_path, op, go, redirect_port=7777)


ONE: dict[str, Any] = {"issuer": "https://a.example"}
OTHER: dict[str, Any] = {"issuer": "https://b.example"}
FAULTS: list[tuple[list[dict[str, Any]], str]] = [
    ([{}], "Field required"),
    ([{"issuer": "http://a.example"}], "expected https"),
    ([{"issuer": "https://"}], "expected https"),
    ([{"issuer": "https://a.example/?x"}], "expected https"),
    ([{"issuer": "https://user@a.example/"}], "expected https"),
    ([{"issuer": "https://a.example:x/"}], "expected https"),
    ([ONE | {"secret": "x"}], "Extra inputs"),
    ([ONE | {"scopes": ["profile"]}], "openid has to be"),
    ([ONE | {"groups": {"g": ["root"]}}], "root: no role of pact"),
    ([ONE | {"clients": {"pact": ["pact-ops-a"]}}], "people sign in with"),
    ([ONE | {"redirect_port": 70000}], "less than 65536"),
    ([ONE | {"domain": "@org"}], "match pattern"),
    ([ONE, ONE], "named twice"),
    ([ONE, OTHER], "need a domain each"),
    ([ONE | {"domain": "org"}, OTHER], "need a domain each"),
    ([ONE | {"domain": "org"}, OTHER | {"domain": "ORG"}], "need a domain each"),
    ([ONE | {"domain": "a", "clients": {"ci": []}}, OTHER | {"domain": "b", "clients": {"ci": []}}], "the same name"),
]


@pytest.mark.parametrize(("oidc", "why"), FAULTS)
def test_what_can_not_be_is_refused_at_start(oidc: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Config.model_validate({"data_dir": "/x", "oidc": oidc})


def test_nor_the_development_issuer_beside_a_real_one() -> None:
    with pytest.raises(ValidationError, match="development alone"):
        Config.model_validate({"data_dir": "/x", "oidc": [ONE], "dev_issuer": "/y"})


def test_a_ca_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    for content, why in ((None, "No such file"), (b"\xff", "not PEM"), (b"x", "not a PEM")):
        if content is not None:
            (tmp_path / "ca").write_bytes(content)
        (one,) = Config.model_validate({"data_dir": "/x", "oidc": [ONE | {"ca": tmp_path / "ca"}]}).oidc
        with pytest.raises(UsageError, match=why):
            one.trusted(tmp_path)

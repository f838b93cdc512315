"""What the journal keeps as an overlay, and what it refuses, whoever sends it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pactsh.errors import ConflictError, ForbiddenError, UsageError
from pactsh.journal.drafts import authorize_draft
from pactsh.journal.overlays import check_overlay, version_of
from pactsh.journal.projections import PolicyView
from pactsh.model.entry import Author, Draft
from pactsh.model.identity import Identity
from tests.pactsh.journal.material import draft

NONE = PolicyView()
OPS = Identity("olga@example.org", ("pact-ops-ml",), "human", "token")


def update(scope: str = "vcluster:ml", who: Identity = OPS, **overlay: Any) -> Draft:
    return draft(
        1,
        client=f"user:{who.principal}:1",
        type="overlay.updated",
        scope=scope,
        author=Author(who.principal, who.roles),
        session="",
        body={"overlay": {"vcluster": "ml", "version": 1, "values": {"kernel": {"vm.swappiness": "10"}}} | overlay},
    )


def view(version: int) -> PolicyView:
    return PolicyView(json.dumps({"vcluster": "ml", "version": version}).encode(), 7)


def test_versions_go_up_by_one() -> None:
    check_overlay(update(), NONE)
    check_overlay(update(version=5), view(4))
    for version in (0, 1, 4, 6):
        with pytest.raises(ConflictError, match="is at version 4"):
            check_overlay(update(version=version), view(4))
    assert (version_of(NONE), version_of(view(4))) == (0, 4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scope": "global"}, "an overlay is a vCluster's"),
        ({"scope": "vcluster:other"}, "is 'ml', and this is the overlay of other"),
        ({"values": {"kernel": {"vm.swappiness": 10}}}, "Expected `str`"),
        ({"values": {"kernel": {"kernel.core_pattern": "|/bin/sh"}}}, "core_pattern"),
        ({"values": {"mounts": {"/x": "type=proc source=p options="}}}, "proc"),
        ({"values": {"files": {"/etc/../root/x": "mode=0600"}}}, "/etc/../root/x"),
        ({"values": {"gpu": {"0": "healthy"}}}, "gpu"),
        ({"values": {"nonsense": {"0": "x"}}}, "nonsense"),
        ({"contents": {"00": "x"}, "values": {"files": {"/etc/x": "file sha256=00"}}}, "00"),
        ({"extra": 1}, "extra"),
        ({"values": {"kernel": {f"vm.x{n}": "v" * 4000 for n in range(300)}}}, "at most"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_overlay_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=r"overlay\.updated") as raised:
        check_overlay(update(**change), NONE)
    assert says in raised.value.message


FILES = {"files": {"/etc/cron.d/x": f"file sha256={'0' * 64} mode=0644 owner=0:0"}}


def test_files_are_declared_by_platform_admins_alone() -> None:
    """A file can be a cron job, a unit, a line of sudoers: it is as good as any command."""
    admin = Identity("root@example.org", ("pact-platform-admin",), "human", "token")
    with pytest.raises(ForbiddenError, match="may not declare files of ml"):
        check_overlay(update(values=FILES), NONE)
    check_overlay(update(who=admin, values=FILES), NONE)
    current = PolicyView(json.dumps({"vcluster": "ml", "version": 1, "values": FILES}).encode(), 7)
    check_overlay(update(version=2, values=FILES | {"kernel": {"vm.swappiness": "1"}}), current)
    others: tuple[dict[str, dict[str, str]], ...] = (
        {},
        {"files": {}},
        {"files": {"/etc/cron.d/x": f"file sha256={'1' * 64}"}},
    )
    for values in others:
        with pytest.raises(ForbiddenError):
            check_overlay(update(version=2, values=values), current)


def test_the_rest_of_what_is_said_of_files_is_theirs_too() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    values = {"files": {"/etc/motd": f"file mode=0644 sha256={digest}"}}
    document = {"vcluster": "ml", "version": 1, "values": values, "contents": {digest: "x"}}
    current = PolicyView(json.dumps(document).encode(), 7)
    check_overlay(update(version=2, values=values, contents={digest: "x"}), current)
    overwritten: dict[str, Any] = {"contents": {digest: "x"}, "overwrite": {"n1": ["files:/etc/motd"]}}
    emptied: dict[str, Any] = {"contents": {}}
    for change in (emptied, overwritten):
        with pytest.raises(ForbiddenError):
            check_overlay(update(version=2, values=values, **change), current)
    with pytest.raises(UsageError, match="is not the digest of its text"):
        check_overlay(update(version=2, values=values, contents={digest: "y"}), current)


def test_the_body_holds_the_overlay_alone() -> None:
    for body in ({}, {"overlay": {}, "more": 1}, {"overlay": "x"}):
        with pytest.raises(UsageError):
            check_overlay(draft(1, type="overlay.updated", scope="vcluster:ml", body=body), NONE)


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        (("pact-platform-admin",), True),
        (("pact-ops-ml",), True),
        (("pact-ops-other",), False),
        (("pact-viewer-ml",), False),
        (("pact-service-ai",), False),
        ((), False),
    ],
)
def test_who_may(roles: tuple[str, ...], allowed: bool) -> None:
    who = Identity("olga@example.org", roles, "human", "token")
    if allowed:
        authorize_draft(update(who=who), who)
        return
    with pytest.raises(ForbiddenError, match=r"needs the role pact-platform-admin or pact-ops-ml"):
        authorize_draft(update(who=who), who)


def test_no_agent_may() -> None:
    agent = Identity("agent:node1", (), "agent", "tls")
    with pytest.raises(ForbiddenError):
        authorize_draft(update(), agent)

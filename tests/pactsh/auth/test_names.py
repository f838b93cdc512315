"""What may stand in a certificate, and what is believed when one is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.auth.names import (
    check_host,
    check_node,
    check_principal,
    is_role,
    known_roles,
    parse_identity_from_ssh_principals,
    ssh_key_id,
    ssh_principals,
)
from pactsh.errors import AuthError
from pactsh.model.identity import Identity

ALICE = Identity("alice@example.org", ("pact-ops-ml", "pact-platform-admin"), "human", "ssh")


@pytest.mark.parametrize("name", ["alice", "alice@example.org", "o'brien@x", "f3b1-77", "Zoë", "svc:backup", "a" * 128])
def test_principals(name: str) -> None:
    assert check_principal(name) == name


UNUSABLE = ["", " ", "a b", "a,b", "a\tb", "a\nb", "a\0b", "a\x1b[2J", "a\u202eb", "a\u200bb", "a\u00a0b"]
UNUSABLE += [
    "role=pact-x",
    "agent:node042",
    "journal:a",
    "pact-journal",
    "Pact-Journal",
    "-oX",
    "\uff41lice",
    "Zoe\u0308",
    "\udcff",
    "a" * 129,
]


@pytest.mark.parametrize("name", UNUSABLE)
def test_no_principals(name: str) -> None:
    with pytest.raises(AuthError):
        check_principal(name)


def test_nodes_and_hosts() -> None:
    for node in ("node042", "0", "a-b", "x" * 63):
        assert check_node(node) == node
    for wrong in ("", "-a", "A", "a.b", "a_b", "a\n", "x" * 64, "\uff41"):
        with pytest.raises(AuthError):
            check_node(wrong)
    for host in ("node042", "node042.cluster", "10.0.0.1", "fd00::1", "::1"):
        assert check_host(host) == host
    for wrong in ("", "*", "a*", "a?b", "a,b", "!a", "a b", "-a", "a\n"):
        with pytest.raises(AuthError):
            check_host(wrong)


def test_roles() -> None:
    good = ["pact-ops-ml", "pact-platform-admin", "pact-regulated-x", "pact-service-ai", "pact-viewer-0"]
    assert all(map(is_role, good))
    bad = ["", "admin", "pact-ops-", "pact-ops-A", "pact-ops-a,b", "pact-platform-admin ", "PACT-OPS-ML", "pact-root"]
    assert not any(map(is_role, bad))
    assert known_roles([*bad, *reversed(good), *good]) == tuple(good)
    with pytest.raises(AuthError):
        known_roles(f"pact-ops-v{n}" for n in range(65))


def test_an_identity_comes_back_as_it_went_in() -> None:
    assert parse_identity_from_ssh_principals(ssh_principals(ALICE), ssh_key_id(ALICE, 7)) == ALICE
    service = Identity("backup", (), "service", "ssh")
    assert parse_identity_from_ssh_principals(ssh_principals(service), ssh_key_id(service, 2**63)) == service


@pytest.mark.parametrize(
    ("principals", "key_id"),
    [
        ([], "pact human alice serial=1"),
        (["role=pact-ops-ml"], "pact human alice serial=1"),
        (["alice", "bob"], "pact human alice serial=1"),
        (["alice", "alice"], "pact human alice serial=1"),
        (["alice"], ""),
        (["alice"], "alice"),
        (["alice"], "pact human bob serial=1"),
        (["alice"], "pact human alice serial=1\n"),
        (["alice"], "pact agent alice serial=1"),
        (["alice"], "pact root alice serial=1"),
        (["alice", "role="], "pact human alice serial=1"),
        (["alice", "role=root"], "pact human alice serial=1"),
        (["alice", "role=pact-ops-ml", "role=pact-ops-ml"], "pact human alice serial=1"),
        (["alice", "role=pact-ops-ml,pact-platform-admin"], "pact human alice serial=1"),
        (["alice,bob"], "pact human alice,bob serial=1"),
        (["alice", ""], "pact human alice serial=1"),
        (["alice", *(f"role=pact-ops-v{n}" for n in range(65))], "pact human alice serial=1"),
    ],
)
def test_odd_certificates_name_nobody(principals: list[str], key_id: str) -> None:
    with pytest.raises(AuthError):
        parse_identity_from_ssh_principals(principals, key_id)


@pytest.mark.parametrize(
    "identity",
    [
        Identity("node042", (), "agent", "tls"),
        Identity("alice", ("root",), "human", "token"),
        Identity("alice", ("pact-ops-ml", "pact-ops-ml"), "human", "token"),
        Identity("alice,bob", (), "human", "token"),
    ],
)
def test_what_would_be_read_as_odd_is_not_signed(identity: Identity) -> None:
    with pytest.raises(AuthError):
        ssh_principals(identity)


@given(st.lists(st.text(max_size=12), max_size=5), st.text(max_size=40))
def test_any_certificate_names_one_usable_identity_or_nobody(principals: list[str], key_id: str) -> None:
    try:
        identity = parse_identity_from_ssh_principals(principals, key_id)
    except AuthError:
        return
    assert list(ssh_principals(identity)) == sorted(principals, key=lambda name: name.startswith("role="))

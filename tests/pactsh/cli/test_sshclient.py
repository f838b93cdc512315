"""Where nodes are, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pactsh.cli.sshclient import CACHE_S, Place, PlaceCache, parse_address
from pactsh.errors import NotFoundError

PLACE = Place("node042", "10.0.0.42", 9445, "ssh-ed25519 AAAA")


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("10.0.0.42:9445", "10.0.0.42", 9445), ("[fd00::1]:22", "fd00::1", 22), ("node042.site:1", "node042.site", 1)],
)
def test_addresses_are_host_and_port(address: str, host: str, port: int) -> None:
    assert parse_address("node042", address) == (host, port)


@pytest.mark.parametrize("address", ["", "node042", ":22", "node042:", "node042:ssh", "node042:-1"])
def test_a_node_without_an_address_is_said(address: str) -> None:
    with pytest.raises(NotFoundError, match="node042"):
        parse_address("node042", address)


@pytest.mark.parametrize(
    "address",
    [
        "a\n  ProxyCommand touch /tmp/x\n  HostName b:22",
        "-oProxyCommand=x:22",
        "a b:22",
        "%h:22",
        '"a":22',
        "[a]:22",
        "a:0",
        "a:65536",
        "a:\u0662\u0662",
        "a:22\n",
    ],
)
def test_a_node_cannot_write_into_a_persons_ssh_configuration(address: str) -> None:
    """The address is the node's own word; `pact ssh-config` prints it for OpenSSH to act on."""
    with pytest.raises(NotFoundError, match="no SSH address"):
        parse_address("node042", address)


def test_a_place_is_kept_for_minutes_and_for_one_journal(tmp_path: Path) -> None:
    cache = PlaceCache(tmp_path / "p" / "nodes.json", "a")
    assert cache.get("node042", 1000.0) is None
    cache.put((PLACE,), 1000.0)
    assert cache.get("node042", 1000.0 + CACHE_S - 1) == PLACE
    assert cache.get("node042", 1000.0 + CACHE_S) is None
    assert cache.get("node042", 999.0) is None, "a clock that went back"
    assert PlaceCache(tmp_path / "p" / "nodes.json", "b").get("node042", 1000.0) is None


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b'{"binding": "a", "nodes": {"node042": [1]}}'])
def test_a_damaged_cache_is_as_if_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nodes.json"
    path.write_bytes(content)
    path.chmod(0o600)
    assert PlaceCache(path, "a").get("node042", 1000.0) is None


def test_as_many_are_kept_as_the_file_may_hold(tmp_path: Path) -> None:
    cache = PlaceCache(tmp_path / "nodes.json", "a" * 40)
    places = [Place(f"node-with-a-long-name-{n:05}", "node.of-a-site.example.org", 9445, "ca") for n in range(20_000)]
    cache.put(places, 1000.0)
    again = PlaceCache(tmp_path / "nodes.json", "a" * 40)
    assert again.get(places[-1].node, 1000.0) == places[-1]
    assert again.get(places[0].node, 1000.0) is None


def test_a_new_authority_for_nodes_ends_what_was_known_of_the_old(tmp_path: Path) -> None:
    cache = PlaceCache(tmp_path / "nodes.json", "a")
    cache.put((PLACE,), 1000.0)
    cache.put((Place("node043", "h", 1, "ssh-ed25519 BBBB"),), 1001.0)
    assert cache.get("node042", 1002.0) is None

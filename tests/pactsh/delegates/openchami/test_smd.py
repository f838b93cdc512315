from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pactsh.delegates.openchami.http import Http, trust
from pactsh.delegates.openchami.places import places_of
from pactsh.delegates.openchami.smd import Smd
from pactsh.errors import AuthError, NotFoundError, PactError, UsageError
from tests.openchami import Openchami
from tests.openchami.inventory import Node
from tests.openchami.serving import Answer, Call, Server
from tests.pactsh.delegates.openchami.asking import LIMIT_S, fails, settings
from tests.pactsh.delegates.openchami.conftest import NODE


@contextmanager
def smd(site: Openchami, **more: Any) -> Iterator[Smd]:
    given = settings(site, **more)
    with Http(trust("openchami_ca", None), timeout_s=LIMIT_S, token=given.token) as http:
        yield Smd(http, places_of(given).smd)


def find(site: Openchami, name: str, **more: Any) -> str:
    with smd(site, **more) as asked:
        return asked.find(settings(site, **more), name).id


@pytest.mark.parametrize("name", ["node042", "nid000042", "nid000042.cluster2.example", "42"])
def test_a_node_is_found_by_the_number_in_its_name(site: Openchami, name: str) -> None:
    site.add_node("x1000c0s0b0n1", nid=43)
    site.add_node("x1000c0s0b0", nid=None, type="NodeBMC")
    assert find(site, name) == NODE


def test_a_node_is_found_by_its_xname(site: Openchami) -> None:
    assert find(site, "X1000C0S00B0N0", names="xname") == NODE
    assert find(site, NODE, names="nid") == NODE


def test_the_table_comes_before_everything_else(site: Openchami) -> None:
    site.add_node("x1000c0s0b0n1", nid=43)
    assert find(site, "node042", xnames={"node042": "x1000c0s0b0n1"}) == "x1000c0s0b0n1"
    assert find(site, "login", xnames={"login": "X1000C0S0B0N01"}, names="xname") == "x1000c0s0b0n1"


def test_no_name_is_ever_sent_for_an_xname(site: Openchami) -> None:
    error = fails(lambda: find(site, "node042", names="xname"), NotFoundError)
    assert "node042: not known which node of SMD's that is" in error.message
    assert "openchami_xnames" in error.hint
    assert "openchami_names" in error.hint
    assert site.calls == []


def test_an_xname_in_the_table_has_to_be_one(site: Openchami) -> None:
    error = fails(lambda: find(site, "node042", xnames={"node042": "node042"}), UsageError)
    assert "no node's xname" in error.message
    assert site.calls == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("node043", "SMD has no node with NID 43"),
        ("rack1-node42", "more than one number"),
        ("login", "no number in the name"),
        ("node" + "9" * 30, "no number in the name|more than one number"),
    ],
)
def test_a_name_that_maps_to_none_says_what_to_do(site: Openchami, name: str, text: str) -> None:
    with pytest.raises(NotFoundError, match=text) as caught:
        find(site, name)
    assert "openchami_xnames" in caught.value.hint


def test_two_nodes_of_one_number_are_none(site: Openchami) -> None:
    site.add_node("x1000c0s0b0n1", nid=42)
    assert "SMD has 2 nodes with NID 42" in fails(lambda: find(site, "node042"), NotFoundError).message


def test_an_xname_that_smd_does_not_know(site: Openchami) -> None:
    error = fails(lambda: find(site, "x1000c0s0b0n7"), NotFoundError)
    assert "x1000c0s0b0n7: SMD knows no such node" in error.message
    assert "openchami_xnames" in error.hint


def test_what_has_a_nodes_name_but_is_none(site: Openchami) -> None:
    site.nodes[NODE].type = "VirtualNode"
    assert "is a VirtualNode, no node" in fails(lambda: find(site, NODE)).message


def test_a_server_that_does_not_filter_is_not_believed(site: Openchami) -> None:
    """Whatever it sends, only the node that was asked for counts."""
    others = [Node("x1000c0s0b0n1", 43).component(), Node(NODE, 42).component() | {"NID": "42"}]
    server = Server(lambda _call: Answer(200, {"Components": others}))
    server.start()
    try:
        given = settings(site, smd_url=f"http://127.0.0.1:{server.server_port}")
        with Http(trust("openchami_ca", None), timeout_s=LIMIT_S) as http:
            asked = Smd(http, places_of(given).smd)
            assert asked.find(given, "node042").id == NODE
            assert asked.find(given, "x1000c0s0b0n1").id == "x1000c0s0b0n1"
            fails(lambda: asked.find(given, "x1000c0s0b0n2"), NotFoundError)
    finally:
        server.end()


@pytest.mark.parametrize("body", [[1], {"Components": 3}, {"Components": [{"NID": 1}]}, {}, "x", None])
def test_garbage_is_no_node(site: Openchami, body: object) -> None:
    def answer(_call: Call) -> Answer:
        return Answer(200, body)

    server = Server(answer)
    server.start()
    try:
        error = fails(lambda: find(site, "node042", smd_url=f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.end()
    assert "SMD at 127.0.0.1" in error.message
    assert "sends what pact can't read" in error.message


def test_no_components_at_all_may_be_null(site: Openchami) -> None:
    server = Server(lambda _call: Answer(200, {"Components": None}))
    server.start()
    try:
        fails(lambda: find(site, NODE, smd_url=f"http://127.0.0.1:{server.server_port}"), NotFoundError)
    finally:
        server.end()


def test_finding_needs_no_token(site: Openchami) -> None:
    assert find(site, "node042", token=None) == NODE


def test_the_inventory_of_a_node(site: Openchami) -> None:
    site.add_node("x1000c0s0b0n1", nid=43)
    with smd(site) as asked:
        told = asked.inventory(NODE)
        assert [node.id for node in asked.nodes()] == [NODE, "x1000c0s0b0n1"]
    assert (told.xname, told.bmc, told.component.role, told.component.class_) == (
        NODE,
        "x1000c0s0b0",
        "Compute",
        "River",
    )
    assert told.component.nid == 42
    assert [one.mac for one in told.interfaces] == ["a4:bf:01:38:00:01"]
    assert [one.ip for one in told.interfaces[0].addresses or ()] == ["10.1.0.1"]


def test_where_a_bmc_is_needs_a_token_and_discovery(site: Openchami) -> None:
    with smd(site) as asked:
        error = fails(lambda: asked.endpoint(NODE), NotFoundError)
        assert "SMD does not know where its BMC is" in error.message
        site.nodes[NODE].address = "10.0.0.1/redfish/v1/Systems/1"
        assert asked.endpoint(NODE).url == "10.0.0.1/redfish/v1/Systems/1"
    with smd(site, token=None) as asked:
        assert "no token found" in fails(lambda: asked.endpoint(NODE), AuthError).message


def test_smd_is_below_apis_on_csm(csm: Openchami) -> None:
    assert find(csm, "node042") == NODE
    assert {call.path for call in csm.calls} == {"/apis/smd/hsm/v2/State/Components"}


def test_the_error_of_smd_is_told(site: Openchami) -> None:
    site.trouble["smd"] = "problem500"
    assert "failed to query DB." in fails(lambda: find(site, "node042"), PactError).message

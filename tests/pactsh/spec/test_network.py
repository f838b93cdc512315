"""Links, addresses and routes in a spec: known words, well-formed, as a node spells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.spec.network import network_problem

GOOD = [
    ("link:ib0", "state=up mtu=4092"),
    ("link:ib0", "state=up mtu=2044 txqueuelen=256 kind=ipoib"),
    ("link:eth0.100", "state=up mtu=1500 kind=vlan parent=eth0 id=100"),
    ("link:bond0", "state=up mtu=9000 txqueuelen=1000 kind=bond promisc=on arp=off"),
    ("link:eth1", "master=br0"),
    ("address:ib0:10.0.0.1/16", "scope=global broadcast=10.0.255.255"),
    ("address:ib0:10.0.0.1/32", "scope=global peer=10.0.0.2 label=ib0:1 route=none"),
    ("address:ib0:fd00::1/64", "scope=global"),
    ("route:default", "via=10.0.0.1 dev=ib0 proto=static"),
    ("route:10.9.0.0/16 metric=5 table=100", "via=10.0.0.1 dev=ib0 onlink=yes proto=boot src=10.0.0.7 mtu=1400"),
    ("route:10.9.0.1", "dev=ib0 proto=boot scope=link"),
    ("route:10.8.0.0/16", "type=blackhole proto=static"),
    ("route:::/0 metric=1024", "via=fd00::1 dev=ib0 proto=boot"),
    ("route:fd01::/48", "nexthop0=via:fd00::1,dev:ib0,weight:1 nexthop1=via:fd00::2,dev:ib0,onlink:yes,weight:2"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_what_a_node_shows(key: str, value: str) -> None:
    assert network_problem(key, value) is None


BAD = [
    ("link:..", "state=up", "expected the name of a link"),
    ("link:-x", "state=up", "expected the name of a link"),
    ("link:a-name-too-long-1", "state=up", "expected the name of a link"),
    ("link:üüüüüüüüü", "state=up", "expected the name of a link"),
    ("link:a/b", "state=up", "expected a link's name"),
    ("link:", "state=up", "expected a link's name"),
    ("tunnel:x", "state=up", "expected a link's name"),
    ("link:ib0", "", "expected words"),
    ("link:ib0", "up", "'up': expected words such as state=…"),
    ("link:ib0", "state=on", "expected state=up or down"),
    ("link:ib0", "mtu=9000000000", "expected mtu=a number"),
    ("link:ib0", "mtu=09000", "expected mtu=a number"),
    ("link:ib0", "promisc=off", "expected promisc=on"),
    ("link:ib0", "master=-x", "expected master=the name of a link"),
    ("link:ib0", "via=10.0.0.1", "expected words such as"),
    ("address:ib0:10.0.0.300/16", "scope=global", "expected ADDRESS/PREFIX"),
    ("address:ib0:10.0.0.1/33", "scope=global", "expected ADDRESS/PREFIX"),
    ("address:ib0:10.0.0.1", "scope=global", "expected a link's name"),
    ("address:ib0:fd00:0::1/64", "scope=global", "write fd00::1"),
    ("address:ib0:fe80::1%ib0/64", "scope=link", "expected ADDRESS/PREFIX"),
    ("address:..:10.0.0.1/16", "scope=global", "expected the name of a link"),
    ("address:ib0:10.0.0.1/16", "broadcast=10.0.0", "expected broadcast=an address"),
    ("address:ib0:10.0.0.1/16", "scope=global dynamic", "'dynamic': expected words"),
    ("address:ib0:10.0.0.1/16", "scope=global route=absent", "expected route=none"),
    ("route:0.0.0.0/0", "dev=ib0", "write route:default"),
    ("route:10.0.0.1/32", "dev=ib0", "write route:10.0.0.1"),
    ("route:10.0.0.1/16", "dev=ib0", "expected default, ::/0, or a network"),
    ("route:anywhere", "dev=ib0", "expected default, ::/0, or a network"),
    ("route:default metric=0", "dev=ib0", "metric=0: expected a number"),
    ("route:default table=main", "dev=ib0", "goes without saying"),
    ("route:default table=a b", "dev=ib0", "expected a link's name"),
    ("route:default", "proto=static", "expected where it leads"),
    ("route:default", "via=10.0.0.1 proto=dhcp", "expected proto=boot or static"),
    ("route:default", "via=fd00::1 dev=ib0", "IPv4 and IPv6"),
    ("route:default", "nexthop0=via:x,dev:ib0", "expected nexthop0=via:ADDRESS"),
    ("route:default", "nexthop0=via:10.0.0.1,dev:ib0,sh:x", "expected nexthop0=via:ADDRESS"),
    ("route:default", "dev=ib0 lock=yes", "'lock': expected words"),
]


@pytest.mark.parametrize(("key", "value", "says"), BAD)
def test_what_no_node_shows(key: str, value: str, says: str) -> None:
    problem = network_problem(key, value)
    assert problem is not None
    assert says in problem.text


@given(st.ip_addresses(), st.integers(0, 200))
def test_addresses_have_one_spelling(address: object, length: int) -> None:
    most = 128 if ":" in str(address) else 32
    problem = network_problem(f"address:ib0:{address}/{length}", "scope=global")
    assert (problem is None) == (length <= most)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_has_an_answer(key: str, value: str) -> None:
    for kind in ("link:", "address:", "route:", ""):
        network_problem(kind + key, value)

"""Links, addresses and routes: real ones, in a network namespace of the test's own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
from collections.abc import Iterator

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.network import Network
from pact_agent.drift import differences, undoing_order

from pactsh.model.delta import Change
from tests.pact_agent.localnode import DEADLINE_S, IS_ROOT

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="network namespaces are root's: run the tests as root")

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, <linux/sched.h>

NODE = """
link set lo up
link add d0 type bridge
link add v0 type veth peer name v1
address add 10.9.0.1/24 brd + dev d0
address add 10.9.0.2/24 dev d0
address add fd01::5/64 dev d0 nodad
link set d0 up
link set v0 up
route add 10.50.0.0/16 via 10.9.0.9
route add default via 10.9.0.7 metric 50
route add default via fd01::1
route add 10.51.0.0/16 nexthop via 10.9.0.3 weight 2 nexthop via 10.9.0.4
route add blackhole 10.77.0.0/16
route add 10.60.0.0/16 via 10.9.0.9 table 77
"""


def ip(lines: str) -> None:
    for line in lines.strip().splitlines():
        words = line.split()
        family = ("-6",) if words[0] == "route" and "::" in line else ()
        done = subprocess.run(["ip", *family, *words], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, (line, done.stderr)


@pytest.fixture
def network() -> Iterator[Network]:
    """The dimension of a small node; this thread, and what it starts, is on it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if _libc.unshare(_NEW_NETWORK) != 0:
        os.close(home)
        pytest.skip(f"no network namespace here ({os.strerror(ctypes.get_errno())}): it takes CAP_SYS_ADMIN")
    try:
        ip(NODE)
        yield Network()
    finally:
        assert _libc.setns(home, _NEW_NETWORK) == 0
        os.close(home)


def changed(network: Network, lines: str) -> tuple[Change, ...]:
    """What is different after these lines."""
    before = network.snapshot()
    ip(lines)
    return differences({"network": before}, {"network": network.snapshot()}, lambda _d, _k: False)


def test_what_people_set_is_seen_and_nothing_else(network: Network) -> None:
    found = network.snapshot()
    settled = {key: value for key, value in found.items() if not key.startswith("link:v")}
    assert settled == {
        "link:lo": "state=up mtu=65536 txqueuelen=1000",
        "link:d0": "state=up mtu=1500 txqueuelen=1000 kind=bridge",
        "address:lo:127.0.0.1/8": "scope=host",
        "address:lo:::1/128": "scope=host",
        "address:d0:10.9.0.1/24": "scope=global broadcast=10.9.0.255",
        "address:d0:10.9.0.2/24": "scope=global",
        "address:d0:fd01::5/64": "scope=global",
        "route:10.50.0.0/16": "via=10.9.0.9 dev=d0 proto=boot",
        "route:default metric=50": "via=10.9.0.7 dev=d0 proto=boot",
        "route:::/0 metric=1024": "via=fd01::1 dev=d0 proto=boot",
        "route:10.51.0.0/16": "proto=boot nexthop0=via:10.9.0.3,dev:d0,weight:2 nexthop1=via:10.9.0.4,dev:d0,weight:1",
        "route:10.77.0.0/16": "type=blackhole proto=boot",
        "route:10.60.0.0/16 table=77": "via=10.9.0.9 dev=d0 proto=boot",
    }


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("link set d0 down", 7),  # takes its routes along, and its IPv6 address
        ("address delete 10.9.0.1/24 dev d0", 6),  # and with it the second one, and what goes through the network
        ("address delete 10.9.0.2/24 dev d0", 1),
        ("address add 10.9.0.44/24 dev d0\naddress add 10.8.0.1/32 dev lo", 2),
        ("address add 10.7.0.1 peer 10.7.0.2 dev d0\naddress add 10.6.0.1/24 dev d0 label d0:1", 2),
        ("address add 10.5.0.1/24 dev d0 noprefixroute", 1),
        ("route delete 10.9.0.0/24 dev d0", 2),  # the kernel's own route, of both addresses
        ("route delete fd01::/64 dev d0", 1),
        ("link set d0 mtu 9000\nlink set d0 promisc on\nlink set d0 arp off txqueuelen 77", 1),
        ("link set v0 master d0", 1),
        ("route replace 10.50.0.0/16 via 10.9.0.8", 1),
        ("route delete default via fd01::1\nroute delete default metric 50", 2),
        ("route delete 10.51.0.0/16\nroute delete blackhole 10.77.0.0/16\nroute flush table 77", 3),
        ("route add 10.99.0.0/16 via 10.9.0.9 metric 7 table 9 mtu 1400 src 10.9.0.2", 1),
        ("link add d1 type bridge\naddress add 10.1.1.1/24 dev d1\nlink set d1 up", 2),
        ("link delete d0", 9),
        ("link set lo down", 2),
    ],
)
def test_what_is_changed_is_seen_and_put_back(network: Network, lines: str, count: int) -> None:
    before = network.snapshot()
    changes = changed(network, lines)
    assert len(changes) == count, [change.name for change in changes]
    for change in undoing_order(changes):
        network.apply(change.key, change.before)
    assert network.snapshot() == before


def test_a_route_that_the_kernel_made_is_part_of_its_address(network: Network) -> None:
    changes = changed(network, "route delete 10.9.0.0/24 dev d0\nlink set d0 down\nlink set d0 up")
    assert {c.key for c in changes if c.key.startswith("address")} == {"address:d0:fd01::5/64"}, "up again, it is back"


def test_the_end_of_a_container_is_not_seen(network: Network) -> None:
    with subprocess.Popen(["unshare", "-n", "sleep", "60"]) as container:
        try:
            while os.readlink(f"/proc/{container.pid}/ns/net") == os.readlink("/proc/thread-self/ns/net"):
                assert container.poll() is None
            ends = f"link add c0 type veth peer name eth0 netns {container.pid}\nlink set c0 up"
            assert changed(network, f"{ends}\nroute add 10.3.0.9/32 dev c0") == ()
            here = changed(network, "address add 10.3.0.1/24 dev c0")
            assert [c.key for c in here] == ["address:c0:10.3.0.1/24", "link:c0", "route:10.3.0.9"]
        finally:
            container.kill()


def test_a_device_that_was_renamed_gets_its_name_back(network: Network) -> None:
    """The only device in a namespace is the loopback, which the kernel lets nobody rename unless it is down."""
    before = network.snapshot()
    changes = changed(network, "link set lo down\nlink set lo name lost")
    assert {(c.key, c.after is None) for c in changes} >= {("link:lo", True), ("link:lost", False)}
    for change in undoing_order(changes):
        if change.key != "link:lost":  # which can't be taken away, and has gone once it has its name back
            network.apply(change.key, change.before)
    assert network.snapshot() == before


def test_a_link_that_can_not_be_made_again_is_told(network: Network) -> None:
    changes = changed(network, "link delete v0")
    assert {c.key for c in changes} == {"link:v0", "link:v1"}
    with pytest.raises(ApplyError, match="of kind veth is not made"):
        network.apply("link:v0", changes[0].before)


def test_a_device_is_not_taken_away(network: Network) -> None:
    with pytest.raises(ApplyError, match="lo is a device"):
        network.apply("link:lo", None)
    network.apply("link:gone", None)
    network.apply("address:gone:10.0.0.1/8", None)
    network.apply("route:10.200.0.0/16", None)


def test_what_dhcp_set_stays_its_own_when_put_back(network: Network) -> None:
    ip("address add 10.20.0.5/24 dev d0 valid_lft 3600 preferred_lft 3600")
    key = "address:d0:10.20.0.5/24"
    (change,) = changed(network, "address delete 10.20.0.5/24 dev d0")
    assert (change.key, change.before) == (key, "scope=global dynamic")
    network.apply(key, change.before)
    assert network.snapshot()[key] == "scope=global dynamic"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("link:d0", "state=up mtu=-1"),
        ("link:d0", "state=up master=--help"),
        ("link:new", "state=up kind=wireguard"),
        ("link:-d0", "state=up"),
        ("link:a/b", "state=up"),
        ("address:d0:--help", "scope=global"),
        ("address:d0:10.0.0.1/33", "scope=global"),
        ("address:nowhere:10.0.0.1/24", "scope=global"),
        ("route:-6", "via=10.0.0.1"),
        ("route:10.0.0.0/8", "via=$(id)"),
        ("route:10.0.0.0/8", "via=192.168.99.1"),
        ("route:10.0.0.0/8 metric=x", "dev=d0"),
        ("tunnel:x", "y"),
        ("", "state=up"),
    ],
)
def test_what_can_not_be_applied_is_refused(network: Network, key: str, value: str) -> None:
    before = network.snapshot()
    with pytest.raises(ApplyError):
        network.apply(key, value)
    assert network.snapshot() == before


def test_the_kernel_wakes_us(network: Network) -> None:
    async def go(line: str) -> None:
        woken = asyncio.Event()
        end = network.watch(woken.set)
        try:
            ip(line)
            async with asyncio.timeout(DEADLINE_S):
                await woken.wait()
        finally:
            end()

    for line in (
        "link set v1 up",
        "address add 10.9.0.77/24 dev d0",
        "route add 10.88.0.0/16 via 10.9.0.9",
        "route add fd02::/64 via fd01::9",
        "address add fd03::1/64 dev d0",
    ):
        asyncio.run(go(line))


def test_a_route_with_an_encapsulation_is_told_by_where_it_leads(network: Network) -> None:
    """ip(8) shows two destinations of it; it is no route to the second, nor made again as one without."""
    (change,) = changed(network, "route add 192.0.2.0/24 encap ip id 5 dst 1.1.1.1 dev d0")
    assert (change.key, "encap=ip" in str(change.after)) == ("route:192.0.2.0/24", True)
    network.apply(change.key, None)
    assert change.key not in network.snapshot()
    with pytest.raises(ApplyError, match="encapsulation is not made by pact"):
        network.apply(change.key, change.after)
    assert not any("1.1.1.1" in key for key in network.snapshot())


def test_routes_for_a_kind_of_service_are_apart(network: Network) -> None:
    changes = changed(network, "route add 10.81.0.0/16 dev d0 tos 0x10\nroute add 10.81.0.0/16 dev d0")
    assert len(changes) == 2
    after = network.snapshot()
    for change in changes:
        network.apply(change.key, None)
    assert not any("10.81" in key for key in network.snapshot())
    for change in changes:
        network.apply(change.key, change.after)
    assert network.snapshot() == after

"""Links, InfiniBand and Slingshot, laid out as their drivers do."""

from __future__ import annotations

import os
from pathlib import Path

from pact_agent.capabilities.network import network

from pactsh.model.capability import InfinibandPort, Link, Network, Slingshot
from tests.pact_agent.capabilities.tree import device, lay


def link(root: Path, name: str, place: str = "", **files: str) -> None:
    at = f"sys/class/net/{name}"
    lay(root, {f"{at}/{file}": f"{text}\n" for file, text in files.items()})
    if place:
        lay(root, {f"{at}/device": f"->{place}"})


def test_links_of_all_kinds(tmp_path: Path) -> None:
    place = device(tmp_path, "0000:41:00.0", {"numa_node": "1\n"}, driver="mlx5_core")
    mac = "b8:3f:d2:00:00:01"
    link(tmp_path, "eth0", place, operstate="up", speed="25000", address=mac, mtu="9000", type="1", uevent="IFINDEX=2")
    link(tmp_path, "eth1", place, operstate="down", speed="-1", address=mac, mtu="1500", type="1", uevent="IFINDEX=3")
    link(tmp_path, "ib0", place, operstate="up", speed="200000", mtu="2044", type="32")
    link(tmp_path, "bond0", operstate="up", speed="50000", type="1", uevent="DEVTYPE=bond\nINTERFACE=bond0")
    link(tmp_path, "veth1", operstate="up", speed="10000", type="1", uevent="INTERFACE=veth1")
    link(tmp_path, "lo", operstate="unknown", mtu="65536", type="772")
    lay(tmp_path, {"sys/class/net/bonding_masters": "bond0\n"})
    found = network(tmp_path)
    by_name = {one.name: one for one in found.links or ()}
    assert by_name["eth0"] == Link("eth0", "ethernet", "up", "mlx5_core", 25000, mac, 9000, "0000:41:00.0", 1)
    assert (by_name["eth1"].state, by_name["eth1"].speed_mbit) == ("down", None)
    kinds = {"bond0": "bond", "eth0": "ethernet", "eth1": "ethernet", "ib0": "infiniband", "lo": "loopback"}
    assert {name: one.kind for name, one in by_name.items()} == kinds | {"veth1": "virtual"}
    assert by_name["lo"] == Link("lo", "loopback", "unknown", mtu=65536)
    assert (found.infiniband, found.slingshot) == ((), ())


def test_ports_of_infiniband(tmp_path: Path) -> None:
    place = device(tmp_path, "0000:a1:00.0", {"numa_node": "-1\n"}, driver="mlx5_core")
    at = "sys/class/infiniband/mlx5_0"
    lay(tmp_path, {f"{at}/device": f"->{place}", f"{at}/fw_ver": "20.35.1012\n", f"{at}/ports/2/": ""})
    port = {"state": "4: ACTIVE", "phys_state": "5: LinkUp", "rate": "200 Gb/sec (4X HDR)", "link_layer": "InfiniBand"}
    lay(tmp_path, {f"{at}/ports/1/{name}": f"{text}\n" for name, text in port.items()})
    lay(tmp_path, {f"{at}/ports/.hidden": ""})
    where = ("20.35.1012", "mlx5_core", "0000:a1:00.0", None)
    assert network(tmp_path).infiniband == (
        InfinibandPort("mlx5_0", 1, "ACTIVE", "LinkUp", "200 Gb/sec (4X HDR)", "InfiniBand", *where),
        InfinibandPort("mlx5_0", 2, None, None, None, None, *where),
    )


def test_both_generations_of_slingshot(tmp_path: Path) -> None:
    """Cassini 1 has files where Cassini 2 has directories, of a port that has a number."""
    first = device(tmp_path, "0000:21:00.0", {"numa_node": "3\n", "properties/nid": "0x2a1\n"}, driver="cxi_ss1")
    port = {"port/link": "up", "port/speed": "BS_200G", "port/media": "electrical", "fru/part_number": "P43012-001"}
    lay(tmp_path, {f"{first}/{name}": f"{text}\n" for name, text in port.items()})
    lay(tmp_path, {f"{first}/uc/qspi_blob_version": "1.5.53\n"})
    second = device(tmp_path, "0000:22:00.0", {"properties/nid": "0x2a2\n"}, driver="cxi_ss1")
    port = {"port/0/link/state": "down", "port/0/link/speed": "ck400G", "port/0/media/type": "optical"}
    lay(tmp_path, {f"{second}/{name}": f"{text}\n" for name, text in port.items()})
    link(tmp_path, "hsn0", first, operstate="up", speed="200000", type="1")
    lay(tmp_path, {f"sys/class/cxi/cxi{n}/device": f"->{place}" for n, place in enumerate((first, second))})
    lay(tmp_path, {"sys/class/cxi/cxi2/": ""})
    assert network(tmp_path).slingshot == (
        Slingshot(
            *("cxi0", "hsn0", 0x2A1, "up", "BS_200G", "electrical", "P43012-001", "1.5.53", "cxi_ss1"),
            *("0000:21:00.0", 3),
        ),
        Slingshot("cxi1", None, 0x2A2, "down", "ck400G", "optical", driver="cxi_ss1", pci="0000:22:00.0"),
        Slingshot("cxi2", None, None, None, None),
    )


def test_without_sysfs_nothing_is_known(tmp_path: Path) -> None:
    assert network(tmp_path) == Network(None, None, None)


def test_this_machine() -> None:
    links = network(Path("/")).links or ()
    assert sorted(one.name for one in links) == sorted(
        n for n in os.listdir("/sys/class/net") if n != "bonding_masters"
    )

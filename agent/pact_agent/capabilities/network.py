"""Links, InfiniBand ports and Slingshot devices, from /sys/class (Documentation/ABI/testing/sysfs-class-net,
stable/sysfs-class-infiniband; of Slingshot what its driver cxi_ss1 has there)."""

from __future__ import annotations

import re
from pathlib import Path

from pact_agent.capabilities.tree import fields, names, numa_node, pci_address, read_number, read_text, target
from pactsh.model.capability import InfinibandPort, Link, Network, Slingshot

_KINDS = {772: "loopback", 32: "infiniband"}  # ARPHRD_* of <linux/if_arp.h>
_STATE = re.compile(r"\d+: (.+)")  # `4: ACTIVE`


def network(root: Path) -> Network:
    """All there is below /sys/class."""
    links = _links(root / "sys/class/net")
    return Network(
        links=links,
        infiniband=_infiniband(root / "sys/class/infiniband"),
        slingshot=_slingshot(root / "sys/class/cxi", {link.pci: link.name for link in links or () if link.pci}),
    )


def _links(directory: Path) -> tuple[Link, ...] | None:
    found = names(directory)
    # bonding_masters is a file there
    return None if found is None else tuple(_link(directory / n) for n in found if (directory / n).is_dir())


def _link(path: Path) -> Link:
    speed, device = read_number(path / "speed"), path / "device"
    has_device = device.exists()
    return Link(
        name=path.name,
        kind=_kind(path, has_device=has_device),
        state=read_text(path / "operstate"),
        driver=target(device / "driver") if has_device else None,
        speed_mbit=speed if speed is not None and speed > 0 else None,  # -1, or no answer, while it is down
        mac=read_text(path / "address"),
        mtu=read_number(path / "mtu"),
        pci=pci_address(device) if has_device else None,
        numa_node=numa_node(device),
    )


def _kind(path: Path, *, has_device: bool) -> str:
    known = _KINDS.get(read_number(path / "type") or 0)
    named = fields(read_text(path / "uevent") or "", "=").get("DEVTYPE")
    return known or named or ("ethernet" if has_device else "virtual")


def _infiniband(directory: Path) -> tuple[InfinibandPort, ...] | None:
    devices = names(directory)
    if devices is None:
        return None
    return tuple(
        _port(directory / name, port)
        for name in devices
        for port in names(directory / name / "ports") or ()
        if re.fullmatch(r"\d{1,6}", port)
    )


def _port(path: Path, number: str) -> InfinibandPort:
    port, device = path / "ports" / number, path / "device"
    return InfinibandPort(
        device=path.name,
        port=int(number),
        state=_named(read_text(port / "state")),
        physical_state=_named(read_text(port / "phys_state")),
        rate=read_text(port / "rate"),
        link_layer=read_text(port / "link_layer"),
        firmware=read_text(path / "fw_ver"),
        driver=target(device / "driver"),
        pci=pci_address(device) if device.exists() else None,
        numa_node=numa_node(device),
    )


def _named(text: str | None) -> str | None:
    found = _STATE.fullmatch(text or "")
    return found[1] if found else text


def _slingshot(directory: Path, interfaces: dict[str, str]) -> tuple[Slingshot, ...] | None:
    """`interfaces` are the names of links by PCI address: a device and its interface are at the same."""
    devices = names(directory)
    if devices is None:
        return None
    return tuple(_cxi(directory / name, interfaces) for name in devices)


def _cxi(path: Path, interfaces: dict[str, str]) -> Slingshot:
    device = path / "device"
    pci = pci_address(device) if device.exists() else None
    port = device / "port"
    first = (
        port / "0"
    )  # of Cassini 2 (400 Gbit/s); Cassini 1 has one without a number, and files in place of directories
    is_second = first.is_dir()
    return Slingshot(
        device=path.name,
        interface=interfaces.get(pci or ""),
        nid=read_number(device / "properties/nid"),
        state=read_text(first / "link/state" if is_second else port / "link"),
        speed=read_text(first / "link/speed" if is_second else port / "speed"),
        media=read_text(first / "media/type" if is_second else port / "media"),
        part=read_text(device / "fru/part_number"),
        firmware=read_text(device / "uc/qspi_blob_version"),
        driver=target(device / "driver"),
        pci=pci,
        numa_node=numa_node(device),
    )

"""Node deltas become wanted values that the node satisfies, or are told to have no place in an overlay."""

from __future__ import annotations

import pytest

from pactsh.model.delta import Change
from pactsh.model.overlay import satisfies
from pactsh.spec import parse_spec, render_spec, value_faults, values_of

DIGEST = "a" * 64
NFS4 = "type=nfs4 source=s:/x options=rw,nosuid,nodev,relatime,vers=4.2,rsize=1048576,hard,proto=tcp"
NFS3 = "type=nfs source=s:/x options=rw,nosuid,nodev,vers=3,mountvers=3,mountport=20048,mountproto=udp"
MAPPED = [
    ("kernel", "net.ipv4.tcp_rmem", "4096\t131072\t6291456", "4096 131072 6291456"),
    ("kernel", "net.ipv4.conf.eth0/100.forwarding", "1", "1"),
    ("kernel", "module:nvme", "loaded", "loaded"),
    ("mounts", "/scratch", f"{NFS4},clientaddr=10.0.0.2,local_lock=none,addr=10.0.0.1",
     "type=nfs4 source=s:/x options=nosuid,nodev,vers=4.2,rsize=1048576,hard,proto=tcp"),
    ("mounts", "/scratch", f"{NFS3},mountaddr=10.0.0.1,local_lock=none,addr=10.0.0.1",
     "type=nfs source=s:/x options=nosuid,nodev,vers=3"),
    ("mounts", "/local", "type=xfs source=/dev/sdb1 options=ro,nosuid,nodev,noatime,seclabel,attr2,inode64,noquota",
     "type=xfs source=/dev/sdb1 options=ro,nosuid,nodev,noatime,noquota"),
    ("mounts", "/ram", "type=tmpfs source=none options=rw,relatime,size=64k,inode64",
     "type=tmpfs source=none options=size=64k"),
    ("mounts", "/ram", "type=tmpfs source=my\\040ram options=rw,relatime", "type=tmpfs source=my\\040ram options="),
    ("files", "/etc/a", f"file mode=0644 owner=0:0 size=3 sha256={DIGEST}",
     f"file mode=0644 owner=0:0 sha256={DIGEST}"),
    ("files", "/etc/b", "link -> ../my b", "link -> ../my b"),
    ("files", "/etc/d", "dir mode=0750 owner=0:7", "dir mode=0750 owner=0:7"),
    ("network", "link:br0", "state=up mtu=1500 kind=bridge", "state=up mtu=1500 kind=bridge"),
    ("network", "address:ib0:10.0.0.1/16", "scope=global broadcast=10.0.255.255",
     "scope=global broadcast=10.0.255.255"),
    ("network", "route:default", "via=10.0.0.1 dev=ib0 proto=static", "via=10.0.0.1 dev=ib0 proto=static"),
    ("network", "route:::/0 metric=1024", "via=fd00::1 dev=ib0 proto=boot", "via=fd00::1 dev=ib0 proto=boot"),
    ("services", "chrony.service", "state=stopped enabled=disabled", "state=stopped enabled=disabled"),
    ("services", "chrony.service", "state=failed enabled=enabled", "enabled=enabled"),
    ("services", "x.service", "state=stopped enabled=static", "state=stopped"),
    ("services", "x.service", "state=on-demand enabled=disabled", "enabled=disabled"),
    ("packages", "htop", "3.2.2-2", "3.2.2-2"),
]  # fmt: skip


@pytest.mark.parametrize(("dimension", "key", "value", "wanted"), MAPPED)
def test_a_delta_becomes_what_the_node_satisfies(dimension: str, key: str, value: str, wanted: str) -> None:
    assert values_of([Change(dimension, key, None, value)]) == ({dimension: {key: wanted}}, ())
    assert satisfies(dimension, wanted, value)
    assert [*value_faults(dimension, {key: wanted}, {})] == []
    (spec,) = parse_spec(render_spec("ml", {dimension: {key: wanted}}, {}), "x")
    assert spec.values == {dimension: {key: wanted}}


@pytest.mark.parametrize(
    "change",
    [
        Change("kernel", "vm.swappiness", "60", None),
        Change("kernel", "kernel.core_pattern", "core", "|/bin/sh"),
        Change("kernel", "net.x.y", "1", ""),
        Change("kernel", "net.x.y", "1", "a\nb"),
        Change("gpu", "3", "healthy", "DEGRADED (ECC uncorrectable: 12)"),
        Change("files", "/etc/a", None, f"file mode=0600 owner=0:0 size=3 keyed={DIGEST}"),
        Change("files", "/etc/a", None, f"file mode=4755 owner=0:0 size=3 sha256={DIGEST}"),
        Change("network", "link:v0", None, "state=up mtu=1500 kind=veth"),
        Change("network", "link:eth7", None, "state=up mtu=1500"),
        Change("files", "/etc/p", None, "fifo mode=0755 owner=0:0"),
        Change("files", "/etc/p", None, "device mode=0755 owner=0:0"),
        Change("files", "/etc/p", None, "socket mode=0755 owner=0:0"),
        Change("files", "/etc/\udcff", None, "link -> x"),
        Change("files", "/etc/pact/agent.toml", None, f"file mode=0644 owner=0:0 size=3 sha256={DIGEST}"),
        Change("mounts", "/x", None, "type=ext4 source=/dev/sda1 options=rw,nosuid,nodev root=/part"),
        Change("mounts", "/x", None, "type=overlay source=o options=rw"),
        Change("mounts", "/x", None, "type=nfs source=s:/x options=rw"),
        Change("network", "address:eth0:10.0.0.7/24", None, "scope=global dynamic"),
        Change("network", "address:eth0:10.0.0.7/24", "scope=global", "scope=global route=absent"),
        Change("network", "route:default", None, "via=10.0.0.1 dev=eth0 proto=dhcp"),
        Change("services", "pact-agent.service", None, "state=stopped enabled=enabled"),
        Change("services", "auditd.service", None, "state=stopped enabled=enabled"),
        Change("services", "x.service", None, "state=failed enabled=static"),
        Change("packages", "htop", None, "3.2.2-2 half-configured"),
    ],
    ids=lambda change: f"{change.dimension}:{change.key}".encode("ascii", "replace").decode(),
)
def test_what_has_no_place_is_a_comment(change: Change) -> None:
    assert values_of([change]) == ({}, (change,))
    text = render_spec("ml", {"kernel": {"vm.x": "1"}}, {}, unmapped=[change])
    assert text.count(f"\n# {change.dimension}:") == 1
    assert text.isascii()
    assert parse_spec(text, "x")[0].values == {"kernel": {"vm.x": "1"}}


def test_a_setting_of_a_link_that_was_there_is_mapped_whatever_its_kind() -> None:
    value = "state=up mtu=4092 txqueuelen=256 kind=ipoib"
    assert values_of([Change("network", "link:ib0", "state=up mtu=2044 kind=ipoib", value)])[1] == ()


def test_the_last_change_of_a_key_counts() -> None:
    changes = [
        Change("kernel", "vm.a", "0", "1"),
        Change("kernel", "vm.b", "0", "1"),
        Change("kernel", "vm.a", "1", "2"),
        Change("kernel", "vm.b", "1", None),
    ]
    assert values_of(changes) == ({"kernel": {"vm.a": "2"}}, (changes[-1],))

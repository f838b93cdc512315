"""What an overlay may say, whoever wrote it: the journal asks the same of one that no spec was read for."""

from __future__ import annotations

import hashlib

import pytest

from pactsh.spec import value_faults

DIGEST = hashlib.sha256(b"x").hexdigest()
BAD = [
    ("gpu", "3", "healthy", "nothing of that can be declared"),
    ("kernel", "", "1", "printable"),
    ("kernel", "vm.x", "1\x1b", "printable"),
    ("kernel", "kernel.modprobe", "/tmp/x", "could make the kernel run programs"),
    ("kernel", "kernel.modprobe", "x", "could make the kernel run programs"),
    ("kernel", "kernel.hotplug", "x", "could make the kernel run programs"),
    ("kernel", "kernel.poweroff_cmd", "x", "could make the kernel run programs"),
    ("kernel", "fs.suid_dumpable", "2", "could make the kernel run programs"),
    ("kernel", "kernel/core_pattern", "x", "could make the kernel run programs"),
    ("kernel", "net/ipv4/conf/eth0.100/forwarding", "1", "write net.ipv4.conf.eth0/100.forwarding"),
    ("kernel", "net.ipv6.conf.eth0.mtu", "1400", "no setting that stays"),
    ("kernel", "vm..swappiness", "1", "expected the name of a setting"),
    ("kernel", "vm.swappiness", "", "not empty"),
    ("kernel", "module:ib-umad", "loaded", "as lsmod shows it"),
    ("files", "/etc/x", "mode=0644  owner=0:0", "one blank between"),
    ("files", "/etc/x", "mode=0644 mode=0600", "'mode' is there twice"),
    ("files", "/etc/x", f"sha256={DIGEST}", "expected a content"),
    ("files", "/etc/x", "file mode=0644", "expected a content"),
    ("files", "/etc/x", "dir mode=4755", "'4755': expected mode=0644"),
    ("files", "/etc/x", f"file keyed={DIGEST}", "'keyed': expected"),
    ("files", "/etc/x", f"file sha256={DIGEST} size=1", "'size': expected"),
    ("files", "/etc/x", "owner=00:0", "owner=UID:GID by number"),
    ("files", "/etc/x", "link ->  ", "expected the target"),
    ("files", "/etc/pact", "mode=0777", "pact's own"),
    ("files", "/etc/pact/keys/x", "mode=0777", "pact's own"),
    ("files", "/etc/systemd/system/pact-agent.service", "link -> /dev/null", "pact's own"),
    ("files", "/etc/systemd/system/service.d/x.conf", f"file sha256={DIGEST}", "pact's own"),
    ("files", "/etc/ssl/private/x.pem", f"file sha256={DIGEST}", "is secret"),
    ("services", "pact-agent.service", "state=running", "pact's own"),
    ("services", "pact.socket", "state=running", "pact's own"),
    ("services", "systemd-poweroff.service", "state=running", "the system's own"),
    ("services", "debug-shell.service", "state=running", "the system's own"),
    ("services", "rsyslog.service", "state=stopped", "the system's own"),
    ("services", "x.service", "restart=always", "expected state=running"),
    ("services", "x.service", "enabled=static", "expected one of enabled, disabled"),
    ("services", "x.service", "enabled=masked", "expected one of enabled, disabled"),
    ("services", "a\\x2db.service", "state=running", "expected the name of a service"),
    ("packages", "x", "1.0 hold", "expected a version"),
]


@pytest.mark.parametrize(("dimension", "key", "value", "says"), BAD)
def test_what_an_overlay_may_not_say(dimension: str, key: str, value: str, says: str) -> None:
    (fault,) = value_faults(dimension, {key: value}, {DIGEST: "x"})
    assert says in fault


GOOD = [
    ("kernel", "vm.swappiness", "10"),
    ("kernel", "net.ipv4.conf.eth0/100.forwarding", "1"),
    ("files", "/etc/shadow", "mode=0600 owner=0:0"),
    ("files", "/etc/pact-site.conf", f"file sha256={DIGEST} mode=0644"),
    ("services", "systemd-networkd.service", "state=running enabled=enabled"),
    ("services", "getty@tty1.service", "state=stopped enabled=disabled"),
    ("packages", "rpm:kernel-core-5.14.0-427.el9.x86_64", "5.14.0-427.el9"),
]


@pytest.mark.parametrize(("dimension", "key", "value"), GOOD)
def test_what_it_may(dimension: str, key: str, value: str) -> None:
    assert [*value_faults(dimension, {key: value}, {DIGEST: "x"})] == []


def test_a_file_is_no_directory_of_another() -> None:
    values = {"/etc/a/b/c": "mode=0644", "/etc/a/b": "mode=0644", "/etc/a/bc": "mode=0644"}
    assert [*value_faults("files", values, {})] == ["files:/etc/a/b/c: /etc/a/b is to be no directory"]


def test_answers_come_at_once_whatever_is_asked() -> None:
    """The journal has one thread for everybody."""
    for dimension in ("kernel", "mounts", "files", "services", "network", "packages"):
        for text in ("a." * 2048, "/a" * 2048, "route:" + "1" * 4000, "x" * 4096, "a=" * 2048):
            assert len([*value_faults(dimension, {text: text}, {})]) == 1

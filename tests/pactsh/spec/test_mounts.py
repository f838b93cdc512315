"""What may be mounted by a spec, where, from where and how."""

from __future__ import annotations

import pytest

from pactsh.spec.mounts import mount_problem

SAFE = "options=nosuid,nodev"
GOOD = [
    ("/scratch", f"type=nfs source=storage03:/scratch {SAFE}"),
    ("/home", f"type=nfs4 source=[fd00::1]:/home {SAFE},ro,vers=4.2,sec=krb5p"),
    ("/a b", f"type=nfs source=s:/my\\040x {SAFE}"),
    ("/lustre", f"type=lustre source=10.0.0.1@o2ib:10.0.0.2@o2ib:/fs0 {SAFE},flock"),
    ("/beegfs", f"type=beegfs source=beegfs_nodev {SAFE},cfgFile=/etc/beegfs/beegfs-client.conf"),
    ("/local", f"type=xfs source=/dev/nvme0n1p1 {SAFE},noatime"),
    ("/local", f"type=ext4 source=/dev/mapper/vg-data {SAFE},errors=remount-ro"),
    ("/opt/site", f"type=xfs source=/dev/sdb {SAFE}"),
    ("/opt/site", f"type=nfs source=s:/site {SAFE},exec"),
]


@pytest.mark.parametrize(("path", "value"), GOOD)
def test_what_may_be_mounted(path: str, value: str) -> None:
    assert mount_problem(path, value) is None


KINDS = [
    "fuse", "fuse.sshfs", "fuseblk", "proc", "sysfs", "overlay", "bind", "none", "cgroup2", "bpf", "debugfs", "NFS",
    "devtmpfs", "squashfs", "iso9660", "ramfs", "vfat", "auto", "nfs,proc", "",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_other_types_are_not(kind: str) -> None:
    problem = mount_problem("/x", f"type={kind} source=s:/x {SAFE}")
    assert problem is not None
    assert problem.field == "type"
    assert "expected one of nfs, nfs4, lustre, beegfs, ext4, xfs, tmpfs" in problem.text


PLACES = [
    "/usr", "/usr/local/lib", "/etc", "/etc/x", "/lib64", "/lib/modules", "/boot/efi", "/dev/x", "/proc/1", "/sys",
    "/run/x", "/tmp", "/tmp/x", "/var/lib/cloud",
    "/var/scratch", "/var/run/x", "/var/lib", "/var/lib/pact", "/var/lib/pact/spool", "/var/log", "/var/spool/cron",
    "/opt", "/opt/rocm-6.1/bin", "/root/.ssh", "/home/a/.ssh", "/var/lib/munge", "/var/lib/rpm",
]  # fmt: skip


@pytest.mark.parametrize("path", PLACES)
def test_nothing_hides_the_system(path: str) -> None:
    problem = mount_problem(path, f"type=nfs source=s:/x {SAFE}")
    assert problem is not None
    assert problem.text.startswith("nothing is mounted there")


@pytest.mark.parametrize("path", ["/", "x", "/x/", "//x", "/x/../usr", "/./x", "/x//y"])
def test_paths_are_written_in_full(path: str) -> None:
    problem = mount_problem(path, f"type=nfs source=s:/x {SAFE}")
    assert problem is not None
    assert problem.text.startswith("expected a path from the root")


OPTIONS = [
    "suid", "dev", "bind", "rbind", "move", "remount", "shared", "rprivate", "user", "user=eve", "owner", "loop",
    "loop=/dev/loop0", "offset=512", "X-mount.subdir=x", "x-systemd.automount", "helper=x", "uhelper=udisks2",
    "context=x", "rootcontext=x", "journal_path=/dev/sdb", "logdev=/dev/sdb", "lowerdir=/", "-x",
    "verity.roothash=0", "cfgFile=/tmp/x.conf", "a\\011b",
]  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_options_that_need_care(option: str) -> None:
    problem = mount_problem("/x", f"type=nfs source=s:/x {SAFE},{option}")
    assert problem is not None
    assert (problem.field, "is not for an overlay" in problem.text) == ("options", True)


@pytest.mark.parametrize("options", ["", "ro", "nosuid", "nodev"])
def test_what_is_not_empty_is_mounted_safely(options: str) -> None:
    problem = mount_problem("/x", f"type=ext4 source=/dev/sdb options={options}")
    assert problem is not None
    assert problem.text == "expected the options nosuid and nodev"


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("nfs", "/dev/sdb"), ("nfs", "-s:/x"), ("nfs", ""), ("ext4", "/tmp/image"), ("ext4", "/dev/shm/image"),
        ("ext4", "/dev/loop0"), ("xfs", "UUID=0-0"), ("xfs", "/dev/disk/by-label/x"), ("tmpfs", "-x"), ("tmpfs", "/x"),
    ],
)  # fmt: skip
def test_sources_are_of_the_type(kind: str, source: str) -> None:
    problem = mount_problem("/x", f"type={kind} source={source} {SAFE}")
    assert problem is not None
    assert problem.field == "source"


@pytest.mark.parametrize(
    "value", ["", "type=nfs source=s:/x", f"type=nfs source=s:/x {SAFE} root=/y", f"source=s:/x {SAFE}"]
)
def test_what_is_no_mount(value: str) -> None:
    problem = mount_problem("/x", value)
    assert problem is not None
    assert problem.text == "expected type, source and options"

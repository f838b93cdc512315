"""Disks and mounts as the kernel lists them; a server that is gone holds nobody up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pact_agent.aliases import parse_mounts
from pact_agent.capabilities.storage import Sizes, is_diskless, shown, storage

from pactsh.model.capability import Disk, Storage
from tests.pact_agent.capabilities.tree import lay
from tests.pact_agent.localnode import IS_ROOT

ROOT = Path(__file__).parents[3]
DISK_NODE = """21 27 0:20 / /proc rw - proc proc rw
22 27 0:21 / /sys rw - sysfs sysfs rw
23 27 0:5 / /dev rw - devtmpfs udev rw
24 23 0:24 / /dev/shm rw - tmpfs tmpfs rw
25 27 0:25 / /run rw - tmpfs tmpfs rw
27 1 8:2 / / rw - xfs /dev/sda2 rw
28 27 0:26 / /net rw - autofs systemd-1 rw
29 27 8:1 / /boot/efi rw - vfat /dev/sda1 rw
30 27 8:2 /var/lib/kubelet/pods/x /var/lib/kubelet/pods/x/volume rw - xfs /dev/sda2 rw
31 27 0:40 / /home rw - nfs4 server:/home rw
32 27 0:41 / /lustre rw - lustre 10.0.0.1@o2ib:/scratch rw
33 27 0:42 / /var/lib/containers/storage/overlay/x/merged rw - overlay overlay rw
34 27 0:43 / /home/joe/far rw - fuse.sshfs joe@far:/home/joe rw
35 27 0:44 /@data /data rw - btrfs /dev/sdb rw
36 27 0:44 /@logs /logs rw - btrfs /dev/sdb rw
37 27 8:17 / /old rw - ext4 /dev/sdc1 rw
38 37 8:18 / /old rw - ext4 /dev/sdc2 rw
39 27 0:45 / /web rw - davfs https://joe:hunter2@dav/x rw
"""


def test_mounts_of_a_node_with_disks() -> None:
    mounts = parse_mounts(DISK_NODE)
    assert [m.point for m in shown(mounts)] == [
        *("/", "/boot/efi", "/data", "/dev/shm", "/home", "/home/joe/far", "/logs", "/lustre", "/old"),
    ]
    assert next(m.source for m in shown(mounts) if m.point == "/old") == "/dev/sdc2"
    assert is_diskless(mounts) is False


@pytest.mark.parametrize(
    ("root", "diskless"),
    [
        ("8:2 / / rw - xfs /dev/sda2 rw", False),
        ("0:30 / / rw - zfs rpool/ROOT rw", False),
        ("0:30 / / rw - tmpfs tmpfs rw", True),
        ("0:1 / / rw - rootfs rootfs rw", True),
        ("0:30 / / rw - overlay LiveOS_rootfs rw", True),
        ("0:30 / / rw - nfs 10.0.0.1:/image rw", True),
        ("0:30 / / rw - ext4 /dev/nbd0 rw", True),
        ("0:30 / / rw - strangefs thing rw", None),
        ("0:30 / /elsewhere rw - xfs /dev/sda2 rw", None),
    ],
)
def test_whether_it_is_diskless(root: str, diskless: bool | None) -> None:
    mounts = parse_mounts(f"1 1 0:1 / /first rw - rootfs rootfs rw\n27 1 {root}\n")
    assert is_diskless(mounts) is diskless


def test_of_two_roots_the_upper_one_counts() -> None:
    assert is_diskless(parse_mounts("1 1 0:1 / / rw - rootfs rootfs rw\n2 1 8:1 / / rw - xfs /dev/sda1 rw\n")) is False


def test_disks(tmp_path: Path) -> None:
    where = {
        "sda": "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0",
        "sdb": "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0",
        "sdc": "pci0000:00/0000:05:00.0/host7/port-7:0/end_device-7:0/target7:0:0/7:0:0:0",
        "sdd": "platform/host9/session1/target9:0:0/9:0:0:0",
        "nvme0n1": "pci0000:00/0000:01:00.0/nvme/nvme0",
        "vda": "pci0000:00/0000:00:04.0/virtio2",
        "dm-0": "virtual",
        "loop0": "virtual",
        "sr0": "pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0",
    }
    for name, place in where.items():
        at = f"sys/devices/{place}/block/{name}"
        lay(tmp_path, {f"{at}/size": "0\n" if name == "sr0" else "2048\n", f"sys/block/{name}": f"->{at}"})
    at = f"sys/devices/{where['sda']}/block/sda"
    lay(tmp_path, {f"{at}/queue/rotational": "1\n", f"{at}/device/model": "HGST HUS722T1TAL\n"})
    lay(tmp_path, {f"{at}/sda{n}/partition": f"{n}\n" for n in (1, 2)})
    found = storage(tmp_path, Sizes())
    assert found.disks is not None
    assert Disk("sda", 1 << 20, True, "HGST HUS722T1TAL", "sata", 2) in found.disks
    transports = {"sda": "sata", "sdb": "usb", "sdc": "sas", "sdd": "iscsi", "nvme0n1": "nvme", "vda": "virtio"}
    assert {d.name: d.transport for d in found.disks} == transports | {"dm-0": "dm"}
    assert next(d for d in found.disks if d.name == "vda") == Disk("vda", 1 << 20, None, None, "virtio", 0)
    assert (found.mounts, found.diskless) == (None, None)


def test_what_is_mounted_has_its_size_and_no_secrets(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/self/mountinfo": DISK_NODE.replace("davfs", "fuse.davfs"), "home/": "", "web/": ""})
    found = {mount.point: mount for mount in storage(tmp_path, Sizes()).mounts or ()}
    stat = os.statvfs(tmp_path)
    assert found["/"].size_bytes == found["/home"].size_bytes == stat.f_frsize * stat.f_blocks
    assert (found["/"].where, found["/"].answers) == ("local", None)
    assert (found["/home"].where, found["/home"].answers) == ("network", True)
    assert (found["/dev/shm"].where, found["/home/joe/far"].where) == ("memory", "program")
    assert found["/web"].source == "https://[not shown]@dav/x"
    assert found["/lustre"].size_bytes is None  # nothing is there


def test_nothing_at_all(tmp_path: Path) -> None:
    assert storage(tmp_path, Sizes()) == Storage(None, None, None)
    lay(tmp_path, {"proc/self/mountinfo": b"\xff\n1 2\n\n - \n", "sys/": ""})
    assert storage(tmp_path, Sizes()) == Storage(None, (), ())


DEAD = """
import ctypes, os, sys, threading
from pact_agent.capabilities.storage import Sizes, storage
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
server = os.open("/dev/fuse", os.O_RDWR)  # nobody ever reads what it is asked
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % server
if libc.mount(b"server:/x", sys.argv[1].encode(), b"fuse", 0, options):
    sys.exit(77)
sizes = Sizes()
for _ in range(3):
    found = {mount.point: mount for mount in storage(Path("/"), sizes).mounts}
dead, alive = found[sys.argv[1]], found["/"]
print(dead.answers, dead.size_bytes, alive.size_bytes > 0, threading.active_count(), flush=True)
os.close(server)
"""


@pytest.mark.skipif(not IS_ROOT, reason="mounting takes root")
def test_a_file_system_that_never_answers_is_said_to_and_holds_one_thread(tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DEAD, str(dead)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/agent"},
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this machine lets nobody mount")
    assert (done.stdout, done.stderr) == ("False None True 2\n", "")

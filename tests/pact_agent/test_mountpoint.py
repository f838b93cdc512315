"""Mount points by their own name: not through links, nor through directories that others may change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pact_agent.mounted import RemoteMounts
from pact_agent.mountpoint import stray_mount_point

from pactsh.policy.decision import StageDecision
from tests.pact_agent.localnode import IS_ROOT
from tests.pactsh.catalog.deciding import decided

MOUNTINFO = """\
25 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 25 0:40 / /scratch rw,nosuid,nodev - nfs4 filer:/scratch rw
41 25 0:41 / /mnt/local rw - ext4 /dev/vdb rw
42 25 0:42 / {root}/far rw - lustre mgs@o2ib:/far rw
43 42 0:43 / /far/local rw - ext4 /dev/vdc rw
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTINFO.format(root=tmp_path))
    return path


def _reason(line: str, mountinfo: Path) -> str | None:
    decision = decided(line)
    assert decision.verdict == "allow", decision.reason
    return stray_mount_point(decision.stages, RemoteMounts(str(mountinfo)), str(mountinfo.parent))


@pytest.mark.parametrize("line", ["umount /scratch", "umount -fv /mnt/local /scratch"])
def test_what_is_mounted_is_unmounted(mountinfo: Path, line: str) -> None:
    assert _reason(line, mountinfo) is None


@pytest.mark.parametrize("line", ["umount /home/alice/link", "umount /scratch /scratch/x", "umount /mnt"])
def test_what_the_kernel_does_not_list_is_not_unmounted(mountinfo: Path, line: str) -> None:
    assert "is no mount point under this name" in (_reason(line, mountinfo) or "")


@pytest.mark.skipif(not IS_ROOT, reason="root's own directories are needed: run the tests as root")
@pytest.mark.parametrize("line", ["mount /data/set", "mount -t nfs filer:/x /data/set", "mount /nothing/here"])
def test_plain_directories_of_root_are_mounted_on(mountinfo: Path, line: str) -> None:
    (mountinfo.parent / "data/set").mkdir(parents=True)
    os.chown(mountinfo.parent / "data/set", 1000, 1000)  # the mount hides whose it was
    assert _reason(line, mountinfo) is None


@pytest.mark.parametrize("target", ["/etc", "/data", "set2"])
def test_no_link_is_mounted_on(mountinfo: Path, target: str) -> None:
    (mountinfo.parent / "data").mkdir()
    (mountinfo.parent / "data/set").symlink_to(target)
    (mountinfo.parent / "link").symlink_to(mountinfo.parent / "data")
    for line in ("mount /link", "mount -t nfs filer:/x /link", "mount -t nfs filer:/x /link/deeper"):
        assert "leads through a link" in (_reason(line, mountinfo) or ""), line
    if IS_ROOT:
        assert "leads through a link" in (_reason("mount /data/set", mountinfo) or "")


@pytest.mark.skipif(not IS_ROOT, reason="root's own directories are needed: run the tests as root")
@pytest.mark.parametrize(("uid", "mode"), [(1000, 0o755), (0, 0o775), (0, 0o757), (0, 0o1777)])
def test_nothing_below_a_directory_that_others_may_change(mountinfo: Path, uid: int, mode: int) -> None:
    (mountinfo.parent / "home/alice/x").mkdir(parents=True)
    os.chown(mountinfo.parent / "home/alice", uid, 0)
    os.chmod(mountinfo.parent / "home/alice", mode)
    reason = _reason("mount -t nfs filer:/x /home/alice/x", mountinfo)
    assert reason == "/home/alice/x could become a link meanwhile: others than root may change /home/alice"


@pytest.mark.parametrize("line", ["mount /far", "mount /far/x/y"])
def test_a_server_is_never_asked(mountinfo: Path, line: str) -> None:
    assert "network file system already" in (_reason(line, mountinfo) or "")


def test_lists_and_other_commands_are_none_of_its_business(mountinfo: Path) -> None:
    other = StageDecision(("ls", "/far"), "ls", False, "read", None, None)
    mounts = RemoteMounts(str(mountinfo))
    assert stray_mount_point((other, *decided("mount -t nfs4").stages), mounts) is None


def test_nor_asked_about_the_directories_above_what_is_unmounted(mountinfo: Path) -> None:
    """A file system mounted below a dead server's: looking at its parent would never return."""
    assert "/far is on a network file system" in (_reason("umount /far/local", mountinfo) or "")

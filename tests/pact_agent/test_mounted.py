"""Whether a path lies on a file system far away: told by the list of mounts alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pact_agent.mounted import RemoteMounts

from tests.pact_agent.localnode import IS_ROOT

HANGS = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[2])
from pact_agent.masks import SecretPaths
libc = ctypes.CDLL(None, use_errno=True)
home = sys.argv[1]
secrets = SecretPaths((home + "/*/.ssh",))
mine = lambda: [p for p in secrets.current() if p.startswith(home)]
print(mine() == [home + "/alice/.ssh"], flush=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
secrets = SecretPaths((home + "/*/.ssh",))
print(mine() == [home + "/alice/.ssh"], flush=True)
server = os.open("/dev/fuse", os.O_RDWR)  # nobody ever reads what it is asked
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % server
if libc.mount(b"dead", sys.argv[3].encode(), b"fuse", 0, options):
    sys.exit(77)
print(mine() == [], flush=True)
"""

# A node of its own mounts, shared as systemd has them, where a top-level directory's server is gone.
DEAD = """
import ctypes, os, subprocess, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
from tests.pact_agent.localnode import LocalNode
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
libc.mount(b"none", b"/", None, 0x104000, None)
node = LocalNode(Path(sys.argv[1]), "[limits]\\nspool_bytes = 4194304").start()
server = os.open("/dev/fuse", os.O_RDWR)
try:
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % server
    if libc.mount(b"dead", b"/srv", b"fuse", 0, options):
        sys.exit(77)
    for number in range(5):  # more than processes were ready before
        print(node.line(f"echo {number} | cat").stdout.strip(), flush=True)
finally:
    os.close(server)
    node.close()
"""


def mounts(tmp_path: Path, *lines: str) -> RemoteMounts:
    file = tmp_path / "mountinfo"
    file.write_text("".join(f"36 35 98:0 / {line}\n" for line in lines), newline="")
    return RemoteMounts(str(file))


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "lustre", "autofs", "fuse", "fuse.sshfs", "cifs", "beegfs"])
def test_what_is_below_a_remote_mount_is_remote(tmp_path: Path, kind: str) -> None:
    remote = mounts(tmp_path, f"/home rw,noatime shared:1 - {kind} server:/x rw", "/ rw - ext4 /dev/sda rw")
    assert remote.cover("/home")
    assert remote.cover("/home/alice/.ssh")
    assert remote.cover("/etc/../home//alice")
    assert not remote.cover("/homes/alice")
    assert not remote.cover("/etc")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "overlay", "fuseblk", "proc"])
def test_local_file_systems_are_not(tmp_path: Path, kind: str) -> None:
    assert not mounts(tmp_path, f"/home rw - {kind} x rw").cover("/home/alice")


def test_a_root_far_away_hides_nothing(tmp_path: Path) -> None:
    """A diskless node: its secrets are masked all the same."""
    assert not mounts(tmp_path, "/ rw - nfs4 server:/root rw").cover("/etc/shadow")


def test_links_and_odd_names_lead_there_too(tmp_path: Path) -> None:
    remote = mounts(tmp_path, f"{tmp_path}/far\\040away rw - nfs4 s:/ rw")
    (tmp_path / "home").symlink_to("far away")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "alice").symlink_to("../home/alice")
    (tmp_path / "loop").symlink_to("loop")
    assert remote.cover(f"{tmp_path}/home/bob")
    assert remote.cover(f"{tmp_path}/near/alice/.ssh")
    assert not remote.cover(f"{tmp_path}/near/bob")
    assert not remote.cover(f"{tmp_path}/loop/x")


@pytest.mark.parametrize("odd", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_no_name_of_a_mount_point_breaks_the_list(tmp_path: Path, odd: str) -> None:
    """Anybody mounts with fusermount in their own directory, and the kernel escapes no ends of lines but one."""
    remote = mounts(tmp_path, f"{tmp_path}/a{odd}b rw - fuse.sshfs s:/ rw")
    assert remote.cover(f"{tmp_path}/a{odd}b/c")
    assert [mount.point for mount in remote.mounts][-1] == f"{tmp_path}/a{odd}b"


@pytest.mark.skipif(
    not IS_ROOT or not os.path.exists("/dev/fuse"), reason="mounting is root's, with /dev/fuse: run the tests as root"
)
@pytest.mark.parametrize("where", ["home", "home/alice", "home/alice/.ssh"])
def test_the_search_for_secrets_never_waits_for_a_dead_server(tmp_path: Path, where: str) -> None:
    """It is made before every line, by the agent's only thread: waiting here would stop everybody."""
    home = tmp_path / "home"
    (home / "alice" / ".ssh").mkdir(parents=True)
    agent = Path(sys.modules["pact_agent"].__path__[0]).parent
    argv = [sys.executable, "-c", HANGS, str(home), str(agent), str(tmp_path / where)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    if done.returncode == 77:
        pytest.skip("this machine lets nobody mount: run with CAP_SYS_ADMIN")
    assert (done.stdout.split(), done.stderr) == (["True"] * 3, "")


@pytest.mark.skipif(
    not IS_ROOT or not os.path.exists("/dev/fuse") or not os.path.isdir("/srv"), reason="mounting is root's"
)
def test_a_dead_mount_stops_only_what_looks_at_it(tmp_path: Path) -> None:
    """Every command's rules name the top-level directories; naming one must not ask its server."""
    done = subprocess.run([sys.executable, "-c", DEAD, str(tmp_path)], capture_output=True, text=True, timeout=50)
    if done.returncode == 77:
        pytest.skip("this machine lets nobody mount: run with CAP_SYS_ADMIN")
    assert (done.stdout.split(), done.stderr) == (list("01234"), "")

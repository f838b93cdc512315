from __future__ import annotations

import os

import pytest

from pactsh.dev.mounts import Mount, is_below, nearest_below, parse_mountinfo

TEXT = """\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
25 24 0:22 / /proc rw,relatime shared:5 - proc proc rw
26 24 0:23 / /data rw - xfs /dev/vdb rw
27 26 0:24 / /data rw - tmpfs tmpfs rw
28 24 0:25 / /with\\040blank rw master:1 - ext4 /dev/vdc rw
"""


def test_a_mount_over_another_hides_it() -> None:
    assert parse_mountinfo(TEXT) == (
        Mount("/", "ext4"),
        Mount("/proc", "proc"),
        Mount("/data", "tmpfs"),
        Mount("/with blank", "ext4"),
    )


def test_this_machine_has_a_root_and_a_proc() -> None:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        found = {m.path: m.kind for m in parse_mountinfo(file.read())}
    assert "/" in found
    assert found["/proc"] == "proc"
    assert all(os.path.isabs(path) for path in found)


@pytest.mark.parametrize(
    ("path", "directory", "below"),
    [("/var/lib", "/var", True), ("/var", "/var", False), ("/variable", "/var", False), ("/var", "/", True)],
)
def test_below(path: str, directory: str, below: bool) -> None:
    assert is_below(path, directory) is below


def test_nearest_leaves_out_what_is_inside_another() -> None:
    assert nearest_below(("/", "/var/lib/data", "/var", "/home"), "/") == ("/home", "/var")
    assert nearest_below(("/", "/var/lib/data", "/var", "/home"), "/var") == ("/var/lib/data",)
    assert nearest_below(("/", "/home"), "/home") == ()

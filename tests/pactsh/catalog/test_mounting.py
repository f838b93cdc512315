"""`mount`: what is read as a list, what mounts, and that nosuid,nodev is in force whatever else is said."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pactsh.catalog.match import Match, match
from pactsh.catalog.mounting import TYPES
from pactsh.catalog.reading import Refusal
from tests.pact_agent.localnode import IS_ROOT
from tests.pactsh.catalog.deciding import shipped


def read(line: str) -> Match:
    return match(shipped()["mount"], tuple(shlex.split(line)), "/var")


def test_a_list_has_no_grants_and_changes_nothing() -> None:
    found = read("mount -l -t nfs4")
    assert (found.dimension, found.grants.unconfined, found.grants.exec, found.grants.caps) == ("", False, (), ())


@pytest.mark.parametrize("line", ["mount /scratch", "mount -t nfs4 filer:/x /scratch"])
def test_mounting_is_a_change_outside_the_masks(line: str) -> None:
    found = read(line)
    assert (found.dimension, found.grants.unconfined) == ("mounts", True)
    assert found.argv[:3] == ("mount", "-o", "nosuid,nodev")


@pytest.mark.parametrize("kind", TYPES)
def test_only_network_types_are_mounted_but_all_are_listed(kind: str) -> None:
    assert read(f"mount -t {kind} filer:/x /scratch").dimension == "mounts"
    assert read("mount -t ext4").dimension == ""
    with pytest.raises(Refusal, match="'ext4' is not one of the allowed values"):
        read(f"mount -t {kind} -t ext4 filer:/x /scratch")


def test_one_operand_is_a_place_and_two_are_source_and_place() -> None:
    with pytest.raises(Refusal, match="only mount points outside system trees"):
        read("mount filer:/x")
    with pytest.raises(Refusal, match="only the source of a network file system"):
        read("mount -t nfs /scratch filer:/x")


def test_options_alone_mount_nothing() -> None:
    with pytest.raises(Refusal, match="nothing to mount"):
        read("mount -o ro")


def test_the_type_goes_with_the_source() -> None:
    with pytest.raises(Refusal, match="needs its type"):
        read("mount filer:/x /scratch")
    with pytest.raises(Refusal, match="has its type already"):
        read("mount -t nfs /scratch")


@pytest.mark.skipif(not IS_ROOT, reason="mounts: run the tests as root")
@pytest.mark.skipif(not os.path.exists("/etc/fstab"), reason="there is no /etc/fstab to put another in the place of")
def test_what_fstab_allows_is_overruled(tmp_path: Path) -> None:
    """In a namespace of its own, with the very words that are run; suid and dev stand in fstab."""
    (tmp_path / "fstab").write_text("none /mnt tmpfs suid,dev,exec,size=64k 0 0\n")
    shown = "findmnt -no OPTIONS /mnt"
    steps = (
        f"mount --bind {tmp_path}/fstab /etc/fstab",
        "mount /mnt",
        shown,
        "umount /mnt",
        shlex.join(read("mount /mnt").argv),
        shown,
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", "\n".join(steps)], capture_output=True, text=True, timeout=30
    )
    if done.stderr.startswith("unshare:"):
        pytest.skip(f"mount namespaces take CAP_SYS_ADMIN: {done.stderr}")
    before, after = (line.split(",") for line in done.stdout.splitlines())
    assert "nosuid" not in before
    assert "nodev" not in before
    assert {"nosuid", "nodev"} <= set(after)

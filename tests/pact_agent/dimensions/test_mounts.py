"""What is mounted: real mounts on this machine, below a directory of the test's own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.mounts import Mounts

from tests.pact_agent.localnode import IS_ROOT

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="mounting is root's: run the tests as root")


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True, timeout=20)


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "a b"
    point.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nosuid,nodev,size=64k", "pact test", str(point)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"mounting takes CAP_SYS_ADMIN: {done.stderr}")
    yield point
    while os.path.ismount(point):
        subprocess.run(["umount", "-l", str(point)], check=True, timeout=20)


def options(value: str) -> set[str]:
    return set(value.partition("options=")[2].split(","))


def test_a_mount_is_told_with_all_it_takes_to_make_it_again(point: Path) -> None:
    found = Mounts().snapshot()
    assert "/" not in found
    assert found[str(point)].startswith("type=tmpfs source=pact\\040test options=rw,nosuid,nodev,relatime,size=64k")


def test_nothing_is_mounted_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "x").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "y").symlink_to(tmp_path / "real" / "x")
    before = Mounts().snapshot()
    for place in (tmp_path / "link" / "x", tmp_path / "real" / "y", tmp_path / "link"):
        with pytest.raises(ApplyError, match="leads through a link"):
            Mounts().apply(str(place), "type=tmpfs source=none options=size=64k")
    assert Mounts().snapshot() == before


def test_a_place_that_is_not_there_is_made(tmp_path: Path) -> None:
    place = tmp_path / "not" / "there"
    Mounts().apply(str(place), "type=tmpfs source=none options=size=64k")
    assert os.path.ismount(place)
    Mounts().apply(str(place), None)
    (tmp_path / "link").symlink_to(tmp_path / "not")
    with pytest.raises(ApplyError, match="leads through a link"):
        Mounts().apply(str(tmp_path / "link" / "other"), "type=tmpfs source=none options=size=64k")
    assert not (tmp_path / "not" / "other").exists()


def test_taken_away_and_made_again_it_is_the_same(point: Path) -> None:
    dimension = Mounts()
    before = dimension.snapshot()[str(point)]
    dimension.apply(str(point), None)
    assert not os.path.ismount(point)
    dimension.apply(str(point), None)  # it has gone already
    dimension.apply(str(point), before)
    assert dimension.snapshot()[str(point)] == before


def test_other_options_are_given_to_the_mount_there_is(point: Path) -> None:
    (point / "kept").touch()
    dimension = Mounts()
    before = dimension.snapshot()[str(point)]
    mount("-o", "remount,ro,size=128k", str(point))
    assert "ro" in options(dimension.snapshot()[str(point)])
    dimension.apply(str(point), before)
    assert options(dimension.snapshot()[str(point)]) == options(before)
    assert (point / "kept").exists()


def test_two_on_one_place_are_both_taken_away(point: Path) -> None:
    mount("-t", "tmpfs", "second", str(point))
    assert "source=second" in Mounts().snapshot()[str(point)]
    Mounts().apply(str(point), None)
    assert not os.path.ismount(point)


def test_what_is_mounted_over_it_goes_and_it_stays(point: Path) -> None:
    """With what is in it: a file system in memory lives no longer than its mount."""
    (point / "kept").write_text("x")
    before = Mounts().snapshot()[str(point)]
    mount("-t", "tmpfs", "second", str(point))
    mount("-t", "tmpfs", "third", str(point))
    assert not (point / "kept").exists()
    Mounts().apply(str(point), before)
    assert Mounts().snapshot()[str(point)] == before
    assert (point / "kept").read_text() == "x"


@pytest.mark.parametrize("how", ["stands", "open", "below"])
def test_one_that_is_held_stays_and_says_by_whom(point: Path, how: str) -> None:
    (point / "file").touch()
    (point / "deep").mkdir()
    holder = None
    if how == "below":
        mount("-t", "tmpfs", "deeper", str(point / "deep"))
    else:
        with (point / "file").open() as file:
            holder = subprocess.Popen(
                ["/usr/bin/sleep", "300"],
                cwd=point / "deep" if how == "stands" else "/",
                pass_fds=(file.fileno(),) if how == "open" else (),
            )
    try:
        with pytest.raises(ApplyError, match="is in use") as caught:
            Mounts().apply(str(point), None)
        told = [(h.pid, h.command, h.path) for h in caught.value.holders]
        if holder is None:
            assert told == [(0, "a mount", str(point / "deep"))]
        else:
            assert told == [(holder.pid, "sleep", str(point / ("deep" if how == "stands" else "file")))]
        assert os.path.ismount(point)
    finally:
        if holder is None:
            subprocess.run(["umount", str(point / "deep")], check=True, timeout=20)
        else:
            holder.kill()
            holder.wait()
    Mounts().apply(str(point), None)
    assert not os.path.ismount(point)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("type=tmpfs source=nobody's options=rw root=/sub", r"/sub of nobody's \(tmpfs\) is shown nowhere else"),
        ("nonsense", "can't be read: nonsense"),
        ("type=pact_no_such source=x options=rw", "unknown filesystem type|wrong fs type"),
        ("type=fuse source=x options=rw", "type fuse is not mounted by pact"),
        ("type=fuse.sshfs source=x;touch\\040/tmp/pwned options=rw", "is not mounted by pact"),
        ("type=../x source=y options=rw", "is not mounted by pact"),
    ],
)
def test_what_cannot_be_mounted_says_why(tmp_path: Path, value: str, says: str) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(ApplyError, match=says):
        Mounts().apply(str(tmp_path / "m"), value)


def test_what_users_mount_themselves_is_left_alone(tmp_path: Path) -> None:
    """They name its source, and mount(8) has a helper for its type, which hands that to a shell."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(
        "40 25 0:40 / /data rw - nfs4 filer:/data rw\n"
        "41 25 0:41 / /home/a/m rw,nosuid,nodev - fuse.x id;id rw,user_id=1000\n"
        "42 25 0:42 / /home/a/n rw,nosuid,nodev - fuseblk /dev/x rw\n"
    )
    assert Mounts(str(tmp_path)).snapshot().keys() == {"/data"}


@pytest.fixture
def bound(point: Path, tmp_path: Path) -> Iterator[Path]:
    """Shows a directory of what is mounted at `point`, read-only."""
    (point / "part").mkdir()
    (point / "part" / "file").touch()
    bound = tmp_path / "bound"
    bound.mkdir()
    mount("--bind", str(point / "part"), str(bound))
    mount("-o", "remount,bind,ro,nosuid", str(bound))
    yield bound
    while os.path.ismount(bound):
        subprocess.run(["umount", str(bound)], check=True, timeout=20)


def test_a_bind_mount_is_made_again_from_where_it_is_shown(point: Path, bound: Path) -> None:
    before = Mounts().snapshot()[str(bound)]
    assert before.endswith(" root=/part")
    assert "ro" in options(before)
    Mounts().apply(str(bound), None)
    assert not os.path.ismount(bound)
    Mounts().apply(str(bound), before)
    assert Mounts().snapshot()[str(bound)] == before
    assert (bound / "file").exists()
    mount("-o", "remount,bind,rw", str(bound))
    Mounts().apply(str(bound), before)
    assert Mounts().snapshot()[str(bound)] == before
    assert "rw" in options(Mounts().snapshot()[str(point)]), "the flags are the bind mount's alone"


def test_a_bind_mount_follows_no_link(point: Path, bound: Path, tmp_path: Path) -> None:
    """Whoever may write there must not have root show another directory."""
    before = Mounts().snapshot()[str(bound)]
    Mounts().apply(str(bound), None)
    (point / "part").rename(point / "elsewhere")
    (point / "part").symlink_to("/etc")
    with pytest.raises(ApplyError, match="is shown nowhere else"):
        Mounts().apply(str(bound), before)
    bound.rmdir()
    bound.symlink_to(tmp_path)
    with pytest.raises(ApplyError, match="bound: Too many levels of symbolic links"):
        Mounts().apply(str(bound), before)
    bound.unlink()
    bound.mkdir()


def test_which_of_two_file_systems_it_was_is_not_guessed(point: Path, bound: Path, tmp_path: Path) -> None:
    before = Mounts().snapshot()[str(bound)]
    Mounts().apply(str(bound), None)
    other = tmp_path / "other"
    other.mkdir()
    mount("-t", "tmpfs", "pact test", str(other))
    try:
        (other / "part").mkdir()
        with pytest.raises(ApplyError, match="may be one of several"):
            Mounts().apply(str(bound), before)
    finally:
        subprocess.run(["umount", str(other)], check=True, timeout=20)


def test_the_kernel_wakes_us_for_each_change(point: Path) -> None:
    async def go() -> None:
        woken = asyncio.Event()
        end = Mounts().watch(woken.set)
        try:
            for words in (("mount", "-o", "remount,noexec", str(point)), ("umount", str(point))):
                woken.clear()
                await asyncio.to_thread(subprocess.run, words, check=True, timeout=20)
                await asyncio.wait_for(woken.wait(), 20)
        finally:
            end()

    asyncio.run(go())

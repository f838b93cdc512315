"""Files as they are found and put back: content, mode, owner, links; and what is no plain file."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pact_agent.contents import Contents
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.files import MOST_BYTES, Files

from tests.pact_agent.localnode import IS_ROOT


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    place = tmp_path / "etc"
    (place / "deep").mkdir(parents=True)
    for name, text, mode in (("plain", "one\n", 0o644), ("private", "pw=abc", 0o600), ("deep/file", "two\n", 0o755)):
        (place / name).write_text(text)
        (place / name).chmod(mode)
    (place / "link").symlink_to("deep/file")
    os.mkfifo(place / "fifo")
    return place


@pytest.fixture
def files(etc: Path) -> Iterator[Files]:
    contents = Contents(etc.parent / "state" / "contents")
    yield Files(contents, (str(etc),))
    contents.close()


def test_each_kind_has_its_value(files: Files, etc: Path) -> None:
    found = {path.removeprefix(f"{etc}/"): value for path, value in files.snapshot().items()}
    owner = f"owner={os.geteuid()}:{os.getegid()}"
    assert found.keys() == {"plain", "private", "deep", "deep/file", "link", "fifo"}
    assert found["plain"] == (
        f"file mode=0644 {owner} size=4 sha256=2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"
    )
    assert found["deep"].startswith("dir mode=07")
    assert found["link"] == "link -> deep/file"
    assert found["fifo"].startswith("fifo mode=0")


def test_the_digest_of_what_not_everybody_may_read_tells_nobody_what_it_is(files: Files, etc: Path) -> None:
    """Viewers see drift; a short secret would be found by trying."""
    value = files.snapshot()[str(etc / "private")]
    assert "keyed=" in value
    assert hashlib.sha256(b"pw=abc").hexdigest() not in value


def test_a_change_shows_even_with_the_same_size_and_time(files: Files, etc: Path) -> None:
    before = files.snapshot()[str(etc / "plain")]
    info = (etc / "plain").stat()
    (etc / "plain").write_text("eno\n")
    os.utime(etc / "plain", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert files.snapshot()[str(etc / "plain")] != before


def instead(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda etc: (etc / "plain").write_text("other"),
    "mode": lambda etc: (etc / "plain").chmod(0o666),
    "private": lambda etc: (etc / "private").write_text("pw=xyz"),
    "gone": lambda etc: (etc / "plain").unlink(),
    "a link in its place": lambda etc: instead(etc / "plain", lambda path: path.symlink_to("private")),
    "a directory in its place": lambda etc: instead(etc / "plain", lambda path: path.mkdir()),
    "link": lambda etc: instead(etc / "link", lambda path: path.symlink_to("/etc/passwd")),
    "directory": lambda etc: (etc / "deep").chmod(0o700),
    "added": lambda etc: (etc / "new").write_text("x"),
    "added directory": lambda etc: (etc / "new").mkdir(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_is_put_back(files: Files, etc: Path, name: str) -> None:
    before = files.snapshot()
    CHANGES[name](etc)
    changed = files.snapshot()
    assert changed != before
    for key in sorted(before.keys() | changed.keys()):
        if before.get(key) != changed.get(key):
            files.apply(key, before.get(key))
    assert files.snapshot() == before
    assert (etc / "plain").read_text() == "one\n"
    assert sorted(os.listdir(etc)) == ["deep", "fifo", "link", "plain", "private"]


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away: run the tests as root")
def test_so_is_its_owner(files: Files, etc: Path) -> None:
    before = files.snapshot()
    os.chown(etc / "plain", 1234, 1234)
    os.chown(etc / "deep", 1234, 1234)
    for name in ("plain", "deep"):
        files.apply(str(etc / name), before[str(etc / name)])
    assert files.snapshot() == before


def test_a_tree_that_is_gone_comes_back(files: Files, etc: Path) -> None:
    before = files.snapshot()
    (etc / "deep/file").unlink()
    (etc / "deep").rmdir()
    for key in sorted(before):
        if key.startswith(str(etc / "deep")):
            files.apply(key, before[key])
    assert files.snapshot() == before


def test_names_of_any_bytes_are_seen_and_put_back(files: Files, etc: Path) -> None:
    """Nothing hides behind a name that can't be printed."""
    before = files.snapshot()
    os.symlink(b"/tmp/\xff", os.fsencode(etc) + b"/bad\xfe")
    (etc / "odd\x01name").touch()
    after = files.snapshot()
    assert after.keys() - before.keys() == {f"{etc}/bad\udcfe", f"{etc}/odd\x01name"}
    for key in after.keys() - before.keys():
        files.apply(key, None)
    assert files.snapshot() == before
    for key in after.keys() - before.keys():
        if after[key].startswith("link"):
            files.apply(key, after[key])
            assert os.readlink(os.fsencode(key)) == b"/tmp/\xff"


def test_of_a_large_file_only_the_digest_is_known(files: Files, etc: Path) -> None:
    (etc / "large").write_bytes(b"x" * (MOST_BYTES + 1))
    (etc / "large").chmod(0o644)
    before = files.snapshot()[str(etc / "large")]
    assert f"size={MOST_BYTES + 1} sha256=" in before
    (etc / "large").write_bytes(b"y")
    assert files.snapshot()[str(etc / "large")] != before
    with pytest.raises(ApplyError, match=r"large: its content of 1048577 bytes was not kept, so it can't be put back"):
        files.apply(str(etc / "large"), before)
    assert (etc / "large").read_bytes() == b"y"


def test_what_stands_in_its_place_stays_when_its_content_is_lost(files: Files, etc: Path) -> None:
    (etc / "large").mkdir()
    value = f"file mode=0644 owner=0:0 size=9 sha256={'0' * 64}"
    assert files.lost(value) == "its content of 9 bytes is not kept and can't be restored"
    with pytest.raises(ApplyError, match="was not kept"):
        files.apply(str(etc / "large"), value)
    assert (etc / "large").is_dir()


def test_a_name_as_long_as_names_can_be_is_put_back(files: Files, etc: Path) -> None:
    path = etc / ("n" * 255)
    path.write_text("x")
    before = files.snapshot()[str(path)]
    assert files.lost(before) == ""
    path.unlink()
    files.apply(str(path), before)
    assert files.snapshot()[str(path)] == before


def test_what_can_not_be_replaced_leaves_nothing_beside_it(files: Files, etc: Path) -> None:
    path = etc / "there"
    path.write_text("as it was")
    before = files.snapshot()
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(ApplyError, match="Directory not empty"):
        files.apply(str(path), before[str(path)])
    path.joinpath("in the way").unlink()
    path.rmdir()
    path.write_text("another")
    if subprocess.run(["chattr", "+i", str(path)], check=False, capture_output=True).returncode:
        pytest.skip("no file here is made immutable: chattr(1) takes CAP_LINUX_IMMUTABLE and a file system that can")
    try:
        with pytest.raises(ApplyError, match="Operation not permitted"):
            files.apply(str(path), before[str(path)])
        assert files.snapshot().keys() == before.keys()
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("/elsewhere/x", "dir mode=0755 owner=0:0", "not a place whose files are observed"),
        ("ETC/deep/..", None, "not a place"),
        ("ETC", None, "not a place"),
        ("ETC/missing/x", "link -> y", "No such file"),
        ("ETC/deep", None, "Directory not empty"),
        ("ETC/x", "fifo mode=0600 owner=0:0", "fifo is not made by pact"),
        ("ETC/x", "nonsense", "is not made by pact"),
        ("ETC/way/x", None, "symbolic links"),
    ],
)
def test_what_cannot_be_applied_says_why_and_nothing_is_touched(
    files: Files, etc: Path, key: str, value: str | None, says: str
) -> None:
    outside = etc.parent / "outside"
    outside.mkdir()
    (outside / "x").write_text("kept")
    (etc / "way").symlink_to(outside)
    with pytest.raises(ApplyError, match=says):
        files.apply(key.replace("ETC", str(etc)), value)
    assert (outside / "x").read_text() == "kept"


def test_the_kernel_wakes_us_for_what_changes_in_directories_old_and_new(files: Files, etc: Path) -> None:
    async def go() -> None:
        woken = asyncio.Event()
        end = files.watch(woken.set)
        try:
            for change in (
                lambda: (etc / "plain").write_text("x"),
                lambda: (etc / "deep/file").chmod(0o600),
                (etc / "new").mkdir,
                (etc / "new/file").touch,
                lambda: (etc / "new/file").rename(etc / "moved"),
                (etc / "link").unlink,
            ):
                files.snapshot()
                woken.clear()
                change()
                await asyncio.wait_for(woken.wait(), 20)
        finally:
            end()

    asyncio.run(go())

"""Private files: whole, ours, and read by nobody else."""

import os
import threading
from pathlib import Path

import pytest

from pactsh.auth.private import make_private_directory, read_private, write_private
from pactsh.errors import PactError, UsageError


def test_a_file_comes_back_as_written_and_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_private(tmp_path / "f", b"one")
        write_private(tmp_path / "f", b"two")
    finally:
        os.umask(old)
    assert read_private(tmp_path / "f") == b"two"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert read_private(tmp_path / "missing") is None


def test_a_reader_sees_the_old_or_the_new_file_whole(tmp_path: Path) -> None:
    contents = {bytes([65 + n]) * 100_000 for n in range(2)}
    for content in contents:
        write_private(tmp_path / "f", content)
    seen: list[bytes | None] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(read_private(tmp_path / "f"))

    reader = threading.Thread(target=read)
    reader.start()
    for _round in range(20):
        for content in contents:
            write_private(tmp_path / "f", content)
    done.set()
    reader.join()
    assert seen
    assert set(seen) <= contents


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x").touch()
    with pytest.raises(PactError, match="f: "):
        write_private(tmp_path / "f", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_what_is_not_a_private_file_is_refused(tmp_path: Path) -> None:
    write_private(tmp_path / "f", b"one")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "directory").mkdir(0o700)
    for name in ("link", "fifo", "directory"):
        with pytest.raises(UsageError, match=name):
            read_private(tmp_path / name)
    write_private(tmp_path / "big", b"x" * (2 << 20))
    with pytest.raises(UsageError, match="larger"):
        read_private(tmp_path / "big")
    for mode in (0o640, 0o604, 0o610, 0o601):
        (tmp_path / "f").chmod(mode)
        with pytest.raises(UsageError, match="others may read it"):
            read_private(tmp_path / "f")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away: run the tests as root")
def test_another_users_file_is_refused(tmp_path: Path) -> None:
    write_private(tmp_path / "f", b"one")
    os.chown(tmp_path / "f", 12345, 12345)
    with pytest.raises(UsageError, match="owned by uid 12345"):
        read_private(tmp_path / "f")


def test_directories_are_private_or_refused(tmp_path: Path) -> None:
    make_private_directory(tmp_path / "a" / "b")
    make_private_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "a" / "b").chmod(0o755)
    with pytest.raises(UsageError, match="others may read it"):
        make_private_directory(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a directory"):
        make_private_directory(tmp_path / "file")
    (tmp_path / "a" / "b").chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    with pytest.raises(UsageError, match="not a directory"):
        make_private_directory(tmp_path / "link")

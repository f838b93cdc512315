"""The file system as globs see it: the agent could list what the person may not, and must not show it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from pact_agent import listing as module
from pact_agent.listing import DirectoryListing, expansion_ends
from pact_agent.prepare import prepare_pipeline

from pactsh.language import parse


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").touch()
    (tmp_path / "keys" / "deep").mkdir(parents=True)
    (tmp_path / "keys" / "id").touch()
    (tmp_path / "keys2").mkdir()
    (tmp_path / "keys2" / "public").touch()
    (tmp_path / "way").symlink_to("keys")
    (tmp_path / "logs" / "up").symlink_to("../keys/deep")
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


def seen(place: Path) -> DirectoryListing:
    return DirectoryListing(str(place), (str(place / "keys"),), expansion_ends())


def test_names_of_a_directory_relative_and_absolute(place: Path) -> None:
    listing = seen(place)
    assert sorted(listing.entries(".")) == ["dangling", "keys", "keys2", "logs", "way"]
    assert sorted(listing.entries("logs")) == sorted(listing.entries(str(place / "logs"))) == ["a.log", "up"]
    assert list(listing.entries("keys2")) == ["public"]


@pytest.mark.parametrize(
    "path", ["keys", "keys/deep", "way", "way/deep", "logs/up", "logs/../keys", "keys/", "./keys//."]
)
def test_by_no_way_into_a_secret_place(place: Path, path: str) -> None:
    listing = seen(place)
    assert list(listing.entries(path)) == []
    assert list(listing.entries(str(place / path))) == []
    assert not listing.is_dir(path)
    assert not listing.exists(f"{path}/id")
    assert listing.resolve(path) is None


@pytest.mark.parametrize("path", ["nowhere", "logs/a.log", "dangling", "x\0y", "a" * 5000])
def test_what_is_no_directory_has_no_names(place: Path, path: str) -> None:
    assert list(seen(place).entries(path)) == []
    assert not seen(place).is_dir(path)


def test_existence_is_that_of_the_name(place: Path) -> None:
    listing = seen(place)
    assert listing.exists("logs/a.log")
    assert listing.exists("logs/")
    assert listing.exists("dangling")
    assert listing.exists("keys")  # its name shows in `ls` too
    assert not listing.exists("nowhere")
    assert not listing.exists("\0")


@pytest.mark.parametrize("what", ["fd", "map_files", "cwd", "root", "task/{}/fd", "../self/fd"])
def test_what_the_agent_sees_of_processes_is_not_shown(place: Path, what: str) -> None:
    """Addresses and descriptors of any process, and of the agent itself: it lists with all its rights."""
    path = f"/proc/{os.getpid()}/{what.format(os.getpid())}"
    assert os.listdir(path), "there is something to hide"
    listing = seen(place)
    assert list(listing.entries(path)) == list(listing.entries("/dev/fd")) == []
    assert not listing.exists(f"{path}/{os.listdir(path)[0]}")
    (place / "link").symlink_to(path)
    assert list(listing.entries("link")) == [] or "root" in what or "cwd" in what  # these lead to plain directories


def test_a_link_that_cannot_be_read_leads_nowhere(place: Path) -> None:
    """A kernel thread's program, say; what is raised on the way must not end the line without an entry."""
    dead = subprocess.Popen(["/usr/bin/true"], stdout=subprocess.PIPE)
    assert dead.stdout is not None
    while not Path(f"/proc/{dead.pid}/stat").read_text().rpartition(")")[2].startswith(" Z"):
        pass
    try:
        with pytest.raises(OSError, match=r"exe"):
            os.readlink(f"/proc/{dead.pid}/exe")
        assert list(seen(place).entries(f"/proc/{dead.pid}/exe/x")) == []
        assert not seen(place).exists(f"/proc/{dead.pid}/exe/x")
    finally:
        dead.communicate()


def test_a_loop_of_links_ends(place: Path) -> None:
    (place / "loop").symlink_to("loop")
    assert list(seen(place).entries("loop")) == []
    assert seen(place).exists("loop")


def test_a_directory_without_end_is_cut(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ENTRIES", 3)
    for number in range(10):
        os.mknod(place / "logs" / str(number))
    assert len(seen(place).entries("logs")) == 3


def test_once_its_time_is_over_it_finds_nothing(place: Path) -> None:
    late = DirectoryListing(str(place), (), time.monotonic())
    assert list(late.entries(".")) == list(late.entries("logs")) == []


def test_a_line_has_one_limit_however_many_words_it_has(place: Path) -> None:
    (item,) = parse("ls logs/* | cat k*").items
    late = prepare_pipeline(item, {}, str(place), (), time.monotonic())
    assert [stage.argv for stage in late.stages] == [("ls", "logs/*"), ("cat", "k*")]

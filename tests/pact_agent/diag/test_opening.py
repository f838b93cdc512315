"""Which files are opened as logs: regular ones, where they seem to be, and no secret under any name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pact_agent.diag.opening import NotShownError, open_log


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "log"
    (tree / "app").mkdir(parents=True)
    (tree / "app/good.log").write_text("text\n")
    (tmp_path / "key").write_text("secret\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x").write_text("outside\n")
    return tree


def content(path: Path, tree: Path, secrets: tuple[str, ...] = ()) -> bytes:
    fd = open_log(str(path), str(tree), secrets)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_a_log_is_opened(tree: Path) -> None:
    assert content(tree / "app/good.log", tree) == b"text\n"


def test_the_tree_itself_may_be_elsewhere(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "var-log").symlink_to(tree)
    assert content(tmp_path / "var-log/app/good.log", tmp_path / "var-log") == b"text\n"


def a_link(path: Path) -> None:
    path.symlink_to(path.parents[2] / "key")


def a_hard_link(path: Path) -> None:
    os.link(path.parents[2] / "key", path)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def a_device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes a device")
    os.mknod(path, 0o20600, os.makedev(1, 5))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (a_link, "a symbolic link"),
        (a_hard_link, "a secret under another name"),
        (a_directory, "a directory"),
        (a_pipe, "a pipe"),
        (a_socket, "a socket"),
        (a_device, "a device"),
    ],
)
def test_what_is_no_log_is_refused(tree: Path, make: Callable[[Path], None], why: str) -> None:
    """A pipe without a writer would hang whoever opens it."""
    make(tree / "app/x.log")
    with pytest.raises(NotShownError, match=why):
        content(tree / "app/x.log", tree, (str(tree.parent / "key"),))


def test_links_on_the_way_are_not_followed(tree: Path) -> None:
    (tree / "away").symlink_to(tree.parent / "outside")
    with pytest.raises(NotShownError, match="links are not followed"):
        content(tree / "away/x", tree)


@pytest.mark.parametrize("path", ["../key", "app/../../key", "app//good.log", "", "/etc/hostname"])
def test_nothing_else_than_below_the_tree(tree: Path, path: str) -> None:
    with pytest.raises(NotShownError, match="not below"):
        open_log(path if path.startswith("/") else f"{tree}/{path}", str(tree))


@pytest.mark.parametrize("name", ["id_rsa", "host.key", ".ssh/x", ".bash_history"])
def test_what_is_a_secret_by_its_name(tree: Path, name: str) -> None:
    path = tree / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("s")
    with pytest.raises(NotShownError, match="a secret"):
        content(path, tree)


def test_what_is_masked_stays_so(tree: Path) -> None:
    for masked in (tree / "app", tree / "app/good.log"):
        with pytest.raises(NotShownError, match="a secret"):
            content(tree / "app/good.log", tree, (str(masked),))


def test_what_is_not_there(tree: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(tree / "app/none", tree)


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before

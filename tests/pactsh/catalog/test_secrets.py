"""Secret paths by their text, in every spelling that needs no file system to see through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.catalog.secrets import is_hidden, is_secret, is_unwalkable, normalise
from tests.pactsh.catalog.deciding import cases


@pytest.mark.parametrize("path", cases("secret-paths.txt"))
def test_a_secret_is_recognised_in_every_plain_spelling(path: str) -> None:
    for spelling in (
        path,
        "/" + path,
        path.replace("/", "//"),
        "/./" + path[1:],
        "/x/.." + path,
        path.replace("/", "/./"),
    ):
        assert is_secret(spelling, "/"), spelling


@pytest.mark.parametrize("path", cases("harmless-paths.txt"))
def test_an_ordinary_file_is_not(path: str) -> None:
    assert not is_secret(path, "/")


@pytest.mark.parametrize(
    ("path", "cwd"), [("shadow", "/etc"), ("../etc/shadow", "/var"), ("../../../etc/shadow", "/a")]
)
def test_a_relative_path_is_judged_where_the_session_stands(path: str, cwd: str) -> None:
    assert is_secret(path, cwd)


def test_metadata_of_a_secret_file_is_open_but_not_of_a_secret_directory() -> None:
    assert not is_hidden("/etc/shadow", "/")
    assert not is_hidden("/dev/sda", "/")
    assert is_hidden("/root/.bashrc", "/")
    assert is_hidden("/etc/pact/ca", "/")


@pytest.mark.parametrize("path", ["/", "/proc", "/sys/class", "/dev", "/proc/1", "//", "/etc/.."])
def test_a_walk_may_not_start_where_devices_and_processes_are(path: str) -> None:
    assert is_unwalkable(path, "/")


def test_a_walk_may_start_in_an_ordinary_directory() -> None:
    assert not is_unwalkable("/var/log", "/")
    assert is_unwalkable(".", "/proc/sys")


@given(st.text(alphabet="/.ab\n", max_size=30), st.text(alphabet="/.ab", max_size=10))
def test_a_normalised_path_is_absolute_and_stays_as_it_is(path: str, cwd: str) -> None:
    plain = normalise(path, cwd)
    assert plain.startswith("/")
    assert normalise(plain, "/") == plain
    assert not {"", ".", ".."} & set(plain.split("/")[1:]) or plain == "/"

"""Log files and what they were before they were rotated."""

from __future__ import annotations

import functools
import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pact_agent.diag import logfiles
from pact_agent.diag.found import Found
from pact_agent.diag.logfiles import search_file
from pact_agent.diag.opening import open_log

from tests.pact_agent.diag.searching import NOW, search

HOUR = 3600.0


def at(hours_ago: float, text: str) -> str:
    return f"{datetime.fromtimestamp(NOW - hours_ago * HOUR, UTC).isoformat()} n d: {text}\n"


def since(hours_ago: float) -> str:
    return datetime.fromtimestamp(NOW - hours_ago * HOUR, UTC).isoformat()


def write(path: Path, *lines: str, hours_ago: float = 0.0) -> None:
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    os.utime(path, (NOW - hours_ago * HOUR,) * 2)


def look(path: Path, **params: object) -> Found:
    return search_file(str(path), functools.partial(open_log, tree=str(path.parent)), search(**params))  # type: ignore[arg-type]  # what a search takes


def texts(found: Found) -> list[str]:
    return [line.rpartition(" d: ")[2] for line in found.lines]


def test_the_newest_lines_in_their_order(tmp_path: Path) -> None:
    write(tmp_path / "log", *(f"line {n}\n" for n in range(1000)))
    found = look(tmp_path / "log", lines=3)
    assert found == Found(str(tmp_path / "log"), ["line 997", "line 998", "line 999"], "lines")
    assert look(tmp_path / "log", grep="9$", lines=2).lines == ["line 989", "line 999"]
    assert look(tmp_path / "log", grep="^line 5$") == Found(str(tmp_path / "log"), ["line 5"])


def test_since_a_time(tmp_path: Path) -> None:
    write(tmp_path / "log", at(5, "old"), at(3, "older"), "  its second line\n", at(2, "new"), "  with more\n", at(1, "newest"))  # fmt: skip  # noqa: E501
    assert texts(look(tmp_path / "log", since=since(2.5))) == ["new", "  with more", "newest"]
    assert texts(look(tmp_path / "log", since=since(0.5))) == []
    assert len(look(tmp_path / "log", since=since(9)).lines) == 6


def test_since_a_time_with_a_filter(tmp_path: Path) -> None:
    """Most lines are passed over without a look at their time; that of those that match counts."""
    old = [at(3, "match old" if n % 100 == 0 else "x") for n in range(1000)]
    new = [at(1, "match new" if n % 300 == 299 else "x") for n in range(1000)]
    write(tmp_path / "log", *old, *new, at(1, "x"), "  match, a second line\n", at(1, "x"))
    found = look(tmp_path / "log", since=since(2), grep="match")
    assert (texts(found), found.limit) == (["match new"] * 3 + ["  match, a second line"], "")


def test_lines_a_little_out_of_order_are_not_lost(tmp_path: Path) -> None:
    write(tmp_path / "log", at(1, "late writer"), at(3, "old"), at(1, "new"))
    assert texts(look(tmp_path / "log", since=since(2))) == ["late writer", "new"]


def test_a_file_without_times_is_as_old_as_its_last_line(tmp_path: Path) -> None:
    write(tmp_path / "log", "one\n", "two\n", hours_ago=2)
    assert look(tmp_path / "log", since=since(3)).lines == ["one", "two"]
    assert look(tmp_path / "log", since=since(1)).lines == []


@pytest.mark.parametrize("names", [("log.1", "log.2.gz"), ("log-20260301", "log-20260228.gz")])
def test_rotated_files_as_far_back_as_is_wanted(tmp_path: Path, names: tuple[str, str]) -> None:
    first, second = names
    write(tmp_path / "log", at(1, "e"))
    write(tmp_path / first, at(4, "c"), at(3, "d"), hours_ago=3)
    write(tmp_path / second, at(6, "a"), at(5, "b"), hours_ago=5)
    write(tmp_path / "log.old", at(2, "not one of them"))
    write(tmp_path / "log.1.bak", at(2, "nor this"))
    assert texts(look(tmp_path / "log", since=since(5.5))) == ["b", "c", "d", "e"]
    assert texts(look(tmp_path / "log", since=since(3.5))) == ["d", "e"]
    assert texts(look(tmp_path / "log", since=since(2))) == ["e"]
    assert texts(look(tmp_path / "log")) == ["c", "d", "e"]  # without a time: the first one, and nothing unpacked
    found = look(tmp_path / "log", since=since(9), lines=4)
    assert (texts(found), found.limit) == (["b", "c", "d", "e"], "lines")


def test_a_damaged_one_says_so_and_the_rest_is_there(tmp_path: Path) -> None:
    write(tmp_path / "log", at(1, "e"))
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(at(2, "d").encode() * 50)[:-20])
    found = look(tmp_path / "log", since=since(9))
    assert (texts(found), found.error) == (["e"], "log.1.gz: it is damaged")


def test_a_rotated_link_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "log", at(1, "e"))
    (tmp_path / "log.1").symlink_to("/etc/passwd")
    assert texts(look(tmp_path / "log")) == ["e"]


def test_what_is_not_there_or_may_not_be_shown(tmp_path: Path) -> None:
    assert look(tmp_path / "log").error == "No such file or directory"
    os.mkfifo(tmp_path / "log")
    assert look(tmp_path / "log").error == "it is a pipe, not a file"


def test_packed_and_endless_lines(tmp_path: Path) -> None:
    write(tmp_path / "log", at(1, "e"))
    write(tmp_path / "log.1.gz", at(3, "x" * 100_000), at(2, "d"), hours_ago=2)
    long, *rest = texts(look(tmp_path / "log", since=since(9)))
    assert long.startswith("xxx")
    assert long.endswith(" bytes more]")
    assert rest == ["d", "e"]


def test_no_more_of_a_line_is_unpacked_than_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed file may hold a line a thousand times as long: whoever writes it must not keep a thread for hours."""
    monkeypatch.setattr(logfiles, "_MOST_UNPACKED", 1 << 20)
    write(tmp_path / "log", at(1, "e"))
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(bytes(9 << 20))[:-20])  # its end, never reached, is damaged
    found = look(tmp_path / "log", since=since(9))
    assert (texts(found)[-1], found.limit, found.error) == ("e", "size", "")

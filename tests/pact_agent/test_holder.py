"""What a holder keeps of a service's output, and what it knows of processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pact_agent.holder import Log, began, descendants


def texts(path: Path) -> list[str]:
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]


def test_each_line_has_its_time_and_bytes_stay_what_they_are(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 4096, 2)
    log.write(b"one\ntw")
    log.write(b"o\n\xff\x00\nrest")
    log.close()
    data = (tmp_path / "log").read_bytes()
    assert re.fullmatch(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [^\n]*\n){4}", data)
    assert [line.partition(b" ")[2] for line in data.splitlines()] == [b"one", b"two", b"\xff\x00", b"rest"]
    assert os.stat(tmp_path / "log").st_mode & 0o777 == 0o600


def test_a_full_file_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 100, 3)
    for number in range(20):
        log.write(f"line {number:02}\n".encode())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    kept = [*texts(tmp_path / "log.2"), *texts(tmp_path / "log.1"), *texts(tmp_path / "log")]
    assert kept == [f"line {number:02}" for number in range(20 - len(kept), 20)]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())


def test_a_single_file_begins_anew(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 100, 1)
    for number in range(9):
        log.write(f"line {number}\n".encode())
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert texts(tmp_path / "log")[-1] == "line 8"


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 1 << 20, 1)
    log.write(b"x" * 40_000)
    assert [len(text) for text in texts(tmp_path / "log")] == [16_384, 16_384]
    log.close()
    assert len(texts(tmp_path / "log")[-1]) == 40_000 - 2 * 16_384


def test_a_log_that_can_not_be_written_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "none" / "log"), 100, 2)
    log.write(b"lost\n")
    (tmp_path / "none").mkdir()
    log.write(b"kept\n")
    assert texts(tmp_path / "none" / "log") == ["kept"]


def test_a_link_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    Log(str(tmp_path / "log"), 100, 2).write(b"x\n")
    assert not (tmp_path / "victim").exists()


def test_processes_are_told_apart_by_when_they_began() -> None:
    assert began(os.getpid()) > 0
    assert began(1 << 22) == 0


def test_all_that_comes_from_a_process_is_found() -> None:
    script = "sleep 100 & sleep 100 & echo; wait"
    with subprocess.Popen(("sh", "-c", script), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = descendants(process.pid)
        for pid in (process.pid, *found):
            os.kill(pid, 9)
    assert len(found) == 2


@pytest.mark.parametrize("word", ["pact_agent.holder"])
def test_a_holder_loads_only_the_standard_library(word: str) -> None:
    """There is one for each service: every module in it is memory of the node."""
    source = str(Path(__file__).parents[2] / "agent")
    code = f"import sys; sys.path.insert(0, {source!r}); import {word}; print(*sys.modules)"
    done = subprocess.run((sys.executable, "-I", "-S", "-c", code), capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - {"pact_agent", "__main__"} <= set(sys.stdlib_module_names)


def test_a_log_that_can_not_be_begun_anew_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    log = Log(str(place / "log"), 30, 2)
    log.write(b"one\n")
    place.rename(tmp_path / "gone")  # as a disk without room for one more file refuses it
    log.write(b"lost 1\n")
    log.write(b"lost 2\n")
    log.write(b"lost 3\n")
    (tmp_path / "gone").rename(place)
    log.write(b"kept\n")
    assert texts(place / "log")[-1] == "kept"

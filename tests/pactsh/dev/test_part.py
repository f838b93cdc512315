from __future__ import annotations

from pathlib import Path

import pytest

import pactsh
from pactsh.dev.part import code_directories, last_lines, render_status


@pytest.mark.parametrize(
    ("status", "text"), [(0, "status 0"), (1, "status 1"), (-9, "SIGKILL"), (143, "SIGTERM"), (128, "status 128")]
)
def test_how_a_process_ended(status: int, text: str) -> None:
    assert render_status(status) == text


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == []
    log.write_bytes(b"\n".join(b"line %d \xff" % n for n in range(20)))
    assert last_lines(log)[-1].startswith("line 19 ")
    assert len(last_lines(log)) < 10


def test_our_code_is_in_the_code_directories() -> None:
    assert any(Path(pactsh.__file__).is_relative_to(d) for d in code_directories())

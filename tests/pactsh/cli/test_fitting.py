"""Tables on terminals that are wide, narrow, or none."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pexpect
import pytest

from pactsh.cli.fitting import fitted, table
from pactsh.cli.render import Out
from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import PACT, clean_environment

HEADER = ("ID", "USER", "AGE", "NODES")
ROWS = [("job-1", "alice", "3 min ago", "node[001-100],login[1-2]"), ("job-2", "bob", "-", "-")]


@pytest.mark.parametrize(
    ("room", "kept"), [(None, [0, 1, 2, 3]), (49, [0, 1, 2, 3]), (48, [0, 1, 3]), (37, [0, 3]), (5, [0, 3])]
)
def test_what_can_be_spared_goes_first(room: int | None, kept: list[int]) -> None:
    found, cells = fitted(HEADER, ROWS, room, ("AGE", "USER"))
    assert found == kept
    if room is not None and room > 20:
        assert all(len("  ".join(row)) <= room for row in cells)


def test_the_last_column_is_cut_and_never_left_out() -> None:
    _, cells = fitted(HEADER, ROWS, 20, ("AGE", "USER"))
    assert [row[-1] for row in cells] == ["node[001-1...", "-"]


def test_numbers_stand_to_the_right_and_nothing_is_forged() -> None:
    stream = io.StringIO()
    table(Out(stream, colour=False), ("WHO", "JOBS", "X"), [("a\x1b[2J", "1", ""), ("b", "1,000", "")], numbers=(1,))
    assert stream.getvalue().splitlines() == ["WHO        JOBS  X", "a\\x1b[2J      1", "b         1,000"]


@pytest.mark.parametrize(("columns", "titles"), [(200, 7), (100, 5), (70, 4)])
def test_a_narrow_terminal_gets_lines_that_fit(
    tmp_path: Path, seeded: RunningJournal, columns: int, titles: int
) -> None:
    with LatticeServer() as lattice:
        lattice.add_job(nodes=[f"node{number:03}" for number in range(1, 90, 2)])
        env = clean_environment(tmp_path, seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint, "TERM": "xterm"})
        child = pexpect.spawn(str(PACT), ["jobs", "list"], env=env, dimensions=(24, columns), encoding="utf-8")
        child.expect(pexpect.EOF, timeout=60)
        child.close()
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in (child.before or "").splitlines()]
    assert len(lines[0].split()) == titles
    assert max(map(len, lines)) <= columns
    assert lines[1].endswith("...")

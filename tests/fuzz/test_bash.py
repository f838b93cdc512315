"""The bash that the fuzz run asks: what it tells, and that nothing comes of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.bash import Bash, BashEndedError

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="no bash here: apt-get install bash")


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that anybody may enter: bash belongs to nobody where it can."""
    root = tmp_path_factory.mktemp("tree")
    for directory in (root, *root.parents[:2]):
        os.chmod(directory, 0o755)
    for name in ("a", "b c", "-rf"):
        (root / name).write_text("text")
    return root


@pytest.fixture
def bash(root: Path) -> Iterator[Bash]:
    bash = Bash(root, {"USER": " a  b "}, ["ls", "printf", "exit", "kill", "cat"])
    yield bash
    bash.close()


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("ls *", [["ls", "-rf", "a", "b c"]]),
        ("ls '' \"$USER\" $USER", [["ls", "", " a  b ", "a", "b"]]),
        ("printf '%s' x | cat <a", [["cat"], ["printf", "%s", "x"]]),
        ("exit 3; kill -9 1; nothing-of-ours \\*", [["exit", "3"], ["kill", "-9", "1"], ["nothing-of-ours", "*"]]),
        ("ls <nosuch", []),
        ("ls é\xff", [["ls", "é\xff"]]),
        ("", []),
        ("ls 'unfinished", []),
    ],
)
def test_what_would_run_when_all_succeeds(bash: Bash, line: str, runs: list[list[str]]) -> None:
    assert bash.runs(line) == (runs, runs)


def test_what_would_run_when_all_fails(bash: Bash) -> None:
    assert bash.runs("ls 1 && ls 2 || ls 3; ls 4") == (
        [["ls", "1"], ["ls", "2"], ["ls", "4"]],
        [["ls", "1"], ["ls", "3"], ["ls", "4"]],
    )


def test_no_file_is_written(bash: Bash, root: Path) -> None:
    before = sorted(os.listdir(root))
    for line in ("ls >new", "ls >a", "ls >>a", "{ ls; } >'b c'"):
        bash.runs(line)
    assert sorted(os.listdir(root)) == before
    assert (root / "a").read_text() + (root / "b c").read_text() == "texttext"


def test_a_line_that_is_too_long_is_not_asked_about(bash: Bash) -> None:
    assert bash.runs("ls " + "x" * 4000) is None


def test_the_end_of_bash_is_told_and_the_next_line_has_a_new_one(bash: Bash) -> None:
    with pytest.raises(BashEndedError):
        bash.runs("ls ${x?gone}")
    assert bash.runs("ls a") == ([["ls", "a"]],) * 2
